package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"chatnt/discovery/hashid"
	"chatnt/node/control"
	"chatnt/node/vault"
)

// twoIdentities makes a profile in dir with a network, a contact of the identity
// main, and another identity, work, which is in use then.
func twoIdentities(t *testing.T, dir string) (main, work *Profile) {
	t.Helper()
	main = openProfile(t, dir)
	if err := main.SetNetwork(testNetwork(t), []string{"/ip4/127.0.0.1/tcp/4001"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(main.Introduce(bob().hashid(), "bob"), main.setNick("ada")); err != nil {
		t.Fatal(err)
	}
	if _, err := main.AddIdentity("work", time.Unix(1e9, 5)); err != nil {
		t.Fatal(err)
	}
	work, err := main.Use("work", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return main, work
}

func identityNames(t *testing.T, p *Profile) (list []string, used string) {
	t.Helper()
	ids, err := p.Identities()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		list = append(list, id.Name)
		if id.Used {
			used += id.Name
		}
	}
	return list, used
}

// Two identities of a profile share its network and nothing else, and the one used
// last is used at the next start.
func TestIdentities(t *testing.T) {
	dir := t.TempDir()
	main, work := twoIdentities(t, dir)
	if main.Hashid() == work.Hashid() || main.Node() == work.Node() || bytes.Equal(main.identity.agreement.Bytes(), work.identity.agreement.Bytes()) ||
		main.prekeys.generations[0].keys.Key.Equal(work.prekeys.generations[0].keys.Key) {
		t.Error("two identities share a key")
	}
	if work.Network().ID() != main.Network().ID() {
		t.Error("the second identity is in another network")
	}
	if got := work.Listen(); len(got) != 1 || got[0] != "/ip4/127.0.0.1/tcp/0" {
		t.Errorf("the second identity listens on %v: the first one's port shows that they are one", got)
	}
	if nick, err := work.nick(); nick != "" || err != nil {
		t.Errorf("the second identity calls itself %q, %v", nick, err)
	}
	if got := messengerOf(t, work).book.Contacts(); len(got) != 0 {
		t.Errorf("the second identity knows %v", got)
	}
	if err := work.Introduce(bob().hashid(), "robert"); err != nil {
		t.Fatal(err)
	}
	if _, err := work.nextSequence("node", time.Unix(5, 0)); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[*Profile]string{main: "bob", work: "robert"} {
		if got := messengerOf(t, p).book.Contacts(); len(got) != 1 || got[0].Name != want {
			t.Errorf("%s knows %v", p.name, got)
		}
	}
	ids, err := main.Identities()
	if err != nil || len(ids) != 2 || ids[1].Hashid != work.Hashid().String() || ids[1].Node != work.Node().String() ||
		ids[0].Hashid != main.Hashid().String() || ids[0].Used || !ids[1].Used || !ids[1].Made.Equal(time.Unix(1e9, 0)) || time.Since(ids[0].Made) > time.Minute {
		t.Errorf("the identities are %+v, %v", ids, err)
	}
	if err := main.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := work.nick(); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("one is open after the other was closed: %v", err)
	}

	again := openProfile(t, dir)
	if again.Hashid() != work.Hashid() || again.shownName() != "work" || again.Listen()[0] != "/ip4/127.0.0.1/tcp/0" {
		t.Errorf("after a restart %q is in use", again.name)
	}
	back, err := again.Use("Main", time.Now())
	if err != nil || back.Hashid() != main.Hashid() || back.Listen()[0] != "/ip4/127.0.0.1/tcp/4001" {
		t.Errorf("back to the first: %v", err)
	}
}

// No entry of one identity is reachable from another, in any bucket, whatever the two
// hold: what is stored under one name is another value to each.
func TestIdentitiesAreApart(t *testing.T) {
	main, work := twoIdentities(t, t.TempDir())
	if err := work.Introduce(bob().hashid(), "robert"); err != nil {
		t.Fatal(err)
	}
	buckets := append(messengerBuckets(), bucketProfile, bucketRelays, bucketRecords, bucketHistory(bob().hashid()), bucketIdentities)
	for _, p := range []*Profile{main, work} {
		err := p.vault.Update(func(tx *vault.Tx) error {
			for _, bucket := range buckets {
				if err := tx.Put(bucket, "of "+p.name, []byte("x")); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	entries := func(p *Profile) map[string]string {
		all := make(map[string]string)
		err := p.vault.View(func(tx *vault.Tx) error {
			for _, bucket := range buckets {
				if err := tx.ForEach(bucket, func(key string, raw []byte) error { all[bucket+"/"+key] = string(raw); return nil }); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	ofMain, ofWork := entries(main), entries(work)
	if len(ofMain) < len(buckets) || len(ofWork) < len(buckets) {
		t.Fatalf("only %d and %d entries", len(ofMain), len(ofWork))
	}
	for key, value := range ofMain {
		other, both := ofWork[key]
		if both && other == value && key != bucketProfile+"/"+keyNetwork {
			t.Errorf("both have the same %s", key)
		}
		if strings.HasSuffix(key, "/of work") {
			t.Errorf("main has %s", key)
		}
	}
	for key := range ofWork {
		if strings.HasSuffix(key, "/of main") || key == bucketIdentities+"/"+keyRoster {
			t.Errorf("work has %s", key)
		}
	}
}

func TestNamesOfIdentities(t *testing.T) {
	p, err := Ephemeral(testNetwork(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":                         "a name is missing",
		"two words":                "a name is made of",
		"-now":                     "does not begin with",
		"Main":                     `the name "Main" is taken`,
		"\uff2d\uff21\uff29\uff2e": "is taken by another identity", // full-width
		bob().hashid().String():    "a name is no hashid",
		strings.Repeat("x", 65):    "at most 64 bytes",
		"a\u202eb":                 "a name is made of",
	} {
		if _, err := p.AddIdentity(name, time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	if list, _ := identityNames(t, p); len(list) != 1 {
		t.Errorf("what was refused was made: %q", list)
	}
	for i := range maxIdentities - 1 {
		if id, err := p.AddIdentity(fmt.Sprint("id", i), time.Now()); err != nil || id.Name != fmt.Sprint("id", i) || id.Used {
			t.Fatalf("%d: %+v, %v", i, id, err)
		}
	}
	if _, err := p.AddIdentity("more", time.Now()); err == nil || !strings.Contains(err.Error(), "at most 32 identities") {
		t.Errorf("one too many: %v", err)
	}
	if _, err := p.Use("nobody", time.Now()); !errors.Is(err, errNoIdentity) {
		t.Errorf("use of one that there is not: %v", err)
	}
	if err := p.DeleteIdentity("nobody"); !errors.Is(err, errNoIdentity) {
		t.Errorf("deletion of one that there is not: %v", err)
	}
}

// A new identity begins with the relays that the one in use knows.
func TestNewIdentityKnowsRelays(t *testing.T) {
	p, err := Ephemeral(testNetwork(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketRelays, "0", []byte("a relay")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := p.AddIdentity("work", time.Now()); err != nil {
		t.Fatal(err)
	}
	work, err := p.Use("work", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	err = work.vault.View(func(tx *vault.Tx) error {
		raw, err := tx.Get(bucketRelays, "0")
		if string(raw) != "a relay" {
			t.Errorf("it knows %q", raw)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Whoever made a network is in its invite, as the node of one identity. The others, and one that is not
// kept, name that to nobody; other members they do.
func TestIdentitiesDoNotNameEachOther(t *testing.T) {
	net := testNetwork(t)
	first := addrs(t, "/ip4/127.0.0.1/tcp/4001")
	main, err := Ephemeral(net, []string{first[0].String()})
	if err != nil {
		t.Fatal(err)
	}
	own, err := main.withPeerID(first)
	if err != nil {
		t.Fatal(err)
	}
	friends, err := testProfile(t).withPeerID(addrs(t, "/ip4/127.0.0.1/tcp/4002"))
	if err != nil {
		t.Fatal(err)
	}
	net.Bootstrap = append(own, friends...)
	err = errors.Join(main.SetNetwork(net, nil), main.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketRelays, "7", []byte("a relay")) }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := main.AddIdentity("work", time.Now()); err != nil {
		t.Fatal(err)
	}
	work, err := main.Use("work", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	forgotten, err := work.Ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	defer forgotten.Close()
	for what, p := range map[string]*Profile{"another identity": work, "one that is not kept": forgotten} {
		if got := p.Network().Bootstrap; len(got) != 1 || !got[0].Equal(friends[0]) || p.Network().ID() != net.ID() {
			t.Errorf("the network of %s is joined by way of %v", what, got)
		}
		if got := p.Listen(); !slices.Equal(got, []string{"/ip4/127.0.0.1/tcp/0"}) {
			t.Errorf("%s listens on %v", what, got)
		}
		n := 0
		err := p.vault.View(func(tx *vault.Tx) error {
			return tx.ForEach(bucketRelays, func(_ string, raw []byte) error { n++; return wrongIf(string(raw) != "a relay", "a relay") })
		})
		if err != nil || n != 1 {
			t.Errorf("%s knows %d relays, %v", what, n, err)
		}
	}
	if got := main.Network().Bootstrap; len(got) != 2 {
		t.Errorf("the first identity's network is joined by way of %v", got)
	}
	if forgotten.Hashid() == work.Hashid() || forgotten.Node() == work.Node() || forgotten.name != firstIdentity {
		t.Error("the one that is not kept is one that is")
	}
	if _, err := (&Profile{vault: main.vault, name: "main"}).Ephemeral(); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("without a network: %v", err)
	}
}

// sealedValues returns the values that a vault's file holds, as they are sealed.
func sealedValues(t *testing.T, path string) [][]byte {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	raw, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(copied, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(copied, 0o600, &bolt.Options{PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all [][]byte
	err = db.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("vault")).ForEach(func(_, value []byte) error {
			all = append(all, bytes.Clone(value))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Nothing of a deleted identity is in the vault's file, and all of the others is;
// whether it is the first one or another. The one in use stays.
func TestDeleteIdentity(t *testing.T) {
	for _, victim := range []string{"main", "work"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "vault.db")
		main, work := twoIdentities(t, dir)
		if err := work.Introduce(bob().hashid(), "robert"); err != nil {
			t.Fatal(err)
		}
		kept, used := map[string]*Profile{"main": work, "work": main}[victim], main
		if victim == "main" {
			used = work
		}
		if _, err := work.Use(kept.name, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := used.DeleteIdentity(kept.name); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s, which is in use: %v", kept.name, err)
		}
		if _, err := used.AddIdentity("third", time.Now()); err != nil {
			t.Fatal(err)
		}
		before := sealedValues(t, path)
		if err := os.WriteFile(path+".v1", []byte("of before an update"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := used.DeleteIdentity(strings.ToUpper(victim)); err != nil {
			t.Fatal(err)
		}
		after := sealedValues(t, path)
		if vault.Exists(path + ".v1") {
			t.Errorf("%s: a copy that an update kept is there", victim)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		gone := slices.DeleteFunc(before, func(value []byte) bool {
			return slices.ContainsFunc(after, func(v []byte) bool { return bytes.Equal(v, value) })
		})
		if len(gone) < 6 { // its keys, network and contact, the list and the census
			t.Errorf("%s: only %d values are gone", victim, len(gone))
		}
		for _, value := range gone {
			for at := 0; at+16 <= len(value); at += 16 {
				if bytes.Contains(raw, value[at:at+16]) {
					t.Fatalf("%s: the file still holds a piece of a value of %d bytes", victim, len(value))
				}
			}
		}
		if list, inUse := identityNames(t, used); !slices.Equal(list, []string{kept.name, "third"}) || inUse != kept.name {
			t.Errorf("left are %q, and %q is in use", list, inUse)
		}
		if err := used.Close(); err != nil {
			t.Fatal(err)
		}
		again := openProfile(t, dir)
		if again.Hashid() != kept.Hashid() || len(messengerOf(t, again).book.Contacts()) != 1 {
			t.Errorf("%s is not what it was", kept.name)
		}
		if _, err := again.Use(victim, time.Now()); !errors.Is(err, errNoIdentity) {
			t.Errorf("%s is there: %v", victim, err)
		}
		if _, err := again.AddIdentity(victim, time.Now()); err != nil {
			t.Errorf("its name is not free: %v", err)
		}
	}
}

// A profile of the time when there was one identity is that of the identity main.
func TestProfileWithoutRoster(t *testing.T) {
	dir := t.TempDir()
	p := openProfile(t, dir)
	id := p.Hashid()
	err := p.vault.Update(func(tx *vault.Tx) error { return tx.Delete(bucketIdentities, keyRoster) })
	if err := errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	p = openProfile(t, dir)
	list, used := identityNames(t, p)
	if p.Hashid() != id || used != "main" || len(list) != 1 || p.shownName() != "" {
		t.Errorf("it has %q, %q in use", list, used)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "vault.db")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("opening it changed the file: %v", err)
	}
	p = openProfile(t, dir)
	if _, err := p.AddIdentity("work", time.Now()); err != nil {
		t.Fatal(err)
	}
	if list, used := identityNames(t, p); !slices.Equal(list, []string{"main", "work"}) || used != "main" || p.Hashid() != id {
		t.Errorf("then it has %q, %q in use", list, used)
	}
}

// What no version of this program stores is not taken for a profile.
func TestDamagedRoster(t *testing.T) {
	for name, r := range map[string]roster{
		"none in use":    {Use: "", Identities: []entry{{Name: "main"}}},
		"another in use": {Use: "work", Identities: []entry{{Name: "main"}}},
		"half a space":   {Use: "main", Identities: []entry{{Name: "main"}, {Name: "work", Space: []byte{1}}}},
		"an empty one":   {Use: "work", Identities: []entry{{Name: "work", Space: bytes.Repeat([]byte{1}, 16)}}},
	} {
		dir := t.TempDir()
		p := openProfile(t, dir)
		err := p.vault.Update(func(tx *vault.Tx) error { return store(tx, bucketIdentities, keyRoster, r) })
		if err := errors.Join(err, p.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenProfile(dir, []byte("secret")); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A visible identity takes no hidden one beside it, in either order, and the rule holds
// wherever the roster changes.
func TestVisibleAndHiddenDoNotMix(t *testing.T) {
	visible, hidden := entry{Name: "a"}, entry{Name: "b", Hidden: true}
	for _, tt := range []struct {
		list []entry
		want error
	}{
		{[]entry{visible}, nil},
		{[]entry{hidden}, nil},
		{[]entry{visible, visible}, nil},
		{[]entry{hidden, hidden}, nil},
		{[]entry{visible, hidden}, errSideBySide},
		{[]entry{hidden, visible}, errSideBySide},
		{[]entry{hidden, hidden, visible}, errSideBySide},
	} {
		if err := (&roster{Identities: tt.list}).check(); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.list, err, tt.want)
		}
	}
	_, work := twoIdentities(t, t.TempDir())
	if _, err := work.hide(); !errors.Is(err, errSideBySide) {
		t.Errorf("one of two is hidden: %v", err)
	}
	if err := work.DeleteIdentity("main"); err != nil {
		t.Fatal(err)
	}
	next, err := work.hide()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.AddIdentity("other", time.Now()); err != nil {
		t.Errorf("a hidden one beside a hidden one: %v", err)
	}
	err = next.vault.Whole().Update(func(tx *vault.Tx) error {
		return changeRoster(tx, func(r *roster) error { r.Identities[0].Hidden = false; return nil })
	})
	if !errors.Is(err, errSideBySide) {
		t.Errorf("one of two becomes visible: %v", err)
	}
}

// Hiding changes the node's key for good, and nothing else.
func TestHideMakesANewNodeKey(t *testing.T) {
	dir := t.TempDir()
	p := openProfile(t, dir)
	if err := errors.Join(p.SetNetwork(testNetwork(t), nil), p.Introduce(bob().hashid(), "bob")); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"node", "person"} {
		if _, err := p.nextSequence(what, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	hidden, err := p.hide()
	if err != nil {
		t.Fatal(err)
	}
	if hidden.Node() == p.Node() || hidden.Hashid() != p.Hashid() || hidden.Network() == nil || len(messengerOf(t, hidden).book.Contacts()) != 1 {
		t.Error("hiding changed something else than the node's key")
	}
	for what, want := range map[string]uint64{"node": 0, "person": 1e9} {
		err := hidden.vault.View(func(tx *vault.Tx) error {
			got, err := lastSequence(tx, what)
			if got != want {
				t.Errorf("the last sequence of the %s is %d, want %d", what, got, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := hidden.Close(); err != nil {
		t.Fatal(err)
	}
	if again := openProfile(t, dir); again.Node() != hidden.Node() || again.Node() == (hashid.NodeID{}) {
		t.Error("the new key was not stored")
	}
}

func TestSetVisible(t *testing.T) {
	for _, p := range []control.Profile{new(Runner), new(Node)} {
		if v := p.Visible(); !v.Visible || !strings.Contains(v.Why, "cannot be taken back") {
			t.Errorf("visible: %+v", v)
		}
		if v, err := p.SetVisible(true); err != nil || v != p.Visible() {
			t.Errorf("on: %+v, %v", v, err)
		}
		if _, err := p.SetVisible(false); !errors.Is(err, errVisible) {
			t.Errorf("off: %v", err)
		}
	}
}

// Who can see a person is told at the first start that somebody hears of, of each identity.
func TestFirstStart(t *testing.T) {
	main, work := twoIdentities(t, t.TempDir())
	for _, p := range []*Profile{main, work} {
		for i := range 4 {
			if first, err := p.started(time.Now()); err != nil || first != (i < 2) {
				t.Errorf("%s, start %d: first is %v, %v", p.name, i, first, err)
			}
			if i == 1 {
				if err := p.setTold(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
