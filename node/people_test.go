package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/vault"
)

// phoneBook answers look-ups with what the test puts there.
type phoneBook struct {
	raw   []byte // nil: nobody is found
	hangs bool   // until the caller gives up
	asked int
}

func (b *phoneBook) find(ctx context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
	b.asked++
	if b.hangs {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	rec, err := who.Parse([32]byte{1}, b.raw)
	switch {
	case errors.Is(err, record.ErrWithdrawn):
		return nil, nil, err
	case err != nil || rec.CheckTime(time.Now()) != nil:
		return nil, nil, discovery.ErrNoKeyRecord
	}
	return rec, b.raw, nil
}

func testPeople(t *testing.T, v *vault.Vault, b *phoneBook) *people {
	t.Helper()
	p, err := newPeople([32]byte{1}, v, time.Now, b.find, anytime)
	if err != nil {
		t.Fatal(err)
	}
	p.draw = atOnce
	return p
}

// knows makes somebody a contact in a vault.
func knows(t *testing.T, v *vault.Vault, id *identity) {
	t.Helper()
	who := contact.Contact{Hashid: id.hashid(), Name: "bob", State: contact.Accepted}
	if err := v.Update(func(tx *vault.Tx) error { return storeContact(tx, who) }); err != nil {
		t.Fatal(err)
	}
}

// anytime is when people can be looked up, and atOnce how long anything waits.
func anytime() error                     { return nil }
func atOnce(time.Duration) time.Duration { return 0 }

// recordFresh is after how long a contact is looked up again for certain.
const recordFresh = fetchEvery*2/3 + fetchEvery*2/3

// by is to look somebody up by one link key, or the hashid.
func by(at record.Locator) sought { return sought{at.Hashid, []record.LinkKey{at.Link}} }

// locate is what current says once the person has been looked up by one link key, if that is wanted, or
// due as it is for a contact.
func (p *people) locate(ctx context.Context, who record.Locator, suspect bool) (*record.KeyRecord, error) {
	return p.record(ctx, by(who), suspect)
}

// record is locate by any link keys.
func (p *people) record(ctx context.Context, at sought, suspect bool) (*record.KeyRecord, error) {
	rec, err := p.current(at, suspect)
	p.mu.Lock()
	who := p.remembered(at.id)
	f := p.plan.list[at.id]
	if f == nil && p.now().Sub(who.found) >= recordFresh {
		p.plan.want(at, time.Now(), 0)
		f = p.plan.list[at.id]
	}
	due := f != nil && who.left(p.now()) == 0
	if due {
		f.wanted, f.busy = false, true
	}
	p.mu.Unlock()
	if !due {
		return rec, err
	}
	p.fetch(ctx, f)
	return p.current(at, false)
}

// lookUp looks up at once who is wanted.
func (m *messenger) lookUp(ctx context.Context) {
	p := m.people
	p.mu.Lock()
	var due []*fetch
	for _, f := range p.plan.list {
		if f.wanted {
			f.wanted, f.busy = false, true
			due = append(due, f)
		}
	}
	p.mu.Unlock()
	for _, f := range due {
		m.brought(p.fetch(ctx, f))
	}
}

// listed is how somebody who is listed is found.
func listed(id *identity) record.Locator { return record.Locator{Hashid: id.hashid()} }

// published signs a person's record as of now, at a node and of a sequence.
func published(t *testing.T, id *identity, node byte, sequence uint64) []byte {
	t.Helper()
	return signedRecordOf(t, [32]byte{1}, id, hashid.NodeID{node}, sequence)
}

func seq() uint64 { return uint64(time.Now().Unix()) }

func TestRecordIsLookedUpOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		b := &phoneBook{raw: published(t, bob, 1, seq())}
		p := testPeople(t, vault.Memory(), b)
		if p.known(bob.hashid()) != nil || b.asked != 0 {
			t.Error("known without a look-up")
		}
		for range 3 {
			if r, err := p.locate(t.Context(), listed(bob), false); err != nil || r.Inbox.Node != (hashid.NodeID{1}) {
				t.Fatalf("record: %v, %v", r, err)
			}
		}
		if b.asked != 1 {
			t.Errorf("%d look-ups", b.asked)
		}
		if r := p.known(bob.hashid()); r == nil || r.Inbox.Node != (hashid.NodeID{1}) {
			t.Errorf("known: %v", r)
		}
		time.Sleep(recordFresh)
		b.raw = published(t, bob, 2, seq())
		if r, err := p.locate(t.Context(), listed(bob), false); err != nil || r.Inbox.Node != (hashid.NodeID{2}) || b.asked != 2 {
			t.Errorf("after an hour: %v, %v, %d look-ups", r, err, b.asked)
		}
		// One that may be out of date is looked up at once, but not on and on.
		for range 5 {
			if _, err := p.locate(t.Context(), listed(bob), true); err != nil {
				t.Error(err)
			}
			time.Sleep(recordAgain / 4)
		}
		if b.asked > 4 {
			t.Errorf("%d look-ups of a suspect record in a second", b.asked)
		}
	})
}

func TestLookUpsInVainGrowRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		b := &phoneBook{}
		p := testPeople(t, vault.Memory(), b)
		for range 10 * 60 * 4 {
			if _, err := p.locate(t.Context(), listed(bob), false); !errors.Is(err, discovery.ErrNoKeyRecord) {
				t.Fatalf("record: %v", err)
			}
			time.Sleep(250 * time.Millisecond)
		}
		if b.asked < 15 || b.asked > 25 {
			t.Errorf("%d look-ups in ten minutes", b.asked)
		}
		b.raw = published(t, bob, 1, seq())
		time.Sleep(recordAgainLast)
		if _, err := p.locate(t.Context(), listed(bob), false); err != nil {
			t.Errorf("a minute after it was published: %v", err)
		}
	})
}

// A known record does while nothing newer comes, also when the table hangs.
func TestKnownRecordWillDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		v := vault.Memory()
		knows(t, v, bob)
		b := &phoneBook{raw: published(t, bob, 1, seq())}
		if _, err := testPeople(t, v, b).locate(t.Context(), listed(bob), false); err != nil {
			t.Fatal(err)
		}
		again := testPeople(t, v, &phoneBook{hangs: true}) // after a restart
		if r := again.known(bob.hashid()); r == nil {
			t.Error("the record was not kept")
		}
		began := time.Now()
		for _, suspect := range []bool{false, true} {
			if r, err := again.current(by(listed(bob)), suspect); err != nil || r.Inbox.Node != (hashid.NodeID{1}) {
				t.Errorf("record: %v, %v", r, err)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		time.Sleep(record.KeyRecordLifetime)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := again.locate(ctx, listed(bob), false); !errors.Is(err, errLooking) {
			t.Errorf("an expired record: %v", err)
		}
	})
}

// Neither an older record nor somebody else's takes the place of a newer one,
// also after a restart.
func TestNewerRecordStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob, eve := testIdentity(t), testIdentity(t)
		v := vault.Memory()
		knows(t, v, bob)
		old := published(t, bob, 1, seq())
		b := &phoneBook{raw: published(t, bob, 2, seq()+5)}
		p := testPeople(t, v, b)
		if _, err := p.locate(t.Context(), listed(bob), false); err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), old...)
		bad[len(bad)-1] ^= 1
		for name, raw := range map[string][]byte{"old": old, "eve's": published(t, eve, 3, seq()+9), "forged": bad, "empty": {}} {
			b.raw = raw
			for _, p := range []*people{p, testPeople(t, v, b)} {
				time.Sleep(recordDoubtLast)
				asked := b.asked
				r, err := p.locate(t.Context(), listed(bob), true)
				if err != nil || r.Inbox.Node != (hashid.NodeID{2}) || b.asked != asked+1 {
					t.Errorf("%s: %v, %v, %d look-ups", name, r, err, b.asked-asked)
				}
			}
		}
	})
}

// Suspicion alone, however often it is voiced, costs a look-up a minute at first, and one in ten
// minutes in the end; another record has it begin anew.
func TestSuspectRecordIsLookedUpEverMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		b := &phoneBook{raw: published(t, bob, 1, seq())}
		p := testPeople(t, vault.Memory(), b)
		if _, err := p.locate(t.Context(), listed(bob), false); err != nil {
			t.Fatal(err)
		}
		suspected := func(d time.Duration) int {
			b.asked = 0
			for range d / holdWait {
				if _, err := p.locate(t.Context(), listed(bob), true); err != nil {
					t.Fatal(err)
				}
				time.Sleep(holdWait)
			}
			return b.asked
		}
		if n := suspected(4 * time.Minute); n != 3 {
			t.Errorf("%d look-ups in four minutes", n)
		}
		time.Sleep(20 * time.Minute)
		suspected(30 * time.Minute)
		if n := suspected(2 * time.Hour); n < 11 || n > 16 {
			t.Errorf("%d look-ups in two hours", n)
		}
		b.raw = published(t, bob, 2, seq())
		suspected(recordDoubtLast)
		if n := suspected(recordDoubtLast); n < 3 {
			t.Errorf("%d look-ups in ten minutes, as he has moved", n)
		}
	})
}

// Who has begun a session anew is looked up at the next suspicion, however recent the last was.
func TestMovedPersonIsLookedUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		b := &phoneBook{raw: published(t, bob, 1, seq())}
		p := testPeople(t, vault.Memory(), b)
		for _, suspect := range []bool{false, true} { // which finds nothing new
			if _, err := p.locate(t.Context(), listed(bob), suspect); err != nil {
				t.Fatal(err)
			}
			time.Sleep(recordAgain)
		}
		b.raw = published(t, bob, 2, seq()+5)
		if r, err := p.locate(t.Context(), listed(bob), true); err != nil || r.Inbox.Node != (hashid.NodeID{1}) {
			t.Errorf("within a minute of the last suspicion: %v, %v", r, err)
		}
		p.moved(bob.hashid())
		if r, err := p.locate(t.Context(), listed(bob), false); err != nil || r.Inbox.Node != (hashid.NodeID{1}) {
			t.Errorf("without a suspicion: %v, %v", r, err)
		}
		if r, err := p.locate(t.Context(), listed(bob), true); err != nil || r.Inbox.Node != (hashid.NodeID{2}) {
			t.Errorf("after he has moved: %v, %v", r, err)
		}
	})
}

// What is no record of this person counts as none found.
func TestLookUpsThatBringRubbishGrowRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		b := &phoneBook{raw: published(t, testIdentity(t), 1, seq())}
		p := testPeople(t, vault.Memory(), b)
		for range 10 * 60 * 4 {
			if _, err := p.locate(t.Context(), listed(bob), false); !errors.Is(err, discovery.ErrNoKeyRecord) {
				t.Fatalf("record: %v", err)
			}
			time.Sleep(250 * time.Millisecond)
		}
		if b.asked < 15 || b.asked > 25 {
			t.Errorf("%d look-ups in ten minutes", b.asked)
		}
	})
}
