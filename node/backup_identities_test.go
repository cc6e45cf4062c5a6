package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatnt/discovery/hashid"
	"chatnt/node/backup"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// threeIdentities is somebody with the full life of one identity, another that is in use, and
// a third. Each knows somebody else as bob, and has something to say to them.
func threeIdentities(t *testing.T) *Profile {
	t.Helper()
	p := fullLife(t).profile
	for i, name := range []string{"work", "third"} {
		if _, err := p.AddIdentity(name, time.Unix(1e9+int64(i), 0)); err != nil {
			t.Fatal(err)
		}
		var err error
		if p, err = p.Use(name, time.Now()); err != nil {
			t.Fatal(err)
		}
		friend := someone(uint16(5 + i))
		if err := errors.Join(p.setNick(name+"er"), p.Introduce(friend.hashid(), "bob"), p.Introduce(someone(7).hashid(), "other")); err != nil {
			t.Fatal(err)
		}
		m := messengerOf(t, p)
		_, err = m.configure("bob", func(_ *vault.Tx, l *ledger) error { l.History = true; return nil })
		if err != nil {
			t.Fatal(err)
		}
		m.arrived(sealIn(t, initiate(t, m, friend), testText(1, "to "+name)))
		if _, err := m.send("bob", "from "+name); err != nil {
			t.Fatal(err)
		}
		sealDue(t, m, friend)
	}
	p, err := p.Use("work", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// each returns a profile as every one of its identities sees it, and its roster.
func each(t *testing.T, p *Profile) (views []*Profile, r roster) {
	t.Helper()
	err := p.vault.Whole().View(func(tx *vault.Tx) (err error) {
		if r, err = readRoster(tx); err != nil {
			return err
		}
		for _, e := range r.Identities {
			of, err := p.as(tx, e)
			if err != nil {
				return err
			}
			views = append(views, of)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return views, r
}

// renewals counts the messages of a profile that say where it is found, and begin a session.
func renewals(t *testing.T, p *Profile) (n int) {
	t.Helper()
	for _, c := range messengerOf(t, p).conversations {
		for _, o := range c.outbox {
			if o.Kind == message.Link {
				n++
			}
		}
	}
	return n
}

// All identities come back as they were, each with its own contacts and what waits, with other
// nodes and prekeys and without a session; the one in use is that which was.
func TestBackupOfThreeIdentities(t *testing.T) {
	p := threeIdentities(t)
	raw := packed(t, p)
	restored := takenBack(t, raw)
	if restored.name != "work" || restored.Hashid() != p.Hashid() || restored.Unseen(time.Now()) != 0 {
		t.Errorf("%q is in use", restored.name)
	}
	was, rosterWas := each(t, p)
	now, rosterNow := each(t, restored)
	for i := range rosterWas.Identities {
		a, b := &rosterWas.Identities[i], &rosterNow.Identities[i]
		if bytes.Equal(a.Space, b.Space) != a.first() || b.Restored != (a.Name != "work") {
			t.Errorf("%s has the same space, or is restored: %v", a.Name, b.Restored)
		}
		a.Space, b.Space, b.Restored = nil, nil, false
	}
	rosterWas.Seen = time.Time{}
	if diff := cmp.Diff(rosterWas, rosterNow); diff != "" || len(was) != 3 {
		t.Fatal(diff)
	}
	nodes := make(map[hashid.NodeID]bool)
	for i, before := range was {
		after := now[i]
		nodes[before.Node()], nodes[after.Node()] = true, true
		if before.Hashid() != after.Hashid() || before.prekeys.generations[0].id == after.prekeys.generations[0].id {
			t.Errorf("%s is somebody else, or has the same prekeys", before.name)
		}
		if bytes.Contains(raw, before.nodeKey.Seed()) {
			t.Errorf("the node's key of %s is in the backup", before.name)
		}
		if n := len(after.network.Bootstrap); n != 1 {
			t.Errorf("the network of %s has %d addresses", before.name, n)
		}
		if got, want := renewals(t, after), map[string]int{"work": 2}[before.name]; got != want {
			t.Errorf("%s tells %d contacts where it is found, want %d", before.name, got, want)
		}
		compareLives(t, before, after)
	}
	if len(nodes) != 6 {
		t.Errorf("there are %d nodes", len(nodes))
	}
}

// compareLives compares what is stored of an identity with what is restored, but for sessions and
// what TestBackupHoldsWhatItShould looks at.
func compareLives(t *testing.T, was, now *Profile) {
	t.Helper()
	before, after := holds(t, was), holds(t, now)
	if _, ok := firstOf(before, bucketTalks); !ok {
		t.Errorf("%s has no session that could be missing", was.name)
	}
	for name, raw := range after {
		if !strings.HasPrefix(name, bucketConversations) && !strings.HasPrefix(name, bucketOutbox) {
			continue
		}
		if l, err := parse[ledger]("x", []byte(raw)); strings.HasPrefix(name, bucketConversations) && (err != nil || l.Current != "") {
			t.Errorf("%s goes on in a session, %v", was.name, err)
		}
		if o, err := parse[outgoing]("x", []byte(raw)); err == nil && o.Kind == message.Link {
			delete(after, name)
		}
	}
	gone := []string{
		bucketTalks, bucketEarly, bucketFrames, bucketHellos, bucketConversations, bucketProfile + " | " + keyNode,
		bucketProfile + " | " + keyPrekeys, bucketProfile + " | " + keyNetwork, bucketRecords, bucketRelays + " | 1",
	}
	drop(before, gone...)
	drop(after, gone...)
	if diff := cmp.Diff(before, after); diff != "" || len(after) < 6 {
		t.Errorf("%s, %d entries:\n%s", was.name, len(after), diff)
	}
}

// An identity that was restored begins its sessions anew when it is used, once: the moment is of its own,
// and it is in no session of before.
func TestRestoredIdentityIsUsedLater(t *testing.T) {
	p := takenBack(t, packed(t, threeIdentities(t)))
	later := time.Now().Add(48 * time.Hour).Truncate(time.Second)
	for _, at := range []time.Time{later, later.Add(time.Hour)} {
		third, err := p.Use("third", at)
		if err != nil {
			t.Fatal(err)
		}
		m := messengerOf(t, third)
		for _, c := range m.conversations {
			if c.Generation != uint32(later.Unix()/60) || c.Current != "" || len(c.talks) > 0 || len(c.outbox) == 0 {
				t.Errorf("a conversation goes on in session %q of generation %d, %d messages wait", c.Current, c.Generation, len(c.outbox))
			}
			for _, o := range c.outbox {
				if o.Kind == message.Link && !o.At.Equal(later) {
					t.Errorf("a session is begun at %v", o.At)
				}
			}
		}
		if len(m.conversations) != 2 || renewals(t, third) != 2 {
			t.Errorf("%d conversations, in %d of which it is said where this one is found", len(m.conversations), renewals(t, third))
		}
		if p, err = third.Use("work", at); err != nil {
			t.Fatal(err)
		}
	}
	again := takenBack(t, packed(t, p))
	if _, r := each(t, again); !r.Identities[0].Restored || r.Identities[1].Restored || !r.Identities[2].Restored {
		t.Errorf("restored once more: %+v", r.Identities)
	}
}

// A profile whose first identity is gone has its addresses without ports of its own, also restored.
func TestBackupWithoutTheFirst(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "p")
	_, work := twoIdentities(t, dir)
	if err := work.DeleteIdentity("main"); err != nil {
		t.Fatal(err)
	}
	if err := restore(to, entriesOf(t, packed(t, work)), []byte("secret")); err != nil {
		t.Fatal(err)
	}
	p := openProfile(t, to)
	if list, used := identityNames(t, p); !slices.Equal(list, []string{"work"}) || used != "work" || p.Hashid() != work.Hashid() {
		t.Errorf("there are %q, %q in use", list, used)
	}
	if got := p.Listen(); !slices.Equal(got, []string{"/ip4/127.0.0.1/tcp/0"}) || len(p.Network().Bootstrap) != 0 {
		t.Errorf("it listens on %v, and its invites name %v", got, p.Network().Bootstrap)
	}
}

// The ports are those of the first identity after a restore too: only its invites name them.
func TestRestoredPortsAreTheFirstOnes(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "p")
	_, work := twoIdentities(t, dir)
	if err := restore(to, entriesOf(t, packed(t, work)), []byte("secret")); err != nil {
		t.Fatal(err)
	}
	p := openProfile(t, to)
	if got := p.Listen(); p.name != "work" || !slices.Equal(got, []string{"/ip4/127.0.0.1/tcp/0"}) || len(p.Network().Bootstrap) != 0 {
		t.Errorf("%s listens on %v, and its invites name %v", p.name, got, p.Network().Bootstrap)
	}
	main, err := p.Use("main", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want, err := main.withPeerID(addrs(t, "/ip4/127.0.0.1/tcp/4001"))
	if err != nil {
		t.Fatal(err)
	}
	if got := main.Listen(); !slices.Equal(got, []string{"/ip4/127.0.0.1/tcp/4001"}) || len(main.Network().Bootstrap) != 1 || !main.Network().Bootstrap[0].Equal(want[0]) {
		t.Errorf("%s listens on %v, and its invites name %v", main.name, got, main.Network().Bootstrap)
	}
}

// Hidden identities stay hidden.
func TestBackupOfTheHidden(t *testing.T) {
	hidden, err := testProfile(t).hide()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hidden.AddIdentity("other", time.Now()); err != nil {
		t.Fatal(err)
	}
	_, r := each(t, takenBack(t, packed(t, hidden)))
	if len(r.Identities) != 2 || !r.Identities[0].Hidden || !r.Identities[1].Hidden {
		t.Errorf("they are %+v", r.Identities)
	}
}

// No backup is taken back whose identities could not be those of a profile.
func TestRestoreOfNoRoster(t *testing.T) {
	keys := bob().append(nil)
	one := func(name string, flags byte, made uint64) backup.Entry {
		value := append(binary.BigEndian.AppendUint64([]byte{flags}, made), keys...)
		return backup.Entry{Kind: backup.Identity, Key: name, Value: value}
	}
	main := one("main", carriedUsed|carriedPorts, 0)
	var many []backup.Entry
	for i := range maxIdentities {
		many = append(many, one(fmt.Sprint("id", i), 0, 1))
	}
	short := one("short", 0, 0)
	short.Value = short.Value[:carriedHead-1]
	settings := backup.Entry{Kind: backup.Settings, Value: []byte("listen = ['/ip4/127.0.0.1/tcp/4001']\n")}
	for name, list := range map[string][]backup.Entry{
		"nothing":               {},
		"none in use":           {one("main", carriedPorts, 0)},
		"two in use":            {main, one("work", carriedUsed, 0)},
		"two with the ports":    {main, one("work", carriedPorts, 0)},
		"two of a name":         {main, one("MAIN", 0, 0)},
		"a name in full width":  {main, one("\uff57", 0, 0)},
		"a name with an escape": {main, one("a\x1b", 0, 0)},
		"a hidden one beside":   {main, one("work", carriedHidden, 0)},
		"an unknown flag":       {main, one("work", 8, 0)},
		"made in the year 9999": {main, one("work", 0, lastMade+1)},
		"too many":              append([]backup.Entry{main}, many...),
		"half an identity":      {main, short},
		"settings of another":   {main, one("work", 0, 0), settings},
	} {
		var b bytes.Buffer
		w, err := backup.NewWriter(&b)
		for _, e := range list {
			err = errors.Join(err, w.Put(e))
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(name, err)
		}
		p := &Profile{vault: vault.Memory()}
		if err := p.takeBack(entriesOf(t, b.Bytes())); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		p.Close()
	}
	if list, err := rosterOf(append([]backup.Entry{main, settings}, many[1:]...)); err != nil || len(list) != maxIdentities {
		t.Errorf("as many as may be: %d, %v", len(list), err)
	}
}

// rosterOf unpacks entries.
func rosterOf(list []backup.Entry) ([]entry, error) {
	u := newUnpacker()
	for _, e := range list {
		if _, err := u.unpack(e); err != nil {
			return nil, err
		}
	}
	return u.roster.Identities, u.end()
}
