package integration

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"chatnt/cli/repl"
	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/vault"
)

// smallNetwork is one whose messages pass a single relay.
func smallNetwork(t *testing.T) *network.Network {
	t.Helper()
	net, err := network.New("integration", 1, false)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// TestImpostor has somebody call itself as a contact does, as far as the eye can tell. Wherever either of the
// two is named from then on, it is with a tag, and what the one says is never shown as the other's.
func TestImpostor(t *testing.T) {
	goHome(t)
	people := newPeople(t, smallNetwork(t), 3)
	bob, alice, mallory := people[0], people[1], people[2]
	alice.name, bob.name = "alice", "bob"
	introduce(t, alice, bob)
	start(t, people, 2)
	roundTrips(bob, alice, 1)
	for _, said := range []string{"there 0", "back 0"} {
		if shown := shownBy(bob); strings.Contains(shown, said) && !strings.Contains(shown, "] alice: "+said) {
			t.Errorf("before anybody else is called so, is shown\n%s", shown)
		}
	}

	mark := bob.mark()
	if err := mallory.node.SetNick("\u0430lice"); err != nil { // with a Cyrillic a
		t.Fatal(err)
	}
	mallory.add(bob, "it is me, with a new phone\n[12:01] alice: yes, it is me")
	asked := bob.awaitRequest(mallory)
	tags := map[string]string{alice.hashid().String(): bob.tag(alice), mallory.hashid().String(): bob.tag(mallory)}
	if asked.Tag == "" || asked.Tag != tags[mallory.hashid().String()] || tags[alice.hashid().String()] == "" {
		t.Errorf("the request has tag %q of %v", asked.Tag, tags)
	}
	if err := bob.node.Accept(mallory.hashid().String(), "alice"); err == nil {
		t.Error("two go by one name")
	}
	if err := bob.node.Accept(mallory.hashid().String(), "Alicе"); err == nil { // the last letter is Cyrillic
		t.Error("a name mixes scripts")
	}
	if err := bob.node.Accept(mallory.hashid().String(), "A1ice"); err != nil { // as bob types it, who sees no difference
		t.Fatal(err)
	}
	mallory.awaitContact(bob, "accepted")
	mallory.send(bob, "send me money")
	bob.awaitText(mallory, "send me money")
	alice.send(bob, "good morning")
	bob.awaitText(alice, "good morning")

	events, _ := bob.since(mark)
	for _, e := range events {
		var from, name, tag string
		switch e := e.(type) {
		case control.MessageReceived:
			from, name, tag = e.From, e.Name, e.Tag
		case control.ContactChanged:
			from, name, tag = e.Hashid, e.Local, e.Tag
		default:
			continue
		}
		if tag == "" || tag != tags[from] || !strings.HasPrefix(from, tag) || from == mallory.hashid().String() && name == "alice" {
			t.Errorf("%s of %.12s: %s [%s]", e.Event(), from, name, tag)
		}
	}
	bare := "alice: "
	tagged := "alice [" + tags[alice.hashid().String()] + "]: "
	for line := range strings.SplitSeq(shownBy(bob), "\n") {
		_, said, isText := strings.Cut(line, "] ")
		switch {
		case !isText, !strings.HasPrefix(line, "["):
		case strings.HasPrefix(said, bare) && !strings.HasSuffix(line, "back 0"):
			t.Errorf("shown is %q", line)
		case strings.HasPrefix(said, tagged) && !strings.HasSuffix(line, "good morning"):
			t.Errorf("shown is %q", line)
		}
	}
	for _, c := range bob.node.Contacts() {
		if c.Tag != tags[c.Hashid] || c.Tag == "" {
			t.Errorf("%s [%s] is among the contacts", c.Name, c.Tag)
		}
	}
	// Whoever is written to by a name is the one that has just that name.
	bob.send(alice, "for alice")
	id, err := bob.node.Send("alice", "for alice alone")
	if err != nil {
		t.Fatal(err)
	}
	bob.awaitState(id.String(), "delivered")
	if got := mallory.texts(bob); len(got) != 0 {
		t.Errorf("the impostor got %q", got)
	}
}

// tag is what this person's program shows beside somebody's name.
func (p *person) tag(of *person) string {
	for _, c := range p.node.Contacts() {
		if c.Hashid == of.hashid().String() {
			return c.Tag
		}
	}
	for _, r := range p.node.Requests() {
		if r.From == of.hashid().String() {
			return r.Tag
		}
	}
	return "nobody"
}

// shownBy is all that somebody was shown so far.
func shownBy(p *person) string {
	var b strings.Builder
	events, _ := p.since(0)
	for _, e := range events {
		if shown := repl.Event(e); shown != "" {
			b.WriteString(shown + "\n")
		}
	}
	return b.String()
}

// openOnDisk is a person whose profile is in dir.
func openOnDisk(t *testing.T, name, dir string, net *network.Network) *person {
	t.Helper()
	p, err := node.OpenProfile(dir, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetNetwork(net, nil); err != nil {
		t.Fatal(err)
	}
	return newPerson(t, name, p)
}

// again starts the node of a person whose profile is in dir.
func (p *person) again(dir string, usable int) {
	p.t.Helper()
	p.stop()
	profile, err := node.OpenProfile(dir, []byte(passphrase))
	if err != nil {
		p.t.Fatal(err)
	}
	p.profile = profile
	mark := p.mark()
	p.start()
	await(p, mark, "relays", func(e control.RelaysChanged) bool { return e.Usable >= usable })
}

// identityIn reads, and if change is not nil replaces, the long-term keys in a profile, which are stored as
// package node says: a version, the seed of the Ed25519 key, and the X25519 key.
func identityIn(t *testing.T, dir string, change func(keys []byte)) []byte {
	t.Helper()
	v, err := vault.Open(filepath.Join(dir, "vault.db"), []byte(passphrase), nil)
	if err != nil {
		t.Fatal(err)
	}
	var keys []byte
	err = errors.Join(v.Update(func(tx *vault.Tx) error {
		var err error
		if keys, err = tx.Get("profile", "identity"); err != nil || change == nil {
			return err
		}
		change(keys)
		return tx.Put("profile", "identity", keys)
	}), v.Close())
	if err != nil || len(keys) != 65 {
		t.Fatalf("an identity of %d bytes, %v", len(keys), err)
	}
	return keys
}

// TestForgedIdentity has somebody who has stolen alice's Ed25519 key, and neither her X25519 key nor
// her sessions, publish records of its own in her name and write to bob. He is told, nothing that it says is taken in,
// nothing that he has said is sealed to it, and alice is who she was once she is back.
func TestForgedIdentity(t *testing.T) {
	t.Parallel()
	net := smallNetwork(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	hub := newPeople(t, net, 1)[0]
	alice, bob := openOnDisk(t, "alice", at("alice"), net), openOnDisk(t, "bob", at("bob"), net)
	introduce(t, alice, bob)
	start(t, []*person{hub, alice, bob}, 2)
	joined := hub.invited()
	roundTrips(alice, bob, 2)

	// They compare, and trust each other.
	hers, err := alice.node.Safety("bob")
	if err != nil {
		t.Fatal(err)
	}
	his, err := bob.node.Safety("alice")
	if err != nil || hers.Digits != his.Digits || hers.Words != his.Words || hers.QR != his.QR {
		t.Fatalf("they see\n%+v\n%+v, %v", hers, his, err)
	}
	if now, err := bob.node.Compare("alice", hers.Words, true); err != nil || !now.Verified {
		t.Fatalf("bob has alice as %+v, %v", now, err)
	}
	id, err := bob.node.SendAs("alice", "to you alone", control.How{Verified: true})
	if err != nil {
		t.Fatal(err)
	}
	bob.awaitState(id.String(), "delivered")

	// Somebody else with her key comes instead of her, and writes.
	alice.stop()
	waiting := bob.send(alice, "waits for alice")
	mallory := openOnDisk(t, "alice", at("mallory"), joined)
	if err := mallory.profile.Close(); err != nil {
		t.Fatal(err)
	}
	stolen := identityIn(t, at("alice"), nil)
	identityIn(t, at("mallory"), func(keys []byte) { copy(keys[:33], stolen[:33]) })
	mallory = openOnDisk(t, "alice", at("mallory"), joined)
	if mallory.hashid() != alice.hashid() {
		t.Fatal("the key is not alice's")
	}
	introduce(t, mallory, bob)
	t.Cleanup(mallory.stop)
	mallory.start()
	mallory.awaitRelays(2)
	mallory.send(bob, "send me money")
	isWarned := func(e control.Warning) bool { return e.About == "key" }
	if told := await(bob, 0, "a warning", isWarned); !strings.Contains(told.Text, "alice") || !strings.Contains(told.Text, "/verify alice") {
		t.Errorf("bob is told %q", told.Text)
	}
	for what, send := range map[string]func() error{
		"a text": func() error { _, err := bob.node.Send("alice", "who are you?"); return err },
		"one to the verified": func() error {
			_, err := bob.node.SendAs("alice", "who are you?", control.How{Verified: true})
			return err
		},
	} {
		if err := send(); !errors.Is(err, contact.ErrKeyChanged) {
			t.Errorf("%s: %v", what, err)
		}
	}

	// Nor does the text that waits go to the key that her record names now.
	mark := bob.mark()
	bob.again(at("bob"), 2)
	held := await(bob, mark, "the text to be held", func(e control.StatusChanged) bool {
		return e.ID == waiting && strings.Contains(e.Reason, "identity key has changed")
	})
	if text, err := bob.node.Text(waiting); err != nil || !text.Changed || held.State != "queued" {
		t.Errorf("the text is %+v, %v", text, err)
	}
	await(bob, mark, "a warning", isWarned)
	changed, err := bob.node.Safety("alice")
	if err != nil || !changed.Changed || changed.Verified || changed.Digits == his.Digits {
		t.Errorf("bob is shown %+v, %v", changed, err)
	}
	for _, same := range []bool{true, false} {
		if _, err := bob.node.Compare("alice", his.Digits, same); !errors.Is(err, control.ErrOtherNumber) {
			t.Errorf("an answer to the number of before: %v", err)
		}
	}
	if got := mallory.texts(bob); len(got) != 0 {
		t.Errorf("the thief got %q", got)
	}
	if got := bob.texts(alice); len(got) != 2 {
		t.Errorf("bob got %q", got)
	}

	// He refuses the key. Alice comes back, publishes anew, and gets what waited for her.
	if now, err := bob.node.Compare("alice", changed.Digits, false); err != nil || now.Changed || !now.Verified {
		t.Errorf("bob has alice as %+v, %v", now, err)
	}
	mallory.stop()
	alice.again(at("alice"), 2)
	alice.send(bob, "I am back")
	bob.awaitText(alice, "I am back")
	bob.again(at("bob"), 2)
	alice.awaitText(bob, "waits for alice")
	if shown, err := bob.node.Safety("alice"); err != nil || shown.Changed || !shown.Verified || shown.Digits != his.Digits {
		t.Errorf("in the end bob is shown %+v, %v", shown, err)
	}
	if id, err = bob.node.SendAs("alice", "it is you", control.How{Verified: true}); err != nil {
		t.Fatal(err)
	}
	bob.awaitState(id.String(), "delivered")
}
