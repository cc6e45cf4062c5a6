package overlay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/link"
	"chatnt/overlay/onion"
)

// exits is a network whose nodes are exits to one hash table. Some bend what they
// are asked.
type exits struct {
	*net
	mu    sync.Mutex
	asked []question                // guarded by mu
	bent  map[int]map[string]bender // guarded by mu; by node and service
}

// question is what an exit was asked.
type question struct {
	exit         int
	service, key string
}

// bender is a service that may use the honest one.
type bender func(ctx context.Context, body []byte, honest SlowService) []byte

func startExits(t *testing.T, nodes, hops int) *exits {
	t.Helper()
	return startExitsIn(t, nodes, hops, nil)
}

// startExitsIn is startExits for a network with a prefix rule.
func startExitsIn(t *testing.T, nodes, hops int, prefix func(i int) int) *exits {
	t.Helper()
	e := &exits{bent: make(map[int]map[string]bender)}
	var table lateTable
	e.net = (&net{t: t, hops: hops, prefix: prefix, config: func(i int, cfg *Config) {
		cfg.Slow = make(map[string]SlowService)
		for name, honest := range RecordServices(&table, record.Validator{Now: time.Now}) {
			cfg.Slow[name] = func(ctx context.Context, body []byte) []byte {
				key := string(body)
				if name == serviceRecordPut {
					key, _, _ = parseRecordPut(body)
				}
				e.mu.Lock()
				e.asked = append(e.asked, question{i, name, key})
				bend := e.bent[i][name]
				e.mu.Unlock()
				if bend != nil {
					return bend(ctx, body, honest)
				}
				return honest(ctx, body)
			}
		}
	}}).run(nodes)
	table.net = e.net
	return e
}

// lateTable is the network's, which is not there yet when its nodes are made.
type lateTable struct{ *net }

// bend has some nodes do otherwise.
func (e *exits) bend(service string, bend bender, nodes ...int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, i := range nodes {
		if e.bent[i] == nil {
			e.bent[i] = make(map[string]bender)
		}
		e.bent[i][service] = bend
	}
}

// questions returns what was asked since the last call.
func (e *exits) questions() []question {
	e.mu.Lock()
	defer e.mu.Unlock()
	asked := e.asked
	e.asked = nil
	return asked
}

func (e *exits) records() *Records {
	return e.nodes[0].Records(e.nodes[0].guarded, record.Validator{Now: time.Now}, func() Latency { return Fast })
}

func keysOf(copies []record.Copy) (keys []string) {
	for _, c := range copies {
		keys = append(keys, c.Key)
	}
	return keys
}

// What bends.
func saysNone(context.Context, []byte, SlowService) []byte { return recordAnswer(recordNone, nil) }

func refuses(context.Context, []byte, SlowService) []byte  { return recordAnswer(recordRefused, nil) }
func isSilent(context.Context, []byte, SlowService) []byte { return nil }
func says(answer []byte) bender {
	return func(context.Context, []byte, SlowService) []byte { return answer }
}

func brings(value []byte) bender { return says(recordAnswer(recordGood, value)) }

func every(nodes int) (list []int) {
	for i := range nodes {
		list = append(list, i)
	}
	return list
}

// What one stores through an exit, another finds: each key through another exit,
// none of them the node itself, nor on the way to itself.
func TestRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 10, 3)
		defer e.stop()
		listed, hidden := newPerson(t, 1), newPerson(t, 2)
		hidden.link = newPerson(t, 3).key
		for _, p := range []*person{listed, hidden} {
			r, copies := e.records(), p.now()
			if _, err := r.Get(t.Context(), keysOf(copies)...); !errors.Is(err, record.ErrNone) {
				t.Errorf("before it is published: %v", err)
			}
			e.questions()
			for _, c := range copies {
				if stored, err := r.Put(t.Context(), c.Key, c.Value); err != nil || stored != 1 {
					t.Fatalf("%d, %v", stored, err)
				}
				asked := e.questions()
				if len(asked) != 2 || asked[0] != (question{asked[0].exit, "record.put", c.Key}) ||
					asked[1] != (question{asked[1].exit, "record.get", c.Key}) || asked[0].exit == asked[1].exit {
					t.Errorf("to put a record, exits were asked %+v", asked)
				}
			}
			got, err := r.Get(t.Context(), keysOf(copies)...)
			if err != nil || !bytes.Equal(got, copies[0].Value) && !bytes.Equal(got, copies[1].Value) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			asked := e.questions()
			slices.SortFunc(asked, func(a, b question) int {
				return slices.Index(keysOf(copies), a.key) - slices.Index(keysOf(copies), b.key)
			})
			if len(asked) != 2 || asked[0].key != copies[0].Key || asked[1].key != copies[1].Key || asked[0].exit == asked[1].exit {
				t.Errorf("to get a record, exits were asked %+v", asked)
			}
			for _, said := range e.nodes[0].reports() {
				if met := slices.Concat(said.Out, said.Back); said.Outcome != Answered || said.End == e.nodes[0].id || slices.Contains(met, said.End) {
					t.Errorf("%+v", said)
				}
			}
		}
		e.expectNoneWait()
	})
}

// Exits are drawn anew for each question: all come up, each as often as another.
func TestExitsAreDrawnAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 11, 3)
		defer e.stop()
		r, c := e.records(), newPerson(t, 1).now()[0]
		if _, err := r.Put(t.Context(), c.Key, c.Value); err != nil {
			t.Fatal(err)
		}
		e.questions()
		const rounds = 200
		for range rounds {
			if _, err := r.Get(t.Context(), c.Key); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // within what exits do for one neighbour
		}
		times := make(map[int]int)
		for _, q := range e.questions() {
			times[q.exit]++
		}
		for i := range e.nodes {
			// 20 expected of each, with a standard deviation of 4.2: five of them are enough.
			if n := times[i]; i == 0 && n != 0 || i > 0 && (n == 0 || n > 41) {
				t.Errorf("exit %d was asked %d times in %d rounds: %v", i, n, rounds, times)
			}
		}
	})
}

// A lying exit can refuse and no more: what is there is found, and the newest of
// what is found under the two keys is taken.
func TestLyingExits(t *testing.T) {
	bob, eve := newPerson(t, 1), newPerson(t, 2)
	for _, test := range []struct {
		name  string
		bend  func() bender
		liars bool // and known to be
	}{
		{"none", func() bender { return saysNone }, false},
		{"refused", func() bender { return refuses }, false},
		{"silent", func() bender { return isSilent }, false},
		{"old", func() bender { return brings(bob.copies(1000, time.Now().Add(24*time.Hour))[0].Value) }, false},
		{"expired", func() bender { return brings(bob.copies(1001, time.Now())[0].Value) }, false}, // its clock may be wrong
		{"forged", func() bender {
			forged := bytes.Clone(bob.now()[0].Value)
			forged[200] ^= 1
			return brings(forged)
		}, true},
		{"another's", func() bender { return brings(eve.now()[0].Value) }, true},
		{"nothing", func() bender { return brings(nil) }, true},
		{"garbage", func() bender { return says([]byte("garbage")) }, true},
		{"empty", func() bender { return says([]byte{}) }, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := startExits(t, 10, 3)
			defer e.stop()
			copies := bob.now()
			for _, c := range copies {
				if _, err := e.records().Put(t.Context(), c.Key, c.Value); err != nil {
					t.Fatal(err)
				}
			}
			e.questions()
			e.bend(serviceRecordGet, test.bend(), 4) // one in nine
			r := e.records()
			for lies, enough := 0, map[bool]int{true: 1, false: 3}[test.liars]; lies < enough; {
				got, err := r.Get(t.Context(), keysOf(copies)...)
				if err != nil || !bytes.Equal(got, copies[0].Value) {
					t.Errorf("%s: %d bytes, %v", test.name, len(got), err)
				}
				for _, q := range e.questions() {
					if q.exit == 4 {
						lies++
					}
				}
				time.Sleep(15 * time.Second)
			}
			left := r.liars.list()
			if slices.Contains(left, e.nodes[4].id) != test.liars || len(left) > 1 {
				t.Errorf("%s: %d exits are left alone", test.name, len(left))
			}
			time.Sleep(liarsRest)
			if n := len(r.liars.list()); n != 0 {
				t.Errorf("%s: %d exits are left alone after an hour", test.name, n)
			}
		})
	}
}

// That there is no record is believed when two exits say so for each key, and not
// when the others do not answer.
func TestNoneIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 10, 3)
		defer e.stop()
		keys := keysOf(newPerson(t, 1).now())
		began := time.Now()
		if _, err := e.records().Get(t.Context(), keys...); !errors.Is(err, record.ErrNone) || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		voices := make(map[string][]int)
		for _, q := range e.questions() {
			voices[q.key] = append(voices[q.key], q.exit)
		}
		if len(voices) != 2 || len(voices[keys[0]]) != 2 || len(voices[keys[1]]) != 2 || voices[keys[0]][0] == voices[keys[0]][1] {
			t.Errorf("asked were %v", voices)
		}

		e.bend(serviceRecordGet, refuses, every(10)[2:]...) // all but one
		began = time.Now()
		if _, err := e.records().Get(t.Context(), keys...); !errors.Is(err, ErrNoAnswer) || time.Since(began) != 0 {
			t.Errorf("when only one exit says so: %v after %v", err, time.Since(began))
		}
		for _, q := range e.questions() {
			voices[q.key] = append(voices[q.key], q.exit)
		}
		if n := len(voices[keys[0]]) - 2; n != exitsAsked {
			t.Errorf("%d exits were asked", n)
		}
	})
}

// one is a directory of a single exit.
type one struct{ desc *record.Descriptor }

func (o one) End(apart []*record.Descriptor, without ...hashid.NodeID) (*record.Descriptor, error) {
	if slices.Contains(apart, o.desc) || slices.Contains(without, o.desc.ID()) {
		return nil, &discovery.ShortageError{Need: 1}
	}
	return o.desc, nil
}

func (o one) Clash(a, b *record.Descriptor) bool { return a == b }

// An exit that is asked again, as it seemed not to answer, has one voice.
func TestExitHasOneVoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 6, 3)
		defer e.stop()
		slow := func(ctx context.Context, body []byte, honest SlowService) []byte {
			time.Sleep(7 * time.Second)
			return honest(ctx, body)
		}
		e.bend(serviceRecordGet, slow, 1)
		desc, _ := e.nodes[0].dir.Lookup(e.nodes[1].id)
		r := e.nodes[0].Records(one{desc}, record.Validator{Now: time.Now}, func() Latency { return Fast })
		began := time.Now()
		if _, err := r.Get(t.Context(), keysOf(newPerson(t, 1).now())[0]); !errors.Is(err, ErrNoAnswer) {
			t.Error(err)
		}
		if n := len(e.questions()); n != 3 || time.Since(began) != getTurns*3*time.Second { // asked after 0, 3 and 6 s, it answered after 7 and 10
			t.Errorf("it was asked %d times in %v", n, time.Since(began))
		}
	})
}

// When an exit does not answer, another is asked three seconds later, and its
// answer counts all the same if it comes.
func TestSilentExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 10, 3)
		defer e.stop()
		copies := newPerson(t, 1).now()
		for _, c := range copies {
			if _, err := e.records().Put(t.Context(), c.Key, c.Value); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		e.nodes[0].reports()
		calls := 0
		e.bend(serviceRecordGet, func(ctx context.Context, body []byte, honest SlowService) []byte {
			e.mu.Lock()
			calls++
			mine := calls
			e.mu.Unlock()
			switch mine {
			case 1:
				time.Sleep(5 * time.Second)
			case 2:
				return nil
			}
			return honest(ctx, body)
		}, every(10)...)
		began := time.Now()
		got, err := e.records().Get(t.Context(), copies[0].Key)
		if err != nil || !bytes.Equal(got, copies[0].Value) || time.Since(began) != 5*time.Second {
			t.Errorf("%d bytes, %v after %v", len(got), err, time.Since(began))
		}
		time.Sleep(time.Minute)
		// A look-up may take ten seconds: no relay is blamed before. The one that was asked meanwhile is silent.
		if got, want := outcomes(e.nodes[0].reports()), "answered 5s, lost 15s"; got != want {
			t.Errorf("reported is %v, want %v", got, want)
		}

		e.bend(serviceRecordGet, isSilent, every(10)...)
		began = time.Now()
		if _, err := e.records().Get(t.Context(), keysOf(copies)...); !errors.Is(err, ErrNoAnswer) || time.Since(began) != getTurns*3*time.Second {
			t.Errorf("nobody answers: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		if _, err := e.records().Put(t.Context(), copies[0].Key, copies[0].Value); !errors.Is(err, ErrNoAnswer) || time.Since(began) != putTurns*3*time.Second {
			t.Errorf("nobody confirms: %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if _, err := e.records().Get(ctx, keysOf(copies)...); !errors.Is(err, ErrNoAnswer) || time.Since(began) != time.Second {
			t.Errorf("nobody answers in time: %v after %v", err, time.Since(began))
		}
		e.expectNoneWait()
	})
}

// A put that no other exit confirms is made through another, and who said that it
// stored is left alone.
func TestLyingPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 10, 3)
		defer e.stop()
		e.bend(serviceRecordPut, says(recordAnswer(recordGood, nil)), 1, 2) // each put is tried with three exits
		bob := newPerson(t, 1)
		r, lied := e.records(), 0
		for i := uint64(0); lied < 2; i++ {
			c := bob.copies(1000+i, time.Now().Add(time.Hour))[0]
			if stored, err := r.Put(t.Context(), c.Key, c.Value); err != nil || stored != 1 {
				t.Fatalf("put %d: %d, %v", i, stored, err)
			}
			if got, _ := e.Get(t.Context(), c.Key); !bytes.Equal(got, c.Value) {
				t.Errorf("put %d is not in the table", i)
			}
			liars := r.liars.list()
			for _, liar := range liars {
				if n := e.index(liar); n != 1 && n != 2 {
					t.Errorf("exit %d, which is honest, is left alone", n)
				}
			}
			lied = len(liars)
			time.Sleep(15 * time.Second)
		}

		e.bend(serviceRecordPut, saysNone, every(10)...)
		e.questions()
		c := bob.copies(2000, time.Now().Add(time.Hour))[0]
		if _, err := r.Put(t.Context(), c.Key, c.Value); !errors.Is(err, ErrNotStored) {
			t.Errorf("nobody takes it: %v", err)
		}
		if n := len(e.questions()); n != 2 {
			t.Errorf("%d exits were asked when nobody takes it", n)
		}
		e.bend(serviceRecordPut, says(recordAnswer(recordGood, nil)), every(10)...)
		if _, err := r.Put(t.Context(), c.Key, c.Value); !errors.Is(err, ErrNotStored) {
			t.Errorf("all lie: %v", err)
		}
	})
}

// In the smallest network that has paths, exits are few, and everything works.
func TestRecordsInASmallNetwork(t *testing.T) {
	for hops := 1; hops <= onion.Relays; hops++ {
		synctest.Test(t, func(t *testing.T) {
			e := startExits(t, hops+2, hops)
			defer e.stop()
			r := e.records()
			copies := newPerson(t, 1).now()
			if _, err := r.Get(t.Context(), keysOf(copies)...); !errors.Is(err, record.ErrNone) {
				t.Errorf("%d hops: %v", hops, err)
			}
			for _, c := range copies {
				if _, err := r.Put(t.Context(), c.Key, c.Value); err != nil {
					t.Errorf("%d hops: %v", hops, err)
				}
			}
			if got, err := r.Get(t.Context(), keysOf(copies)...); err != nil || !bytes.Equal(got, copies[0].Value) {
				t.Errorf("%d hops: %d bytes, %v", hops, len(got), err)
			}
			// One exit in the wrong: it is asked again, for want of another, once it may be right.
			r.liars.add(e.nodes[1].id)
			if _, err := r.Get(t.Context(), keysOf(copies)...); err != nil {
				t.Errorf("%d hops: %v", hops, err)
			}
		})
	}
}

// Where records are looked up slowly, exits have the time that takes.
func TestSlowRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 10, 3)
		defer e.stop()
		r := e.nodes[0].Records(e.nodes[0].guarded, record.Validator{Now: time.Now}, func() Latency { return Slow })
		began := time.Now()
		for i := range byte(20) {
			c := newPerson(t, i+1).now()[0]
			if _, err := r.Put(t.Context(), c.Key, c.Value); err != nil {
				t.Error(err)
			}
			if got, err := r.Get(t.Context(), c.Key); err != nil || !bytes.Equal(got, c.Value) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			time.Sleep(time.Minute)
		}
		if mean := time.Since(began)/60 - 20*time.Second; mean < 9*time.Second || mean > 16*time.Second {
			t.Errorf("a question took %v on average, want 12 s", mean)
		}
		if asked := len(e.questions()); asked > 66 { // an answer in a hundred is late
			t.Errorf("%d exits were asked 60 questions", asked)
		}
	})
}

// What the link does not take at once goes out a moment later.
func TestRecordsWaitForTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 6, 3)
		defer e.stop()
		c := newPerson(t, 1).now()[0]
		busy := &busyFor{Link: e.nodes[0].cfg.Link, until: time.Now().Add(time.Second)}
		e.nodes[0].cfg.Link = busy
		began := time.Now()
		if _, err := e.records().Put(t.Context(), c.Key, c.Value); err != nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		busy.until = time.Now().Add(time.Hour)
		if _, err := e.records().Get(t.Context(), c.Key); !errors.Is(err, ErrNoAnswer) {
			t.Error(err)
		}
	})
}

// busyFor is a link that takes nothing until some time.
type busyFor struct {
	Link
	until time.Time
}

func (l *busyFor) Send(to hashid.NodeID, p *onion.Packet) error {
	if time.Now().Before(l.until) {
		l.Put(p)
		return link.ErrQueueFull
	}
	return l.Link.Send(to, p)
}

// Without relays an error says so at once, and what is no record is not
// asked for, and only a person's is published.
func TestRecordsRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 3, 3)
		defer e.stop()
		r, c := e.records(), newPerson(t, 1).now()[0]
		var short *discovery.ShortageError
		if _, err := r.Get(t.Context(), c.Key); !errors.As(err, &short) {
			t.Errorf("get without relays: %v", err)
		}
		if _, err := r.Put(t.Context(), c.Key, c.Value); !errors.As(err, &short) {
			t.Errorf("put without relays: %v", err)
		}
		relay := record.DescriptorKey(e.nodes[1].id)
		if _, err := r.Get(t.Context(), relay[1:]); err == nil || errors.As(err, &short) {
			t.Errorf("no record: %v", err)
		}
		if _, err := r.Put(t.Context(), relay, e.table[relay]); err == nil || errors.As(err, &short) {
			t.Errorf("a relay's descriptor: %v", err)
		}
		c.Value[200] ^= 1
		if _, err := r.Put(t.Context(), c.Key, c.Value); !record.IsForged(err) {
			t.Errorf("a damaged record: %v", err)
		}
		if n := len(e.questions()); n != 0 {
			t.Errorf("exits were asked %d times", n)
		}
	})
}

// An exit has to be there besides the relays of the path to it, whatever their number.
func TestRecordsAreReady(t *testing.T) {
	for hops := 1; hops <= 3; hops++ {
		for others := range hops + 3 {
			synctest.Test(t, func(t *testing.T) {
				e := startExits(t, 1+others, hops)
				defer e.stop()
				err := e.records().Ready()
				short := new(discovery.ShortageError)
				if enough := others > hops; enough != (err == nil) || !enough && (!errors.As(err, &short) || short.Need != hops) {
					t.Errorf("%d hops, %d other nodes: %v", hops, others, err)
				}
				if err != nil {
					return
				}
				c := newPerson(t, 1).now()[0]
				if n, err := e.records().Put(t.Context(), c.Key, c.Value); n != 1 || err != nil {
					t.Errorf("%d hops, %d other nodes: put: %v", hops, others, err)
				}
				if _, err := e.records().Get(t.Context(), c.Key); err != nil {
					t.Errorf("%d hops, %d other nodes: get: %v", hops, others, err)
				}
			})
		}
	}
}

// Those that are left alone are bounded, and each once.
func TestLiarsAreBounded(t *testing.T) {
	var l liars
	for range 3 {
		for i := range byte(100) {
			l.add(hashid.NodeID{i})
		}
	}
	list := l.list()
	if len(list) != maxLiars || list[0] != (hashid.NodeID{100 - maxLiars}) || list[maxLiars-1] != (hashid.NodeID{99}) {
		t.Errorf("%d are left alone", len(list))
	}
}

// Records take the place of the table for whoever publishes and looks up.
func TestPublishThroughExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startExits(t, 10, 3)
		defer e.stop()
		bob := newPerson(t, 1)
		var _ Table = e.records()
		publisher := discovery.NewPublisher(e.records(), time.Now, slog.New(slog.DiscardHandler), discovery.Publication{
			What: "key record", Every: 2 * time.Hour,
			Copies:   func(now time.Time) ([]record.Copy, error) { return bob.now(), nil },
			Outdated: func([]byte) bool { return false },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- publisher.Run(ctx) }()
		time.Sleep(time.Second)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		id := hashid.Of(bob.key.Public().(ed25519.PublicKey))
		found, _, err := discovery.Person(t.Context(), e.records(), [32]byte{}, time.Now(), record.Locator{Hashid: id})
		if err != nil || found.Hashid() != id {
			t.Errorf("%v, %v", found, err)
		}
	})
}
