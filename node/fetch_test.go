package node

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/vault"
)

// asking is a table that answers nobody, or with what it has, and notes who was asked for and when.
type asking struct {
	mu    sync.Mutex
	start time.Time
	has   map[hashid.ID][]byte
	hold  time.Duration // that each answer takes
	log   []looked
	most  int // at once
	now   int
}

type looked struct {
	who hashid.ID
	at  time.Duration
}

func (a *asking) find(ctx context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
	a.mu.Lock()
	a.log = append(a.log, looked{who.Hashid, time.Since(a.start)})
	a.now++
	a.most = max(a.most, a.now)
	raw, hold := a.has[who.Hashid], a.hold
	a.mu.Unlock()
	select {
	case <-time.After(hold):
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now--
	rec, err := who.Parse([32]byte{1}, raw)
	if err != nil || ctx.Err() != nil {
		return nil, nil, discovery.ErrNoKeyRecord
	}
	return rec, raw, nil
}

// take returns what was asked since the last call.
func (a *asking) take() []looked {
	a.mu.Lock()
	defer a.mu.Unlock()
	log := a.log
	a.log = nil
	return log
}

func (a *asking) set(id *identity, raw []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.has[id.hashid()] = raw
}

// following is people that run, with times drawn from a seed.
type following struct {
	*people
	*asking
	came chan hashid.ID

	mu       sync.Mutex
	contacts []sought      // guarded by mu
	short    error         // guarded by mu
	changed  chan struct{} // guarded by mu
}

func follow(t *testing.T, seed uint64, contacts ...sought) *following {
	t.Helper()
	f := &following{
		asking: &asking{start: time.Now(), has: make(map[hashid.ID][]byte)}, contacts: contacts,
		came: make(chan hashid.ID, 1000), changed: make(chan struct{}),
	}
	ready := func() error { f.mu.Lock(); defer f.mu.Unlock(); return f.short }
	var err error
	if f.people, err = newPeople([32]byte{1}, vault.Memory(), time.Now, f.asking.find, ready); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 6))
	f.draw = func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d) + 1)) }
	return f
}

func (f *following) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		f.run(ctx, func() []sought { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.contacts) },
			func() <-chan struct{} { f.mu.Lock(); defer f.mu.Unlock(); return f.changed },
			func(id hashid.ID, news bool) {
				if news {
					f.came <- id
				}
			})
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// allow has look-ups be possible from now on, or not.
func (f *following) allow(short error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.short = short
	close(f.changed)
	f.changed = make(chan struct{})
}

func persons(n int) (list []sought) {
	for i := range n {
		list = append(list, by(record.Locator{Hashid: hashid.ID{byte(i), byte(i >> 8), 1}}))
	}
	return list
}

// Contacts are looked up on and on, each about once an hour, at times that have nothing in common: from
// the start, if their records are known from before.
func TestContactsAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var contacts []sought
		v := vault.Memory()
		for range 10 {
			who := testIdentity(t)
			knows(t, v, who)
			remember(t, v, who, published(t, who, 1, seq()))
			contacts = append(contacts, by(listed(who)))
		}
		f := follow(t, 1, contacts...)
		f.vault = v
		f.start(t)
		const hours = 48
		time.Sleep(hours * time.Hour)
		last, gaps := make(map[hashid.ID]time.Duration), make(map[time.Duration]bool)
		soon, mean := 0, time.Duration(0)
		log := f.take()
		for _, l := range log {
			before, again := last[l.who]
			last[l.who] = l.at
			if !again {
				if l.at < fetchSpread {
					soon++
				}
				mean += l.at / time.Duration(len(contacts))
				continue
			}
			gap := l.at - before
			if gap < fetchEvery*2/3 || gap > fetchEvery*4/3+time.Minute {
				t.Errorf("a contact is looked up after %v", gap)
			}
			gaps[gap.Round(time.Second)] = true
		}
		if len(last) != len(contacts) || soon > 2 || mean < fetchEvery/4 || mean > fetchEvery*3/4 {
			t.Errorf("%d contacts are looked up, %d of them in the first half minute, all after %v on average", len(last), soon, mean)
		}
		if n := len(log); n < hours*len(contacts)*9/10 || n > hours*len(contacts)*11/10 {
			t.Errorf("%d look-ups of %d contacts in %d hours", n, len(contacts), hours)
		}
		if len(gaps) < len(log)/2 {
			t.Errorf("of %d pauses, %d are different", len(log), len(gaps))
		}
	})
}

// Of whom no record is known is looked up in the first half minute, spread over it, in no order.
func TestUnknownContactsAreLookedUpSoon(t *testing.T) {
	first := make(map[byte]bool)
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			contacts := persons(10)
			f := follow(t, seed, contacts...)
			f.start(t)
			time.Sleep(fetchSpread)
			log := f.take()
			if len(log) != len(contacts) {
				t.Fatalf("%d look-ups in the first half minute, of %d contacts", len(log), len(contacts))
			}
			slot := fetchSpread / time.Duration(len(contacts))
			seen := make(map[hashid.ID]bool)
			for i, l := range log {
				if from := time.Duration(i) * slot; l.at < from || l.at > from+slot {
					t.Errorf("look-up %d is at %v", i, l.at)
				}
				seen[l.who] = true
			}
			if len(seen) != len(contacts) {
				t.Errorf("%d contacts are looked up", len(seen))
			}
			first[log[0].who[0]] = true
		})
	}
	if len(first) < 4 {
		t.Errorf("%d different contacts come first in ten starts", len(first))
	}
}

// remember has somebody's record known from before.
func remember(t *testing.T, v *vault.Vault, who *identity, raw []byte) {
	t.Helper()
	err := v.Update(func(tx *vault.Tx) error {
		return tx.Put(bucketRecords, who.hashid().String(), appendRecord(nil, record.LinkKey{}, raw))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// However many contacts there are, they are not looked up faster than so, nor all at once after
// nobody could be asked for long.
func TestLookUpsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, 2, persons(3000)...)
		f.hold = 10 * time.Second
		f.start(t)
		time.Sleep(10 * time.Minute)
		if n := len(f.take()); n < 200 || n > 330 {
			t.Errorf("%d look-ups in ten minutes", n)
		}
		f.allow(&discovery.ShortageError{Need: 3})
		time.Sleep(30 * time.Second) // what is under way ends
		f.take()
		time.Sleep(10 * time.Hour)
		if n := len(f.take()); n != 0 {
			t.Errorf("%d look-ups among too few nodes", n)
		}
		f.asking.mu.Lock()
		f.hold = 0
		f.asking.mu.Unlock()
		f.allow(nil)
		time.Sleep(10 * time.Minute)
		if n := len(f.take()); n < 200 || n > 330 {
			t.Errorf("%d look-ups in the ten minutes after", n)
		}
		if f.most != 4 {
			t.Errorf("%d look-ups at once", f.most)
		}
	})
}

// Who is wanted is looked up soon, before contacts that are overdue, and once.
func TestWantedAreLookedUpSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contacts := persons(200) // more than go in half a minute
		f := follow(t, 3, contacts...)
		f.hold = time.Second
		f.start(t)
		time.Sleep(2 * time.Hour)
		f.take()
		for i, at := range []sought{by(record.Locator{Hashid: hashid.ID{9, 9}}), contacts[7], contacts[199]} {
			began := time.Since(f.start0())
			for range 20 { // as its sender does, for a second
				if _, err := f.current(at, false); err == nil {
					t.Fatal("a record came from nowhere")
				}
				time.Sleep(time.Second / 20)
			}
			time.Sleep(3 * time.Second)
			var of []time.Duration
			for _, l := range f.take() {
				if l.who == at.id {
					of = append(of, l.at-began)
				}
			}
			wait := fetchFirst
			if i > 0 { // its last look-up was in vain
				wait += recordAgain
			}
			if len(of) != 1 || of[0] > wait+fetchWanted {
				t.Errorf("wanted person %d is looked up after %v", i, of)
			}
		}
	})
}

func (f *following) start0() time.Time { return f.asking.start }

// What is new about somebody is told, and a record that was only signed anew is not.
func TestNewsOfAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		f := follow(t, 5, by(listed(bob)))
		f.start(t)
		told := func() (n int) {
			synctest.Wait()
			for len(f.came) > 0 {
				<-f.came
				n++
			}
			return n
		}
		time.Sleep(time.Minute)
		if n := told(); n != 0 {
			t.Errorf("told of nothing %d times", n)
		}
		f.set(bob, published(t, bob, 1, seq()))
		time.Sleep(2 * time.Hour)
		if n := told(); n != 1 {
			t.Errorf("told of the first record %d times", n)
		}
		f.set(bob, published(t, bob, 1, seq()))
		time.Sleep(2 * time.Hour)
		if n := told(); n != 0 {
			t.Errorf("told %d times of the same, signed anew", n)
		}
		f.set(bob, published(t, bob, 2, seq()))
		if _, err := f.current(by(listed(bob)), true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(fetchDoubt - time.Millisecond)
		if n := told(); n != 0 {
			t.Error("a suspect record is looked up in the moment it is suspected")
		}
		time.Sleep(fetchDoubt + fetchWanted)
		if n := told(); n != 1 {
			t.Errorf("told %d times of another node", n)
		}
	})
}

// After a sleep whoever is waited for is looked up at once, however often that was in vain before.
func TestRetryLooksUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := testIdentity(t)
		f := follow(t, 7)
		f.start(t)
		poll := func(d time.Duration) {
			for range d / holdWait {
				_, _ = f.current(by(listed(bob)), false)
				time.Sleep(holdWait)
			}
		}
		poll(10 * time.Minute)
		f.take()
		f.retry()
		poll(time.Second)
		if n := len(f.take()); n == 0 {
			t.Error("nobody is looked up")
		}
	})
}

// Who is no contact any more is not looked up.
func TestNobodyIsFollowedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, 6, persons(5)...)
		f.start(t)
		time.Sleep(time.Hour)
		f.mu.Lock()
		gone := f.contacts[0].id
		f.contacts = f.contacts[1:3]
		f.mu.Unlock()
		f.forget(gone)
		time.Sleep(planEvery)
		f.take()
		if _, err := f.current(by(record.Locator{Hashid: hashid.ID{7}}), false); err == nil {
			t.Fatal("a record came from nowhere")
		}
		time.Sleep(10 * time.Hour)
		asked := make(map[hashid.ID]int)
		for _, l := range f.take() {
			asked[l.who]++
		}
		if len(asked) != 3 || asked[hashid.ID{7}] != 1 || asked[persons(5)[1].id] < 7 {
			t.Errorf("looked up are %v", asked)
		}
		f.people.mu.Lock()
		defer f.people.mu.Unlock()
		if n := len(f.plan.list); n != 2 {
			t.Errorf("%d look-ups are planned", n)
		}
	})
}

// Of those whose turn it is, who is waited for goes first; who is forgotten has none, and nobody has two.
func TestPlan(t *testing.T) {
	p, now := newPlan(), time.Now()
	contacts := persons(4)
	p.keep(contacts[:2], now, func(hashid.ID) bool { return true }, atOnce)
	now = now.Add(time.Hour)
	p.want(contacts[2], now, 0)
	p.want(contacts[3], now, time.Second)
	first, wait := p.next(now, atOnce)
	if first == nil || wait != 0 || !first.at.equal(contacts[2]) {
		t.Fatalf("the first is %+v, in %v", first, wait)
	}
	if f, wait := p.next(now, atOnce); f != nil || wait != fetchWanted {
		t.Errorf("the next at once is %+v, in %v", f, wait)
	}
	p.want(contacts[2], now, 0) // while it is under way
	now = now.Add(fetchWanted)
	p.forget(contacts[0].id)
	if f, _ := p.next(now, atOnce); f == nil || !f.at.equal(contacts[1]) {
		t.Errorf("the second is %+v", f)
	}
	p.done(first, now, atOnce)
	if f, wait := p.next(now.Add(fetchWanted), atOnce); f != nil || wait != time.Second-2*fetchWanted {
		t.Errorf("the third is %+v, in %v", f, wait)
	}
	p.hurry(now)
	if f, _ := p.next(now.Add(fetchWanted), atOnce); f == nil || !f.at.equal(contacts[3]) {
		t.Errorf("the third is %+v", f)
	}
	if len(p.list) != 2 {
		t.Errorf("%d are planned", len(p.list))
	}
	// Another link key: what is under way does not do.
	other := contacts[3]
	other.links = []record.LinkKey{{1}}
	p.want(other, now, time.Hour)
	third := p.list[other.id]
	p.done(third, now, atOnce)
	if f := p.list[other.id]; f == nil || !f.at.equal(other) || !f.wanted || !f.due.Equal(now.Add(time.Hour)) {
		t.Errorf("planned is %+v", f)
	}
}
