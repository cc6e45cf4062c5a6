package discovery

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// persona is a person whose key records a test makes.
type persona struct {
	t         *testing.T
	key, link ed25519.PrivateKey // link: nil if listed
	record    record.KeyRecord
}

func newPersona(t *testing.T, listed bool) *persona {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	p := &persona{t: t, key: key, record: record.KeyRecord{
		Identity: [32]byte(pub), Agreement: [32]byte(agreement.PublicKey().Bytes()), Inbox: record.Inbox{Node: hashid.NodeID{1}},
	}}
	p.record.Prekey.Key = p.record.Agreement
	copy(p.record.KEMPrekey.Key[:], kem.EncapsulationKey().Bytes())
	if !listed {
		if _, p.link, err = ed25519.GenerateKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *persona) locator() record.Locator {
	who := record.Locator{Hashid: p.record.Hashid()}
	if p.link != nil {
		who.Link = record.LinkKey(p.link[32:])
	}
	return who
}

// sign returns the record as it is published at now.
func (p *persona) sign(now time.Time) []record.Copy {
	p.t.Helper()
	p.record.Sequence, p.record.Expires = record.NextSequence(p.record.Sequence, now), now.Add(record.KeyRecordLifetime)
	copies, err := p.record.Copies(testNetwork, p.key, p.link)
	if err != nil {
		p.t.Fatal(err)
	}
	return copies
}

// withdraw returns what takes the record's place.
func (p *persona) withdraw(now time.Time) []record.Copy {
	p.t.Helper()
	p.record.Sequence++
	gone, err := record.Withdrawal(p.record.Identity, p.record.Sequence, now.Add(record.KeyRecordLifetime))
	if err != nil {
		p.t.Fatal(err)
	}
	copies, err := gone.Copies(testNetwork, p.key, p.link)
	if err != nil {
		p.t.Fatal(err)
	}
	return copies
}

func (f *fakeTable) store(copies []record.Copy) {
	f.set(func() {
		for _, c := range copies {
			f.values[c.Key] = c.Value
		}
	})
}

func TestFindPerson(t *testing.T) {
	for name, listed := range map[string]bool{"listed": true, "unlisted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := newFakeTable()
				p := newPersona(t, listed)
				who := p.locator()
				if r, raw, err := Person(t.Context(), table, testNetwork, time.Now(), who); !errors.Is(err, ErrNoKeyRecord) || r != nil || raw != nil {
					t.Errorf("nothing is there: %v", err)
				}
				copies := p.sign(time.Now())
				table.store(copies)
				found := func(what string) {
					t.Helper()
					r, raw, err := Person(t.Context(), table, testNetwork, time.Now(), who)
					if err != nil {
						t.Errorf("%s: %v", what, err)
						return
					}
					if again, err := who.Parse(testNetwork, raw); err != nil || again.Sequence != r.Sequence || r.Sequence != p.record.Sequence {
						t.Errorf("%s: read again: %v", what, err)
					}
				}
				found("both copies")
				table.set(func() { delete(table.values, copies[0].Key) })
				found("the second copy alone")
				time.Sleep(record.KeyRecordLifetime - time.Hour) // in another period by now, or not
				found("old")
				if other := (record.Locator{Hashid: hashid.ID{1}, Link: who.Link}); who.Hashid != other.Hashid {
					if _, _, err := Person(t.Context(), table, testNetwork, time.Now(), other); !errors.Is(err, ErrNoKeyRecord) {
						t.Errorf("another hashid: %v", err)
					}
				}
				time.Sleep(time.Hour)
				if _, _, err := Person(t.Context(), table, testNetwork, time.Now(), who); !errors.Is(err, ErrNoKeyRecord) {
					t.Errorf("expired: %v", err)
				}
				table.store(p.withdraw(time.Now()))
				if r, _, err := Person(t.Context(), table, testNetwork, time.Now(), who); !errors.Is(err, record.ErrWithdrawn) || r != nil {
					t.Errorf("withdrawn: %v, %v", r, err)
				}
				time.Sleep(record.KeyRecordLifetime)
				if _, _, err := Person(t.Context(), table, testNetwork, time.Now(), who); !errors.Is(err, ErrNoKeyRecord) {
					t.Errorf("the withdrawal has expired: %v", err)
				}
			})
		})
	}
}

// What the table returns is looked at again: it cannot look inside an unlisted
// record, and need not be trusted for the rest.
func TestFindPersonForged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newFakeTable()
		for name, listed := range map[string]bool{"listed": true, "unlisted": false} {
			p, other := newPersona(t, listed), newPersona(t, listed)
			good, others := p.sign(time.Now()), other.sign(time.Now())
			for what, value := range map[string][]byte{
				"forged":      append(good[0].Value[:len(good[0].Value)-1:len(good[0].Value)-1], good[0].Value[len(good[0].Value)-1]^1),
				"another's":   others[0].Value,
				"nothing":     {},
				"cut short":   good[0].Value[:100],
				"a relay's":   newSigner(t).sign(time.Now()),
				"dated ahead": p.sign(time.Now().Add(48 * time.Hour))[0].Value,
			} {
				for _, c := range good {
					table.set(func() { table.values[c.Key] = value })
				}
				if r, _, err := Person(t.Context(), table, testNetwork, time.Now(), p.locator()); !errors.Is(err, ErrNoKeyRecord) || r != nil {
					t.Errorf("%s, %s: %v, %v", name, what, r, err)
				}
			}
		}
		// A person's link key, with the private half of which another's record was sealed.
		p, victim := newPersona(t, false), newPersona(t, false)
		victim.link = p.link
		table.store(victim.sign(time.Now()))
		if _, _, err := Person(t.Context(), table, testNetwork, time.Now(), p.locator()); !errors.Is(err, ErrNoKeyRecord) {
			t.Errorf("a record of another person under the link key: %v", err)
		}
		if _, _, err := Person(t.Context(), table, testNetwork, time.Now(), record.Locator{Link: record.LinkKey{1}}); err == nil || errors.Is(err, ErrNoKeyRecord) {
			t.Errorf("what is no link key: %v", err)
		}
	})
}

// Whoever looks for an unlisted person does not tell the table the hashid, and asks
// in one period unless there is nothing.
func TestFindPersonAsksForNoHashid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newFakeTable()
		p := newPersona(t, false)
		if _, _, err := Person(t.Context(), table, testNetwork, time.Now(), p.locator()); !errors.Is(err, ErrNoKeyRecord) {
			t.Fatal(err)
		}
		if len(table.gets) != 4 {
			t.Errorf("asked for %d keys, want four: two copies in two periods", len(table.gets))
		}
		for _, key := range record.KeyRecordKeys(p.record.Hashid()) {
			if table.gets[key] != 0 {
				t.Error("asked for the hashid of an unlisted person")
			}
		}
		clear(table.gets)
		table.store(p.sign(time.Now()))
		if _, _, err := Person(t.Context(), table, testNetwork, time.Now(), p.locator()); err != nil {
			t.Fatal(err)
		}
		if len(table.gets) != 1 { // the fake one stops at the first that it has
			t.Errorf("asked for %d keys", len(table.gets))
		}
	})
}

func TestFindPersonIsCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newFakeTable()
		table.hold = func(ctx context.Context) { <-ctx.Done() }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := Person(ctx, table, testNetwork, time.Now(), newPersona(t, false).locator()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// That there are too few nodes to ask anybody is no news of a person.
func TestFindPersonAmongTooFew(t *testing.T) {
	var short *ShortageError
	_, _, err := Person(t.Context(), tooFew{}, testNetwork, time.Now(), newPersona(t, false).locator())
	if !errors.As(err, &short) || short.Have != 1 {
		t.Errorf("got %v", err)
	}
}

type tooFew struct{}

func (tooFew) Get(context.Context, ...string) ([]byte, error) {
	return nil, fmt.Errorf("asking an exit: %w", &ShortageError{Need: 3, Have: 1})
}
