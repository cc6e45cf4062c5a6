package node

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/backup"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// packed is the backup of a profile, unsealed.
func packed(t testing.TB, p *Profile) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := backup.NewWriter(&b)
	if err == nil {
		err = p.backUp(w, time.Now())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// entriesOf reads a backup.
func entriesOf(t testing.TB, raw []byte) *backup.Reader {
	t.Helper()
	r, err := backup.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// takenBack is the profile of an unsealed backup, in memory.
func takenBack(t testing.TB, raw []byte) *Profile {
	t.Helper()
	p := &Profile{vault: vault.Memory()}
	if err := p.takeBack(entriesOf(t, raw)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// holds is all that lies in a profile's vault, by bucket and key.
func holds(t testing.TB, p *Profile) map[string]string {
	t.Helper()
	buckets := append(messengerBuckets(), bucketProfile, bucketRecords, bucketRelays)
	for n := range uint16(8) {
		buckets = append(buckets, bucketHistory(someone(n).hashid()))
	}
	all := make(map[string]string)
	err := p.vault.View(func(tx *vault.Tx) error {
		for _, bucket := range buckets {
			err := tx.ForEach(bucket, func(key string, value []byte) error { all[bucket+" | "+key] = string(value); return nil })
			if err != nil {
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

// drop takes away what lies under names that begin with one of the prefixes.
func drop(all map[string]string, prefixes ...string) {
	for name := range all {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			delete(all, name)
		}
	}
}

func testAddr(t testing.TB, s string) multiaddr.Multiaddr {
	t.Helper()
	a, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A full life: somebody with contacts in all states, sessions, texts on their way, kept, and not shown yet.
// bob and carol are contacts, the fourth was asked, the fifth asks, the sixth was rejected.
func fullLife(t *testing.T) *messenger {
	t.Helper()
	net := testNetwork(t)
	p, err := Ephemeral(net, []string{"/ip4/127.0.0.1/tcp/4001"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if net.Bootstrap, err = p.withPeerID([]multiaddr.Multiaddr{testAddr(t, "/ip4/127.0.0.1/tcp/4001")}); err != nil {
		t.Fatal(err)
	}
	other, err := testProfile(t).withPeerID([]multiaddr.Multiaddr{testAddr(t, "/ip4/127.0.0.1/tcp/4002")})
	if err != nil {
		t.Fatal(err)
	}
	net.Bootstrap = append(net.Bootstrap, other...)
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	must(p.SetNetwork(net, nil), p.setNick("ada"))
	must(p.Introduce(bob().hashid(), "bob"), p.Introduce(someone(3).hashid(), "carol"))
	_, err = p.nextSequence(sequencePerson, time.Now().Add(time.Hour))
	must(err)
	m := messengerOf(t, p)

	set := func(next *ledger) { next.History, next.TTL = true, time.Hour }
	_, err = m.configure("bob", func(_ *vault.Tx, l *ledger) error { set(l); return nil })
	must(err)
	session := initiate(t, m, bob())
	m.arrived(sealIn(t, session, testText(1, "one")))
	answer(t, m, session)
	m.arrived(sealIn(t, session, testText(2, "two")))
	m.arrived(sealIn(t, session, testText(4, "early")))
	for _, text := range []string{"a text that waits", strings.Repeat("long ", message.PartSize/2)} {
		_, err = m.send("bob", text)
		must(err)
	}
	sealDue(t, m, bob())
	must(m.add(someone(4).hashid(), "dora", "it is me"))
	sealDue(t, m, someone(4))
	m.arrived(sealIn(t, initiate(t, m, someone(5)), ask("eve", "let me in")))
	m.arrived(sealIn(t, initiate(t, m, someone(6)), ask("mallory", "me too")))
	must(m.reject("mallory"))

	m.mu.Lock()
	carol, _ := m.book.Contact(someone(3).hashid())
	must(m.relocate(carol, record.LinkKey(seeded(9)[32:])))
	m.mu.Unlock()
	for _, one := range []struct {
		id   *identity
		link ed25519.PrivateKey
	}{{bob(), nil}, {someone(3), seeded(9)}} {
		copies, err := prekeysOf(one.id).keyRecord(one.id, hashid.NodeID{1}, seq(), time.Now()).Copies(net.ID(), one.id.sign, one.link)
		must(err)
		who := listed(one.id)
		if one.link != nil {
			who = linkedTo(one.id, one.link)
		}
		m.people.find = finds(net.ID(), copies[0].Value)
		_, err = m.people.locate(t.Context(), who, false)
		must(err)
	}
	must(p.SetListed(false, time.Now()))
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	relay := &record.Descriptor{
		Node: [32]byte(key.Public().(ed25519.PublicKey)), Sequence: seq(), Expires: time.Now().Add(time.Hour),
		FirstEpoch: record.Epoch(time.Now()), Flags: record.FlagRelay, Addrs: []multiaddr.Multiaddr{testAddr(t, "/ip4/127.0.0.1/tcp/4003")},
	}
	for i := range relay.Keys {
		relay.Keys[i] = [32]byte{9}
	}
	signed, err := relay.Sign(net.ID(), key)
	must(err)
	must(p.vault.Update(func(tx *vault.Tx) error {
		return errors.Join(tx.Put(bucketRelays, "0", signed), tx.Put(bucketRelays, "1", []byte("of an older version")))
	}))
	return m
}

// What is restored is what was there, but for sessions, prekeys and the node's key, of which
// nothing is in the backup; and each contact is written to.
func TestBackupHoldsWhatItShould(t *testing.T) {
	m := fullLife(t)
	p := m.profile
	raw := packed(t, p)
	restored := takenBack(t, raw)
	before, after := holds(t, p), holds(t, restored)
	for _, bucket := range []string{bucketTalks, bucketEarly, bucketFrames, bucketHellos} {
		if _, ok := firstOf(before, bucket+" | "); !ok {
			t.Errorf("%s: there is nothing that could be missing", bucket)
		}
		if name, ok := firstOf(after, bucket+" | "); ok {
			t.Errorf("%q is restored", name)
		}
	}
	for _, secret := range []string{
		string(p.nodeKey.Seed()), string(p.prekeys.generations[0].keys.Key.Bytes()), string(p.prekeys.generations[0].keys.KEM.Bytes()[:32]),
		m.conversation(bob().hashid()).Current, "early",
	} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Error("the backup has what it should not have")
		}
	}
	if restored.Hashid() != p.Hashid() || restored.Node() == p.Node() || restored.prekeys.generations[0].id == p.prekeys.generations[0].id {
		t.Error("the restored profile is another person, the same node, or has the same prekeys")
	}
	if n := restored.network; n.ID() != p.network.ID() || len(n.Bootstrap) != 1 || !n.Bootstrap[0].Equal(p.network.Bootstrap[1]) {
		t.Errorf("the restored network is %v by way of %v", n.ID(), n.Bootstrap)
	}
	if !slices.Equal(restored.Listen(), p.Listen()) {
		t.Errorf("it listens on %v", restored.Listen())
	}

	checkLedgers(t, before, after)
	var told []hashid.ID
	for _, who := range messengerOf(t, restored).conversations {
		for _, o := range who.outbox {
			if o.Kind == message.Link {
				told = append(told, o.To)
				delete(after, bucketOutbox+" | "+o.key())
			}
		}
	}
	if len(told) != 2 || !slices.Contains(told, bob().hashid()) || !slices.Contains(told, someone(3).hashid()) {
		t.Errorf("%d contacts are told where this person is found", len(told))
	}
	drop(before, bucketTalks, bucketEarly, bucketFrames, bucketHellos, bucketConversations,
		bucketProfile+" | "+keyNode, bucketProfile+" | "+keyPrekeys, bucketProfile+" | "+keyNetwork,
		bucketRelays+" | 1")
	drop(after, bucketConversations, bucketProfile+" | "+keyNode, bucketProfile+" | "+keyPrekeys, bucketProfile+" | "+keyNetwork)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	for bucket, least := range map[string]int{ // or all that is nothing
		bucketContacts: 4, bucketRequests: 1, bucketOutbox: 5, bucketUnshown: 2, bucketSeen: 1, bucketRecords: 2, bucketRelays: 1,
		bucketHistory(bob().hashid()): 4, bucketProfile: 4,
	} {
		n := 0
		for name := range after {
			if strings.HasPrefix(name, bucket+" | ") {
				n++
			}
		}
		if n < least {
			t.Errorf("%d entries of %.10s are restored", n, bucket)
		}
	}

	// A backup of a restored profile is one, too.
	if again := takenBack(t, packed(t, restored)); again.Hashid() != p.Hashid() || again.Node() == restored.Node() {
		t.Error("a backup of a backup is of somebody else, or of the same node")
	}
}

func firstOf(all map[string]string, prefix string) (string, bool) {
	for name := range all {
		if strings.HasPrefix(name, prefix) {
			return name, true
		}
	}
	return "", false
}

// checkLedgers wants the settings of conversations kept, no session, and a count of sessions beyond any before.
func checkLedgers(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, raw := range after {
		if !strings.HasPrefix(name, bucketConversations) {
			continue
		}
		now, err := parse[ledger]("x", []byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		was := ledger{Peer: now.Peer, Next: 1}
		if old, ok := before[name]; ok {
			if was, err = parse[ledger]("x", []byte(old)); err != nil {
				t.Fatal(err)
			}
		}
		if now.Current != "" || now.Prekey != 0 || now.Generation <= was.Generation || now.Next < was.Next {
			t.Errorf("a conversation goes on in session %q of generation %d, place %d", now.Current, now.Generation, now.Next)
		}
		was.Current, was.Prekey, was.Generation, was.Next = "", 0, now.Generation, now.Next
		if diff := cmp.Diff(was, now); diff != "" {
			t.Error(diff)
		}
		delete(before, name)
	}
	if name, ok := firstOf(before, bucketConversations); ok {
		t.Errorf("%q is not restored", name)
	}
}

// What has been forgotten by the time of the backup is not in it; what is to be forgotten later is, and is then.
func TestBackupForgets(t *testing.T) {
	p := testProfile(t)
	if err := p.Introduce(bob().hashid(), "bob"); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	l := ledger{Peer: bob().hashid(), Next: 1, History: true}
	err := p.vault.Update(func(tx *vault.Tx) error {
		for _, one := range []struct {
			text string
			ttl  time.Duration
		}{{"for ever", 0}, {"for an hour", time.Hour}, {"for a moment", time.Nanosecond}} {
			if err := l.keep(tx, said{ID: message.ID{1}, Text: one.text, At: now}, one.ttl, now); err != nil {
				return err
			}
		}
		return store(tx, bucketConversations, l.Peer.String(), l)
	})
	if err != nil {
		t.Fatal(err)
	}
	raw := packed(t, p)
	if bytes.Contains(raw, []byte("for a moment")) || !bytes.Contains(raw, []byte("for an hour")) {
		t.Error("the backup holds what was forgotten, or not what was not")
	}
	m := messengerOf(t, takenBack(t, raw))
	m.now = func() time.Time { return now.Add(2 * time.Hour) }
	m.sweepAll()
	list, err := m.history("bob", 10)
	if err != nil || len(list) != 1 || list[0].Text != "for ever" {
		t.Errorf("after two hours there is %v, %v", list, err)
	}
}

// A file, sealed, and back, with all that is on the disk.
func TestBackupAndRestore(t *testing.T) {
	var (
		top  = t.TempDir()
		dir  = filepath.Join(top, "new", "profile")
		file bytes.Buffer
		p    = openProfile(t, filepath.Join(top, "old"))
	)
	n := testNetwork(t)
	var err error
	if n.Bootstrap, err = p.BootstrapAddrs([]multiaddr.Multiaddr{testAddr(t, "/ip4/127.0.0.1/tcp/4001")}, false); err != nil {
		t.Fatal(err)
	}
	if err := p.SetNetwork(n, []string{"/ip4/127.0.0.1/tcp/4001"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Backup(&file, []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"no passphrase": Restore(dir, bytes.NewReader(file.Bytes()), nil, []byte("sealed")),
		"none of it":    Restore(dir, bytes.NewReader(file.Bytes()), []byte("new"), nil),
		"another one":   Restore(dir, bytes.NewReader(file.Bytes()), []byte("new"), []byte("new")),
		"a cut file":    Restore(dir, bytes.NewReader(file.Bytes()[:file.Len()-1]), []byte("new"), []byte("sealed")),
	} {
		if err == nil || strings.Contains(what, "p") && !errors.Is(err, vault.ErrPassphrase) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Lstat(filepath.Dir(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
	if err := Restore(dir, &file, []byte("new"), []byte("sealed")); err != nil {
		t.Fatal(err)
	}
	restored, err := OpenProfile(dir, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if restored.Hashid() != p.Hashid() || !slices.Equal(restored.Listen(), p.Listen()) {
		t.Error("the restored profile is somebody else, or listens elsewhere")
	}
	want, err := restored.withPeerID([]multiaddr.Multiaddr{testAddr(t, "/ip4/127.0.0.1/tcp/4001")})
	if got := restored.Network().Bootstrap; err != nil || len(got) != 1 || !got[0].Equal(want[0]) {
		t.Errorf("its invites name %v, want %v", got, want)
	}
	if names := filesIn(t, dir); !slices.Equal(names, []string{configName, vaultName}) {
		t.Errorf("in its directory are %v", names)
	}
	if err := p.Backup(iotestWriter(100), []byte("sealed")); err == nil {
		t.Error("a backup that cannot be written is one")
	}
}

// iotestWriter fails after so many bytes.
func iotestWriter(n int64) io.Writer {
	r, w := io.Pipe()
	go func() {
		_, _ = io.CopyN(io.Discard, r, n)
		r.CloseWithError(errors.New("the disk is full"))
	}()
	return w
}

// filesIn returns the names in a directory, nil if there is none.
func filesIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A profile without a network, contacts or anything is carried over too.
func TestBackupOfANewProfile(t *testing.T) {
	p := &Profile{vault: vault.Memory()}
	if err := p.load(); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if restored := takenBack(t, packed(t, p)); restored.Hashid() != p.Hashid() || restored.Network() != nil {
		t.Error("the restored profile is somebody else, or in a network")
	}
}
