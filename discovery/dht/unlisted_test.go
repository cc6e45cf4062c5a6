package dht

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// person is somebody unlisted, whose key records a test makes.
type person struct {
	key, link ed25519.PrivateKey
	record    record.KeyRecord
	t         *testing.T
	w         *world
}

func (w *world) person(t *testing.T) *person {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, link, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{key: key, link: link, t: t, w: w, record: record.KeyRecord{
		Identity: [32]byte(pub), Agreement: [32]byte(agreement.PublicKey().Bytes()), Prekey: record.Prekey{ID: 1, Key: x25519(t)},
		KEMPrekey: record.KEMPrekey{ID: 1, Key: [mlkem.EncapsulationKeySize768]byte(kem.EncapsulationKey().Bytes())},
	}}
	_, _ = rand.Read(p.record.Inbox.Node[:])
	return p
}

func (p *person) locator() record.Locator {
	return record.Locator{Hashid: p.record.Hashid(), Link: record.LinkKey(p.link[32:])}
}

// sign returns the copies of a record that is good now, with a sequence so much
// later than the clock.
func (p *person) sign(later int64) []record.Copy {
	p.t.Helper()
	now := p.w.clock.now()
	p.record.Sequence, p.record.Expires = uint64(now.Unix()+later), now.Add(record.KeyRecordLifetime)
	copies, err := p.record.Copies(p.w.network, p.key, p.link)
	if err != nil {
		p.t.Fatal(err)
	}
	return copies
}

// An unlisted record is kept and found as a listed one is: whoever has the link
// finds the newest, holders keep it, and let no older, forged, misfiled or oversize
// one in, whoever sends it.
func TestUnlistedRecordIsKept(t *testing.T) {
	t.Parallel()
	var w world
	nodes := w.nodes(t, 4)
	p := w.person(t)
	older, newest := p.sign(0), p.sign(100)
	for i, c := range newest {
		if stored, err := nodes[i].Put(t.Context(), older[i].Key, older[i].Value); err != nil || stored != len(nodes)-1 {
			t.Fatalf("stored at %d nodes: %v", stored, err)
		}
		if stored, err := nodes[i].Put(t.Context(), c.Key, c.Value); err != nil || stored != len(nodes)-1 {
			t.Fatalf("stored at %d nodes: %v", stored, err)
		}
	}
	forged := bytes.Clone(newest[0].Value)
	forged[40]++ // the sequence
	hostile := newOutsider(t, nodes...)
	for name, bad := range map[string]record.Copy{
		"an older one":              older[0],
		"a forged sequence":         {Key: newest[0].Key, Value: forged},
		"the other copy":            {Key: newest[0].Key, Value: newest[1].Value},
		"another person's":          {Key: newest[0].Key, Value: w.person(t).sign(200)[0].Value},
		"one byte too long":         {Key: newest[0].Key, Value: append(bytes.Clone(newest[0].Value), 0)},
		"one byte short":            {Key: newest[0].Key, Value: newest[0].Value[:len(newest[0].Value)-1]},
		"under the hashid":          {Key: record.KeyRecordKeys(p.record.Hashid())[0], Value: newest[0].Value},
		"a sequence of next week":   p.sign(7 * 24 * 60 * 60)[0],
		"nothing":                   {Key: newest[0].Key},
		"under a key cut short":     {Key: newest[0].Key[:20], Value: newest[0].Value},
		"under a key with a salt":   {Key: newest[0].Key[:10] + "\x00" + newest[0].Key[10:], Value: newest[0].Value},
		"in the place of a relay's": {Key: "/relay/" + newest[0].Key[len("/unlisted/"):], Value: newest[0].Value},
	} {
		for i, n := range nodes {
			if hostile.put(n, bad.Key, bad.Value) {
				t.Errorf("node %d took %s", i, name)
			}
		}
	}
	reader := nodes[3]
	pairs, err := p.locator().Places(w.network, w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := reader.Get(t.Context(), pairs[0][:]...)
	if err != nil || !bytes.Equal(raw, newest[0].Value) && !bytes.Equal(raw, newest[1].Value) {
		t.Fatalf("the newest is not found: %v", err)
	}
	if r, err := p.locator().Parse(w.network, raw); err != nil || r.Inbox != p.record.Inbox {
		t.Errorf("it is not read: %v", err)
	}
	listed := record.KeyRecordKeys(p.record.Hashid())
	if _, err := reader.Get(t.Context(), listed[:]...); !errors.Is(err, ErrNotFound) {
		t.Errorf("who knows the hashid alone gets %v", err)
	}
	for i, n := range nodes {
		if records, _ := n.Held(); records != 2 {
			t.Errorf("node %d holds %d records", i, records)
		}
	}
	w.clock.forward(record.KeyRecordLifetime)
	for i, n := range nodes {
		if _, err := n.Get(t.Context(), newest[0].Key); !errors.Is(err, ErrNotFound) {
			t.Errorf("node %d finds it when it has expired: %v", i, err)
		}
		n.store.dropExpired()
		if records, _ := n.Held(); records != 0 {
			t.Errorf("node %d holds %d records when they have expired", i, records)
		}
	}
}

// Whoever serves a forged unlisted record is banned as for any other.
func TestForgedUnlistedRecordIsBanned(t *testing.T) {
	t.Parallel()
	var w world
	nodes := w.nodes(t, 3)
	p := w.person(t)
	good := p.sign(0)[0]
	if _, err := nodes[0].Put(t.Context(), good.Key, good.Value); err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(good.Value)
	forged[100] ^= 1 // of what is sealed
	hostile := newOutsider(t, nodes...)
	serve(hostile.host, forged)
	for i, n := range nodes {
		until(t, "the hostile node is in all tables", func() bool {
			return n.kad.RoutingTable().Find(hostile.host.ID()) != ""
		})
		if got, err := n.Get(t.Context(), good.Key); err != nil || !bytes.Equal(got, good.Value) {
			t.Errorf("node %d reads something else: %v", i, err)
		}
		until(t, "the hostile node is banned", func() bool { return n.bans.Banned(hostile.host.ID()) })
	}
}

// In all that nodes keep of an unlisted person, key and wrapping included, there are
// not six bytes in a row of who that is or where, and all of it has one size.
func TestStoresDoNotKnowWhomTheyKeep(t *testing.T) {
	t.Parallel()
	var w world
	nodes := w.nodes(t, 3)
	sizes := make(map[int]int)
	for range 4 {
		p := w.person(t)
		for i, c := range p.sign(0) {
			if _, err := nodes[i].Put(t.Context(), c.Key, c.Value); err != nil {
				t.Fatal(err)
			}
		}
		id, link := p.record.Hashid(), p.locator().Link
		for _, n := range nodes {
			n.store.mu.Lock()
			for _, e := range n.store.entries {
				sizes[len(e.value())]++
				for what, secret := range map[string][]byte{
					"hashid": id[:], "identity key": p.record.Identity[:], "agreement key": p.record.Agreement[:],
					"prekey": p.record.Prekey.Key[:], "KEM prekey": p.record.KEMPrekey.Key[:],
					"inbox": p.record.Inbox.Node[:], "link key": link[:],
				} {
					for i := range len(secret) - 5 {
						if bytes.Contains(e.data, secret[i:i+6]) {
							t.Fatalf("a store has bytes of the %s", what)
						}
					}
				}
			}
			n.store.mu.Unlock()
		}
	}
	if len(sizes) != 1 {
		t.Errorf("records of %d sizes: %v", len(sizes), sizes)
	}
}

// Unlisted records have no more room than others.
func TestStoreBoundsUnlistedRecords(t *testing.T) {
	s := newStore(peer.ID("self"), time.Now, nil)
	value := unsigned(1, time.Now().Add(time.Hour), record.MaxKeyRecord)
	for range maxRecords + 100 {
		var hash hashid.ID
		_, _ = rand.Read(hash[:])
		_ = s.keep("/unlisted/"+string(hash[:]), value)
	}
	if records, size := s.held(); records != maxRecords || size > maxRecords*maxEntry {
		t.Errorf("holds %d records in %d bytes", records, size)
	}
	if s.keep("/unlisted/"+string(make([]byte, 32)), append(value, 0)) == nil {
		t.Error("a record that is too long is kept")
	}
}
