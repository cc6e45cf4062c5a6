package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/vault"
)

// unlisted signs a person's record as of now, sealed for a link key.
func unlisted(t *testing.T, id *identity, link ed25519.PrivateKey, node byte, sequence uint64) []byte {
	t.Helper()
	copies, err := prekeysOf(id).keyRecord(id, hashid.NodeID{node}, sequence, time.Now()).Copies([32]byte{1}, id.sign, link)
	if err != nil {
		t.Fatal(err)
	}
	return copies[0].Value
}

// withdrawal signs that there is no record any more.
func withdrawal(t *testing.T, id *identity, link ed25519.PrivateKey, sequence uint64) []byte {
	t.Helper()
	r, err := record.Withdrawal([32]byte(id.public()), sequence, time.Now().Add(record.KeyRecordLifetime))
	if err != nil {
		t.Fatal(err)
	}
	copies, err := r.Copies([32]byte{1}, id.sign, link)
	if err != nil {
		t.Fatal(err)
	}
	return copies[0].Value
}

func linkedTo(id *identity, link ed25519.PrivateKey) record.Locator {
	return record.Locator{Hashid: id.hashid(), Link: record.LinkKey(link[32:])}
}

// Somebody who was listed is found by a link key from one moment to the next, and after a restart; an older
// record, listed or not, does not come back.
func TestPersonMovesToALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob, first, second := testIdentity(t), seeded(8), seeded(9)
		v := vault.Memory()
		knows(t, v, bob)
		b := &phoneBook{raw: published(t, bob, 1, seq())}
		p := testPeople(t, v, b)
		found := func(who record.Locator, node byte, asked int) {
			t.Helper()
			before := b.asked
			r, err := p.locate(t.Context(), who, false)
			if err != nil || r.Inbox.Node != (hashid.NodeID{node}) || b.asked != before+asked {
				t.Errorf("%v, %d look-ups: %+v", err, b.asked-before, r)
			}
		}
		found(listed(bob), 1, 1)
		b.raw = unlisted(t, bob, first, 2, seq()-uint64(blurSequence/time.Second)) // signed now, and counted so
		found(listed(bob), 1, 0)
		found(linkedTo(bob, first), 2, 1)
		found(linkedTo(bob, first), 2, 0)
		p = testPeople(t, v, b) // after a restart
		if r := p.known(bob.hashid()); r == nil || r.Inbox.Node != (hashid.NodeID{2}) {
			t.Errorf("known is %v", r)
		}
		for _, old := range []struct {
			at  record.Locator
			raw []byte
		}{{listed(bob), published(t, bob, 3, seq()-2*3600-1)}, {linkedTo(bob, first), unlisted(t, bob, first, 3, seq()-3601)}} {
			time.Sleep(recordFresh)
			b.raw = old.raw
			found(old.at, 2, 1)
		}
		time.Sleep(recordAgainLast)
		// Another link key: the record known does until there is one under it.
		b.raw = withdrawal(t, bob, first, seq()+2)
		found(linkedTo(bob, second), 2, 1)
		time.Sleep(recordAgainLast)
		b.raw = unlisted(t, bob, second, 4, seq()+3)
		found(linkedTo(bob, second), 4, 1)
	})
}

// An older record is no proof that somebody is found where it lies, nor keeps the person from being looked up where the known
// one was found; a newer one is, and does.
func TestProvenByWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob, link := testIdentity(t), seeded(9)
		open, sealed := record.LinkKey{}, record.LinkKey(link[32:])
		there := map[record.LinkKey]*phoneBook{
			open:   {raw: published(t, bob, 1, seq()-2*3600)},
			sealed: {raw: unlisted(t, bob, link, 2, seq())},
		}
		p := testPeople(t, vault.Memory(), new(phoneBook))
		p.find = func(ctx context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
			return there[who.Link].find(ctx, who)
		}
		seen := func(node byte, proven bool, asked ...int) {
			t.Helper()
			time.Sleep(recordAgainLast)
			r, err := p.record(t.Context(), sought{bob.hashid(), []record.LinkKey{open, sealed}}, true)
			if err != nil || r.Inbox.Node != (hashid.NodeID{node}) {
				t.Errorf("%v, %v", r, err)
			}
			if by, ok := p.provenBy(bob.hashid()); (ok && by == open) != proven {
				t.Errorf("proven by %.8x: %v", by, ok)
			}
			if got := []int{there[open].asked, there[sealed].asked}; !slices.Equal(got, asked) {
				t.Errorf("asked %v times, not %v", got, asked)
			}
		}
		if _, err := p.locate(t.Context(), linkedTo(bob, link), false); err != nil {
			t.Fatal(err)
		}
		seen(2, false, 1, 2)
		there[sealed].raw = nil
		seen(2, false, 2, 3)
		there[open].raw = published(t, bob, 3, seq()+2)
		seen(3, true, 3, 3)
		seen(3, true, 4, 3)
	})
}

// A new invite helps at once where an old one did not.
func TestNewLinkForSomebodyWhoWasNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		b := &phoneBook{raw: withdrawal(t, bob, seeded(8), seq())}
		p := testPeople(t, vault.Memory(), b)
		for range 10 {
			if _, err := p.locate(t.Context(), linkedTo(bob, seeded(8)), false); !errors.Is(err, record.ErrWithdrawn) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		b.raw = unlisted(t, bob, seeded(9), 1, seq())
		if _, err := p.locate(t.Context(), linkedTo(bob, seeded(9)), false); err != nil {
			t.Error(err)
		}
	})
}

// A contact that tells link keys without end does not have it looked up without end.
func TestLinkKeysWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob, b := testIdentity(t), &phoneBook{}
		p := testPeople(t, vault.Memory(), b)
		for n := range 10 * 60 * 4 {
			if _, err := p.locate(t.Context(), linkedTo(bob, seeded(byte(n))), false); !errors.Is(err, discovery.ErrNoKeyRecord) {
				t.Fatalf("record: %v", err)
			}
			time.Sleep(250 * time.Millisecond)
		}
		if b.asked > 15 {
			t.Errorf("%d look-ups in ten minutes", b.asked)
		}
		b.raw = unlisted(t, bob, seeded(9), 1, seq())
		time.Sleep(recordAgainLast)
		if _, err := p.locate(t.Context(), linkedTo(bob, seeded(9)), false); err != nil {
			t.Errorf("a minute after the last: %v", err)
		}
	})
}

// A withdrawal does not take away the record that is known, before that has expired; who knows none
// is told of it, and looks ever more rarely.
func TestWithdrawnPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		b := &phoneBook{raw: published(t, bob, 1, seq())}
		p := testPeople(t, vault.Memory(), b)
		if _, err := p.locate(t.Context(), listed(bob), false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recordFresh)
		b.raw = withdrawal(t, bob, nil, seq())
		if r, err := p.locate(t.Context(), listed(bob), false); err != nil || r.Inbox.Node != (hashid.NodeID{1}) || b.asked != 2 {
			t.Errorf("%v, %v, %d look-ups", r, err, b.asked)
		}
		time.Sleep(record.KeyRecordLifetime - recordFresh)
		b.raw, b.asked = withdrawal(t, bob, nil, seq()), 0
		for range 10 * 60 * 4 {
			if _, err := p.locate(t.Context(), listed(bob), false); !errors.Is(err, record.ErrWithdrawn) {
				t.Fatalf("once the record has expired: %v", err)
			}
			time.Sleep(250 * time.Millisecond)
		}
		if b.asked < 10 || b.asked > 25 {
			t.Errorf("%d look-ups in ten minutes", b.asked)
		}
		b.raw = nil
		time.Sleep(recordAgainLast)
		if _, err := p.locate(t.Context(), listed(bob), false); !errors.Is(err, discovery.ErrNoKeyRecord) {
			t.Errorf("once the withdrawal is gone: %v", err)
		}
		b.raw = published(t, bob, 2, seq())
		time.Sleep(recordAgainLast)
		if r, err := p.locate(t.Context(), listed(bob), false); err != nil || r.Inbox.Node != (hashid.NodeID{2}) {
			t.Errorf("listed again: %v, %v", r, err)
		}
	})
}

// Of who is removed while it is looked up nothing is stored any more: neither once it is forgotten, nor while
// that is still to come and what was stored is deleted already.
func TestPersonWhoIsForgottenMeanwhile(t *testing.T) {
	for name, link := range map[string]ed25519.PrivateKey{"listed": nil, "by a link": seeded(9)} {
		for how, remove := range map[string]func(*people, hashid.ID) error{
			"forgotten": func(p *people, id hashid.ID) error { p.forget(id); return nil },
			"deleted": func(p *people, id hashid.ID) error {
				return p.vault.Update(func(tx *vault.Tx) error {
					return errors.Join(tx.Delete(bucketRecords, id.String()), tx.Delete(bucketContacts, id.String()))
				})
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				bob, v := testIdentity(t), vault.Memory()
				knows(t, v, bob)
				at, b := listed(bob), &phoneBook{raw: published(t, bob, 1, seq())}
				if link != nil {
					at, b.raw = linkedTo(bob, link), unlisted(t, bob, link, 1, seq())
				}
				p := testPeople(t, v, b)
				find := p.find
				p.find = func(ctx context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
					if err := remove(p, who.Hashid); err != nil {
						t.Error(err)
					}
					return find(ctx, who)
				}
				if _, err := p.locate(t.Context(), at, false); err != nil && !errors.Is(err, errLooking) {
					t.Fatal(name, how, err)
				}
				if r := testPeople(t, v, b).known(bob.hashid()); r != nil {
					t.Errorf("%s, %s: after a restart there is a record of sequence %d", name, how, r.Sequence)
				}
			})
		}
	}
}

func TestStoredRecord(t *testing.T) {
	id, link := hashid.ID{1}, record.LinkKey(seeded(9)[32:])
	for _, tt := range []struct {
		stored []byte
		link   record.LinkKey
		raw    []byte
	}{
		{appendRecord(nil, link, []byte{1, 2}), link, []byte{1, 2}},
		{appendRecord(nil, record.LinkKey{}, []byte{1, 2}), record.LinkKey{}, []byte{1, 2}},
		{append([]byte{0}, link[:]...), record.LinkKey{}, append([]byte{0}, link[:]...)}, // no record of any version
		{nil, record.LinkKey{}, nil},
	} {
		at, raw := parseRecord(id, tt.stored)
		if at != (record.Locator{Hashid: id, Link: tt.link}) || !bytes.Equal(raw, tt.raw) {
			t.Errorf("%x is read as %v, %x", tt.stored, at, raw)
		}
	}
}
