package node

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/control"
	"chatnt/overlay"
	"chatnt/overlay/path"
)

// openPaths lead anywhere through the same six relays, and note when attempts are given up.
type openPaths struct {
	relays []*record.Descriptor

	mu   sync.Mutex
	lost []time.Time // guarded by mu
}

func (p *openPaths) Ready() error { return nil }

func (p *openPaths) Draw(end *record.Descriptor) (*path.Way, error) {
	return &path.Way{Out: p.relays[:3], Back: p.relays[3:], End: end.ID()}, nil
}

func (p *openPaths) Back(*record.Descriptor) ([]*record.Descriptor, error) { return p.relays[3:], nil }

func (p *openPaths) Report(_ *path.Way, outcome overlay.Outcome) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if outcome == overlay.Lost {
		p.lost = append(p.lost, time.Now())
	}
	return false
}

func (p *openPaths) take() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := p.lost
	p.lost = nil
	return lost
}

// deafNet is a messenger that has bob as a contact, knows his key record, and sends into a network that
// carries everything nowhere. It notes who is looked up, and when: zero is a node.
type deafNet struct {
	*messenger
	paths *openPaths
	stop  func()

	mu  sync.Mutex
	log []looked // guarded by mu
}

// intoTheVoid makes one, with times drawn from a seed; gone says that bob's node has left.
func intoTheVoid(t *testing.T, gone bool) *deafNet {
	t.Helper()
	key := func(i byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), i))
	}
	d := &deafNet{messenger: friends(t), paths: new(openPaths)}
	inbox, left := announcedAs(t, d.network, 1, record.FlagWithdrawn)
	raw := signedRecordOf(t, d.network, bob(), inbox, seq())
	remember(t, d.profile.vault, bob(), raw)
	start := time.Now()
	note := func(id hashid.ID) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.log = append(d.log, looked{id, time.Since(start)})
	}
	find := finds(d.network, raw)
	d.people.find = func(ctx context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
		note(who.Hashid)
		return find(ctx, who)
	}
	random := rand.New(rand.NewPCG(1, 6))
	d.people.draw = func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most) + 1)) }
	d.ends.draw = func(most time.Duration) time.Duration { return most / 2 }
	d.ends.get = func(context.Context, ...string) ([]byte, error) { note(hashid.ID{}); return nil, record.ErrNone }

	if !gone {
		left = announcement(t, d.network, key(1))
	}
	if news, err := d.relays.Learn(left); err != nil || !news {
		t.Fatal(news, err)
	}
	for i := range byte(6) {
		desc, err := record.ParseDescriptor(d.network, announcement(t, d.network, key(10+i)))
		if err != nil {
			t.Fatal(err)
		}
		d.paths.relays = append(d.paths.relays, desc)
	}
	finder, err := discovery.NewFinder(d.relays, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.overlay = overlay.New(overlay.Config{
		Self: d.profile.Node(), Link: noLink{}, Paths: d.paths, Finder: finder, Now: timeNow, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = d.overlay.Run(ctx) })
	wg.Go(func() { d.run(ctx) })
	d.stop = func() { cancel(); wg.Wait() }
	return d
}

// say has the sender of bob's conversation send a text.
func (d *deafNet) say(t *testing.T, text string) {
	t.Helper()
	if _, err := d.send("bob", text); err != nil {
		t.Fatal(err)
	}
}

// Who is sent something is not looked up for that, nor is that person's node, be it there and silent
// or not there: a look-up is the same whether or not anything is sent.
func TestNobodyIsLookedUpForWhatIsSent(t *testing.T) {
	for name, gone := range map[string]bool{"no receipt comes": false, "the node has left": true} {
		t.Run(name, func(t *testing.T) {
			times := func(sends bool) (log []looked, attempts int) {
				synctest.Test(t, func(t *testing.T) {
					d := intoTheVoid(t, gone)
					defer d.stop()
					for i := range 24 {
						if sends && i < 4 {
							d.say(t, "are you there?")
						}
						time.Sleep(5 * time.Minute)
						drain(d.feed)
					}
					attempts = len(d.paths.take())
					d.mu.Lock()
					defer d.mu.Unlock()
					log = d.log
				})
				return log, attempts
			}
			silent, none := times(false)
			talking, attempts := times(true)
			if len(silent) < 2 || !slices.Equal(silent, talking) {
				t.Errorf("the look-ups are at\n%v, and when texts are sent at\n%v", silent, talking)
			}
			if none > 0 || gone != (attempts == 0) || !gone && attempts < 1000 {
				t.Errorf("there are %d attempts to send nothing, %d to send texts", none, attempts)
			}
		})
	}
}

// What is sent is held by relays for as long as its latency says, receipts for as long as is set: the
// answer is waited for accordingly.
func TestTextsAndReceiptsGoOutWithTheirLatency(t *testing.T) {
	for _, latency := range []overlay.Latency{overlay.Fast, overlay.Normal, overlay.Slow} {
		for _, receipt := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				d := intoTheVoid(t, false)
				defer d.stop()
				set := latency
				if !receipt { // the text has one of its own
					set = (latency + 1) % (overlay.Slow + 1)
				}
				if err := d.profile.setLatency(set.String()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				began := time.Now()
				if receipt {
					d.arrived(sealIn(t, initiate(t, d.messenger, bob()), testText(1, "hi")))
				} else if _, err := d.sendAs("bob", "hi", control.How{Latency: latency.String()}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(latency.Patience(6) + time.Second)
				lost := d.paths.take()
				if len(lost) == 0 {
					t.Fatalf("%v: nothing went out", latency)
				}
				if waited := lost[0].Sub(began); waited < latency.Patience(6) || waited > latency.Patience(6)+time.Second {
					t.Errorf("%v: the answer is waited for %v", latency, waited)
				}
			})
		}
	}
}
