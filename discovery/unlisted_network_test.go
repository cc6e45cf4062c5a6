package discovery_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
)

// patient is far longer than anything here takes.
const patient = time.Minute

// A person who was listed becomes unlisted, on real nodes: who knows the hashid alone
// is told so and finds nothing of the person, who has the invite's text finds all,
// and the nodes between them keep nothing that names the person but the withdrawal.
func TestAPersonBecomesUnlisted(t *testing.T) {
	var nodes []*node
	for i := range 5 {
		n := newNode(t, newKey(t))
		n.run(nodes[:min(i, 1)]...)
		nodes = append(nodes, n)
	}
	began := time.Now()
	for _, n := range nodes {
		n.sees(len(nodes)-1, began)
	}

	key, link := newKey(t), newKey(t)
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	secret := hashid.NodeID(bytes.Repeat([]byte("inbox of the person "), 2)[:32])
	var (
		sequence atomic.Uint64
		unlisted atomic.Bool
	)
	pub := [32]byte(key.Public().(ed25519.PublicKey))
	next := func(now time.Time) (uint64, time.Time) {
		return uint64(now.Unix()) + sequence.Add(1), now.Add(record.KeyRecordLifetime)
	}
	publisher := discovery.NewPublisher(nodes[0].table, time.Now, slog.New(slog.DiscardHandler),
		discovery.Publication{
			What: "key record", Every: time.Hour,
			Copies: func(now time.Time) ([]record.Copy, error) {
				r := &record.KeyRecord{Identity: pub, Agreement: [32]byte(agreement.PublicKey().Bytes()), Inbox: record.Inbox{Node: secret}}
				r.Prekey.Key = r.Agreement
				copy(r.KEMPrekey.Key[:], kem.EncapsulationKey().Bytes())
				r.Sequence, r.Expires = next(now)
				if unlisted.Load() {
					return r.Copies(networkID, key, link)
				}
				return r.Copies(networkID, key, nil)
			},
		},
		discovery.Publication{
			What: "withdrawal", Every: time.Hour,
			Copies: func(now time.Time) ([]record.Copy, error) {
				if !unlisted.Load() {
					return nil, nil
				}
				sequence, expires := next(now)
				r, err := record.Withdrawal(pub, sequence, expires)
				if err != nil {
					return nil, err
				}
				return r.Copies(networkID, key, nil)
			},
		})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := publisher.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer cancel()

	reader := nodes[4]
	until := func(what string, who record.Locator, done func(*record.KeyRecord, error) bool) {
		t.Helper()
		pause := time.NewTicker(20 * time.Millisecond)
		defer pause.Stop()
		for deadline := time.Now().Add(patient); ; <-pause.C {
			r, _, err := discovery.Person(t.Context(), reader.table, networkID, time.Now(), who)
			if done(r, err) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("it never happened that %s: %v", what, err)
			}
		}
	}
	listed := record.Locator{Hashid: hashid.Of(pub[:])}
	text, err := (&network.Invite{Person: listed.Hashid, Link: record.LinkKey(link[32:])}).Text()
	if err != nil {
		t.Fatal(err)
	}
	invite, err := network.ParseInvite(text)
	if err != nil {
		t.Fatal(err)
	}
	found := func(r *record.KeyRecord, err error) bool { return err == nil && r.Inbox.Node == secret }
	until("a listed person is found", listed, found)
	if _, _, err := discovery.Person(t.Context(), reader.table, networkID, time.Now(), invite.Locator()); !errors.Is(err, discovery.ErrNoKeyRecord) {
		t.Errorf("the link of a listed person finds %v", err)
	}

	unlisted.Store(true)
	publisher.Renew()
	until("an unlisted person is found with the invite", invite.Locator(), found)
	until("who knows the hashid is told of the withdrawal", listed, func(r *record.KeyRecord, err error) bool {
		return errors.Is(err, record.ErrWithdrawn)
	})
	// With the places of the person by heart: what each node has there, by itself.
	keys := record.KeyRecordKeys(listed.Hashid)
	for i, n := range nodes {
		for _, key := range keys {
			raw, err := n.table.Get(t.Context(), key)
			if err != nil {
				t.Errorf("node %d: %v", i, err)
			}
			if bytes.Contains(raw, secret[:6]) || bytes.Contains(raw, agreement.PublicKey().Bytes()[:6]) {
				t.Errorf("node %d finds what was listed", i)
			}
		}
	}
	other := record.Locator{Hashid: listed.Hashid, Link: record.LinkKey(newKey(t)[32:])}
	if _, _, err := discovery.Person(t.Context(), reader.table, networkID, time.Now(), other); !errors.Is(err, discovery.ErrNoKeyRecord) {
		t.Errorf("another link key finds %v", err)
	}
}
