package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

// talking is a messenger in the middle of a conversation with bob: with texts that wait, texts that came early,
// half a text, and what was said.
func talking(t *testing.T) *messenger {
	t.Helper()
	m := withCarol(t)
	if _, err := m.configure("bob", func(_ *vault.Tx, l *ledger) error { l.History = true; return nil }); err != nil {
		t.Fatal(err)
	}
	begin(t, m, bob(), testText(1, "hi"))
	deliver(t, m, bob(), part(2, 1, 0, 2, strings.Repeat("x", message.PartSize)))
	deliver(t, m, bob(), testText(9, "early"))
	for _, text := range []string{"sealed", strings.Repeat("long ", message.PartSize)} {
		if _, err := m.send("bob", text); err != nil {
			t.Fatal(err)
		}
	}
	sealDue(t, m, bob())
	if err := m.profile.vault.Update(func(tx *vault.Tx) error {
		return tx.Put(bucketRecords, bob().hashid().String(), []byte("record"))
	}); err != nil {
		t.Fatal(err)
	}
	begin(t, m, carol(), testText(1, "hello"))
	transcript(m)
	return m
}

// of counts what is stored of a person, bucket by bucket.
func of(t *testing.T, m *messenger, id *identity) map[string]int {
	t.Helper()
	count := make(map[string]int)
	peer := id.hashid()
	note := func(bucket string, is bool) error {
		if is {
			count[bucket]++
		}
		return nil
	}
	err := m.profile.vault.View(func(tx *vault.Tx) error {
		for _, bucket := range append(messengerBuckets(), bucketRecords, bucketHistory(peer)) {
			err := tx.ForEach(bucket, func(key string, raw []byte) error {
				switch bucket {
				case bucketHistory(peer):
					return note("history", true)
				case bucketHellos:
					return note(bucket, slices.Equal(raw[:len(peer)], peer[:]))
				case bucketUnshown:
					return note(bucket, strings.Contains(string(raw), peer.String()))
				}
				return note(bucket, strings.HasPrefix(key, peer.String()))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestBlock(t *testing.T) {
	m := talking(t)
	c := m.conversation(bob().hashid())
	late := sealIn(t, initiate(t, m, bob()), testText(1, "a new session"))
	good, before := m.profile.vault, of(t, m, bob())
	m.profile.vault = closedVault()
	if err := m.block("bob"); err == nil || !strings.Contains(err.Error(), "could not be blocked") {
		t.Errorf("with a vault that fails: %v", err)
	}
	m.profile.vault = good
	if who := contactOf(t, m, bob()); who.State != contact.Accepted || len(c.talks) == 0 || len(c.outbox) == 0 {
		t.Errorf("what failed has changed something: %+v", who)
	}
	if err := m.block("bob"); err != nil {
		t.Fatal(err)
	}
	expectTold(t, m, "failed the contact is blocked", "failed the contact is blocked", "bob is blocked")
	want := map[string]int{
		bucketContacts: 1, bucketConversations: 1, bucketSeen: 1, bucketUnshown: 1, bucketHellos: before[bucketHellos], bucketRecords: 1, "history": before["history"],
	}
	for range 2 {
		if left := of(t, m, bob()); !maps.Equal(left, want) {
			t.Errorf("%v is stored, want %v", left, want)
		}
		if c := m.conversation(bob().hashid()); len(c.talks)+len(c.outbox) != 0 || c.current() != nil || c.Generation == 0 {
			t.Errorf("%d sessions and %d messages are left", len(c.talks), len(c.outbox))
		}
		if _, _, _, idle := m.takeDue(c); !idle {
			t.Error("a sender has something to do")
		}

		// Nothing is heard, and nothing stays of it.
		m.arrived(late)
		begin(t, m, bob(), ask("Bobby", "why?"))
		begin(t, m, bob(), say(message.Accept, 1))
		expectTold(t, m)
		if left := of(t, m, bob()); !maps.Equal(left, want) {
			t.Errorf("after messages %v is stored, want %v", left, want)
		}
		if r := receipt(m); r != 0 {
			t.Errorf("the receipt is up to %d", r)
		}

		// And nothing is done by mistake.
		if _, err := m.send("bob", "hi"); !errors.Is(err, errBlocked) {
			t.Errorf("a text: %v", err)
		}
		if err := m.add(bob().hashid(), "bob", ""); !errors.Is(err, errBlocked) {
			t.Errorf("a request: %v", err)
		}
		if err := m.accept("bob", ""); !errors.Is(err, errBlocked) {
			t.Errorf("a yes: %v", err)
		}
		if err := m.block("bob"); err == nil || !strings.Contains(err.Error(), "bob is blocked already") {
			t.Errorf("twice: %v", err)
		}
		m = messengerOf(t, m.profile)
		m.unshown = nil
	}
	serveCarol(t, m)
}

// serveCarol checks that carol's conversation goes on.
func serveCarol(t *testing.T, m *messenger) {
	t.Helper()
	deliver(t, m, carol(), testText(2, "still here"))
	expectTold(t, m, "carol: still here")
}

// Whoever is blocked while it asks, or before, is heard of no more.
func TestBlockStrangers(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	begin(t, m, bob(), ask("Bobby", ""))
	transcript(m)
	if err := m.block("Bobby"); err != nil {
		t.Fatal(err)
	}
	if err := m.block(carol().hashid().String()); err != nil {
		t.Fatal(err)
	}
	expectTold(t, m, bob().hashid().String()+" is blocked", carol().hashid().String()+" is blocked")
	for _, name := range []string{"nobody", m.profile.Hashid().String()} {
		if err := m.block(name); err == nil {
			t.Errorf("%s was blocked", name)
		}
	}
	for range 2 {
		begin(t, m, bob(), ask("Bobby", "again"))
		begin(t, m, carol(), ask("carol", ""))
		expectTold(t, m)
		if left := of(t, m, bob()); left[bucketRequests]+left[bucketTalks] != 0 || len(m.book.Requests()) != 0 {
			t.Errorf("%v is stored of who was blocked", left)
		}
		m = messengerOf(t, m.profile)
	}
}

// One that was blocked is a stranger once it is not any more, and may ask.
func TestUnblock(t *testing.T) {
	m := talking(t)
	node := &Node{messenger: m}
	if err := node.Unblock("bob"); err == nil || !strings.Contains(err.Error(), "not blocked") {
		t.Errorf("who is not blocked: %v", err)
	}
	if err := node.Block("bob"); err != nil {
		t.Fatal(err)
	}
	transcript(m)
	if err := node.Remove("bob"); err == nil || !strings.Contains(err.Error(), "/unblock") {
		t.Errorf("to remove who is blocked: %v", err)
	}
	if err := node.Unblock("bob"); err != nil {
		t.Fatal(err)
	}
	expectTold(t, m, "bob is removed")
	begin(t, m, bob(), ask("Bobby", "sorry"))
	expectTold(t, m, "request of Bobby: sorry")
}

func TestRemove(t *testing.T) {
	m := talking(t)
	node := &Node{messenger: m}
	c := m.conversation(bob().hashid())
	first := sealIn(t, initiate(t, m, bob()), ask("Bobby", "it is me"))
	m.arrived(first) // as a contact asks that has lost its memory
	transcript(m)
	in := c.talks[0]
	frame := sealIn(t, initiate(t, m, bob()), testText(1, "hi"))
	good := m.profile.vault
	m.profile.vault = closedVault()
	if err := node.Remove("bob"); err == nil || !strings.Contains(err.Error(), "could not be removed") {
		t.Errorf("with a vault that fails: %v", err)
	}
	m.profile.vault = good
	if err := node.Remove("carl"); !errors.Is(err, contact.ErrUnknown) {
		t.Errorf("who is not there: %v", err)
	}
	if _, ok := m.book.Contact(bob().hashid()); !ok || len(c.talks) == 0 {
		t.Error("what failed has changed something")
	}
	hellos := len(m.hellos)
	if err := node.Remove("bob"); err != nil {
		t.Fatal(err)
	}
	expectTold(t, m, "failed the contact was removed", "failed the contact was removed", "bob is removed")
	// A frame that was looked at when the contact went, and its sender, find nothing.
	if m.openedIn([]*conversation{c}, frame, func(*ratchet.Session, []byte) bool { return true }) {
		t.Error("a frame opens in a conversation that is gone")
	}
	if _, _, _, idle := m.takeDue(c); !idle {
		t.Error("a sender has something to do")
	}
	if acks, err := m.sealAll(c, recordOf(bob()), nil, []*talk{in}); err != nil || len(acks) != 0 {
		t.Errorf("%d receipts were sealed, %v", len(acks), err)
	}
	for range 2 {
		if left := of(t, m, bob()); len(left) != 0 {
			t.Errorf("%v is stored of who was removed", left)
		}
		if len(m.hellos) != hellos || len(m.hellos.of(bob().hashid())) != 0 || m.conversations[bob().hashid()] != nil || len(m.recent) != 1 {
			t.Errorf("%d first messages and %d conversations are remembered", len(m.hellos), len(m.recent))
		}

		// What comes now is a stranger's: nothing, also of what is taken in twice never.
		m.arrived(first)
		m.arrived(frame)
		expectTold(t, m)
		if left := of(t, m, bob()); len(left) != 0 {
			t.Errorf("%v is stored of a stranger", left)
		}
		m = messengerOf(t, m.profile)
		m.unshown = nil
	}
	begin(t, m, bob(), ask("Bobby", "let us begin anew"))
	expectTold(t, m, "request of Bobby: let us begin anew")
	if err := m.accept("Bobby", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.send("bob", "hi again"); err != nil {
		t.Fatal(err)
	}
	transcript(m)
	serveCarol(t, m)
}

func TestRename(t *testing.T) {
	m := withCarol(t)
	node := &Node{messenger: m}
	for _, bad := range []string{"", "carol", "Carol", "/bob", "two words", "bob:", strings.Repeat("x", 65)} {
		if _, err := node.Rename("bob", bad); err == nil {
			t.Errorf("bob is called %q", bad)
		}
	}
	if _, err := node.Rename("nobody", "x"); !errors.Is(err, contact.ErrUnknown) {
		t.Errorf("who is not there: %v", err)
	}
	good := m.profile.vault
	m.profile.vault = closedVault()
	if _, err := node.Rename("bob", "robert"); err == nil || contactOf(t, m, bob()).Name != "bob" {
		t.Errorf("with a vault that fails: %v", err)
	}
	m.profile.vault = good
	if c, err := node.Rename("bob", "\uff32\uff4f\uff42"); err != nil || c.Name != "Rob" {
		t.Errorf("called %q, %v", c.Name, err)
	}
	// One that is blocked keeps its name from nobody.
	if err := m.block("carol"); err != nil {
		t.Fatal(err)
	}
	if c, err := node.Rename("Rob", "carol"); err != nil || c.Name != "carol" || c.Hashid != bob().hashid().String() {
		t.Errorf("called %q, %v", c.Name, err)
	}
	for range 2 {
		if who := contactOf(t, m, carol()); who.Name != carol().hashid().String() || contactOf(t, m, bob()).Name != "carol" {
			t.Errorf("the one is called %s", who.Name)
		}
		m = messengerOf(t, m.profile)
	}
}

// Names are kept in their normal form.
func TestNamesAreNormal(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	if err := m.add(bob().hashid(), "\uff22\uff4f\uff42", ""); err != nil {
		t.Fatal(err)
	}
	begin(t, m, carol(), ask("x", ""))
	if err := m.accept(carol().hashid().String(), "Zoe\u0308"); err != nil {
		t.Fatal(err)
	}
	if one, two := contactOf(t, m, bob()).Name, contactOf(t, m, carol()).Name; one != "Bob" || two != "Zo\u00eb" {
		t.Errorf("they are called %+q and %+q", one, two)
	}
}

// A request with work takes the place of one with less, of which nothing stays, and which may come again.
func TestRequestsAreDisplaced(t *testing.T) {
	m := messengerOf(t, testProfile(t))
	least := sealIn(t, initiate(t, m, bob()), ask("Bobby", "the first"))
	m.arrived(least)
	for i := range uint16(contact.MaxRequests - 1) {
		begin(t, m, someone(100+i), ask("", ""))
	}
	transcript(m)
	stranger := func(id *identity, work uint8) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		c, msg := newConversation(ledger{Peer: id.hashid(), Next: 1}), ask("worker", "")
		in := newTalk(initiate(t, m, id), 1, time.Now())
		in.keys = id.compared()
		c.talks = []*talk{in}
		return m.takeStranger(c, in, msg, contact.Request{From: id.hashid(), Nick: "worker", At: time.Now(), Work: work})
	}
	if stranger(someone(200), 0) {
		t.Error("a request too many was taken in")
	}
	good := m.profile.vault
	m.profile.vault = closedVault()
	if stranger(someone(201), 9) || len(m.book.Requests()) != contact.MaxRequests {
		t.Error("a request that is stored nowhere was taken in")
	}
	m.profile.vault = good
	if left := of(t, m, bob()); left[bucketRequests] != 1 || left[bucketHellos] != 1 {
		t.Errorf("%v is stored of the one with the least work", left)
	}
	if !stranger(someone(201), 9) {
		t.Error("a request with work was left out")
	}
	expectTold(t, m, "request of worker: ")
	for range 2 {
		if _, open := m.book.Request(bob().hashid()); open || len(m.book.Requests()) != contact.MaxRequests {
			t.Errorf("%d requests are open", len(m.book.Requests()))
		}
		if left := of(t, m, bob()); len(left) != 0 || m.conversations[bob().hashid()] != nil {
			t.Errorf("%v is stored of who was displaced", left)
		}
		m.arrived(least) // no room
		expectTold(t, m)
		m = messengerOf(t, m.profile)
	}
	if err := m.reject(someone(100).hashid().String()); err != nil {
		t.Fatal(err)
	}
	transcript(m)
	m.arrived(least)
	expectTold(t, m, "request of Bobby: the first")
}

// A text can be asked for by its id, from its beginning to some time after its end.
func TestProgressOfAText(t *testing.T) {
	m := friends(t)
	node := &Node{messenger: m}
	long, err := m.send("bob", strings.Repeat("x", message.PartSize+1))
	if err != nil {
		t.Fatal(err)
	}
	state := func(id message.ID, want string) {
		t.Helper()
		if text, err := node.Text(id.String()); err != nil || text.State != want || text.To != bob().hashid().String() || text.Changed {
			t.Errorf("it is %+v, %v, want %s", text, err, want)
		}
	}
	state(long, control.Queued)
	due, _ := sealDue(t, m, bob())
	c := m.conversation(bob().hashid())
	nodeTook(m, c, due[0])
	state(long, control.Queued)
	nodeTook(m, c, due[1])
	state(long, control.Sent)
	deliver(t, m, bob(), receiptFor(m, bob(), 2))
	state(long, control.Delivered)
	failed, err := m.send("bob", "y")
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.giveUpAll(c, "so it is", func(*outgoing) bool { return true })
	m.mu.Unlock()
	if text, err := node.Text(failed.String()); err != nil || text.State != control.Failed || text.Reason != "so it is" {
		t.Errorf("it is %+v, %v", text, err)
	}
	for range endedKept {
		m.mu.Lock()
		m.ended(&outgoing{ID: message.NewID(), To: bob().hashid()}, control.Delivered, "")
		m.mu.Unlock()
	}
	if len(m.endings) != endedKept {
		t.Errorf("%d texts are remembered", len(m.endings))
	}
	for _, id := range []string{long.String(), "", "x", long.String() + "00", message.NewID().String()} {
		if text, err := node.Text(id); err == nil {
			t.Errorf("%q is %+v", id, text)
		}
	}
	asked := messengerOf(t, testProfile(t))
	if err := asked.add(bob().hashid(), "bob", ""); err != nil {
		t.Fatal(err)
	}
	id, err := asked.send("bob", "hi")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := asked.text(id.String()); err != nil || !strings.Contains(text.Reason, "accepts") {
		t.Errorf("it is %+v, %v", text, err)
	}
	if _, err := asked.text(asked.conversation(bob().hashid()).outbox[0].ID.String()); err == nil {
		t.Error("a request is a text")
	}
}

// Whom a name may be taken for another's is shown with a tag, wherever it is named.
func TestTagsStandBesideNames(t *testing.T) {
	m := friends(t)
	eve := someone(50)
	begin(t, m, bob(), testText(1, "it is me"))
	begin(t, m, eve, ask("b\u043eb", "it is me"))
	if e := drain(m.feed); len(e) != 2 || e[0].(control.MessageReceived).Tag != "" || e[1].(control.RequestReceived).Tag != eve.hashid().String()[:8] {
		t.Fatalf("told of %+v", e)
	}
	if err := m.accept(eve.hashid().String(), "B0b"); err != nil {
		t.Fatal(err)
	}
	deliver(t, m, eve, testText(2, "hi"))
	deliver(t, m, bob(), testText(2, "hi"))
	tagOf := map[string]string{"B0b": eve.hashid().String()[:8], "bob": bob().hashid().String()[:8]}
	for _, e := range drain(m.feed) {
		name, tag := "", ""
		switch e := e.(type) {
		case control.ContactChanged:
			name, tag = e.Local, e.Tag
		case control.MessageReceived:
			name, tag = e.Name, e.Tag
		}
		if tag != tagOf[name] {
			t.Errorf("%s is told of with tag %q", e.Event(), tag)
		}
	}
	node := &Node{messenger: m}
	for _, c := range node.Contacts() {
		if c.Tag != tagOf[c.Name] {
			t.Errorf("%s has tag %q", c.Name, c.Tag)
		}
	}
	if _, err := node.SetHistory("bob", true); err != nil {
		t.Fatal(err)
	}
	if _, err := m.send("bob", "kept"); err != nil {
		t.Fatal(err)
	}
	said, err := node.History("bob", 9)
	settings, err2 := node.Settings("bob")
	safety, err3 := node.Safety("bob")
	if err != nil || err2 != nil || err3 != nil || said[0].Tag != tagOf["bob"] || settings.Tag != tagOf["bob"] || safety.Tag != tagOf["bob"] {
		t.Errorf("%+v, %+v, %+v, %v, %v, %v", said, settings, safety, err, err2, err3)
	}
	if got, want := m.called(bob().hashid()), fmt.Sprintf("bob [%s]", tagOf["bob"]); got != want {
		t.Errorf("called %q, want %q", got, want)
	}
	if got := m.called(hashid.ID{9}); got != (hashid.ID{9}).String() {
		t.Errorf("a stranger is called %q", got)
	}
}
