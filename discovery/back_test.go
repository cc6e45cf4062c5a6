package discovery

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/record"
)

// What is known of a node when it is there again, though that was missed.
func (d *Directory) has(s *signer) bool {
	desc, ok := d.Lookup(s.id)
	return ok && present(desc)
}

// A node that is said to have left, and is met all the same, is back: what it has said of that has
// gone by, as it does where two start at once.
func TestMetAfterItLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		table.nodes = append(table.nodes, s.id)
		table.values[record.DescriptorKey(s.id)] = s.sign(time.Now(), withdrawn)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		if _, known := d.Lookup(s.id); !known || d.has(s) {
			t.Fatal("it has not left")
		}
		table.set(func() { table.values[record.DescriptorKey(s.id)] = s.sign(time.Now(), later(1)) })
		pass(2 * time.Second)
		if !d.has(s) {
			t.Error("that it is back is not known after the next walk")
		}
	})
}

// Of a node that starts more often than is taken for news the last start is, once that is allowed.
func TestNewsThatWasTooMuchIsTakenInLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, table, s := newTestDirectory(), newFakeTable(), newSigner(t)
		running(t, func(ctx context.Context) error { return d.Run(ctx, table) })
		for i := range uint64(2 * newsBurst) {
			for _, raw := range [][]byte{s.sign(time.Now(), later(10*i), withdrawn), s.sign(time.Now(), later(10*i+2)), s.sign(time.Now(), later(10*i+1))} {
				if _, err := d.Learn(raw); err != nil {
					t.Fatal(err)
				}
			}
			pass(time.Second)
		}
		if d.has(s) {
			t.Fatal("all of it was taken in at once")
		}
		last := uint64(10*(2*newsBurst-1) + 2)
		if pass(newsEvery); !d.has(s) || len(d.Usable()) != 1 {
			t.Fatal("it is there and not in use")
		}
		desc, _ := d.Lookup(s.id)
		if want := uint64(time.Now().Unix()) - uint64(newsEvery/time.Second) - 1 + last; desc.Sequence != want {
			t.Errorf("what is known of it has the number %d, want %d", desc.Sequence, want)
		}
	})
}

// What is held is taken in, unless it has expired or something newer has come.
func TestHeldNewsMayBeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			asked uint64 // what the table brings meanwhile; 0: nothing
			brief bool
			taken bool
		}{
			"nothing newer":       {7, false, true},
			"newer":               {9, false, false},
			"expired":             {0, true, false},
			"expired, and older":  {7, true, false},
			"as it was, for long": {0, false, true},
		} {
			d, s := newTestDirectory(), newSigner(t)
			for i := range uint64(newsBurst + 1) {
				learn(t, d, s.sign(time.Now(), later(i)))
			}
			held := s.sign(time.Now(), later(8), noRelay, func(d *record.Descriptor) {
				if test.brief {
					d.Expires = time.Now().Add(newsEvery / 2)
				}
			})
			if news, err := d.Learn(held); news || err != nil {
				t.Fatalf("%s: news %v, error %v", name, news, err)
			}
			if test.asked > 0 {
				if _, news, err := d.learn(s.sign(time.Now(), later(test.asked)), true); !news || err != nil {
					t.Fatalf("%s: news %v, error %v", name, news, err)
				}
			}
			pass(newsEvery * (newsBurst + 2))
			d.due(0)
			desc, ok := d.Lookup(s.id)
			if !ok {
				t.Fatalf("%s: nothing is known of it", name)
			}
			if taken := desc.Flags == 0; taken != test.taken || d.entries[s.id].held != nil {
				t.Errorf("%s: taken in %v, held on %v", name, taken, d.entries[s.id].held != nil)
			}
		}
	})
}

// Gossip passes each descriptor on once, news or not.
func TestHeardIsPassedOnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, self := newTestDirectory(), newSigner(t), newSigner(t)
		d.self = self.id
		heard := func(what string, raw []byte, want bool) {
			t.Helper()
			if pass, err := d.Heard(raw); pass != want || err != nil {
				t.Errorf("%s: passed on %v, error %v", what, pass, err)
			}
		}
		first, second := s.sign(time.Now()), s.sign(time.Now(), later(1))
		heard("news", first, true)
		heard("the same again", first, false)
		learn(t, d, second)
		heard("what the table brought before", second, true)
		heard("that again", second, false)
		heard("what is older", first, false)
		heard("this node's own", self.sign(time.Now()), false)
		for i := range uint64(newsBurst + 2) {
			if _, err := d.Learn(s.sign(time.Now(), later(2+i))); err != nil {
				t.Fatal(err)
			}
		}
		heard("what is too much", s.sign(time.Now(), later(20)), false)
		forged := s.sign(time.Now(), later(30))
		forged[100] ^= 1
		if pass, err := d.Heard(forged); pass || !record.IsForged(err) {
			t.Errorf("forged: passed on %v, error %v", pass, err)
		}
	})
}

// While the table grows, those who are asked what others have of this node may have come without it: they are
// asked again when it has grown.
func TestOutdatedIsSeenOnceOthersAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &fakePutter{start: time.Now(), found: []byte("v1")} // this node's own, of somebody new
		signed := 0
		p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
			What: "record", Keys: []string{"a"}, Every: time.Hour,
			Sign: func(time.Time) ([]byte, error) { signed++; return []byte{'v', byte('0' + signed)}, nil },
			Outdated: func(found []byte) bool {
				older := int(found[1]-'0') > signed
				signed = max(signed, int(found[1]-'0'))
				return older
			},
		})
		running(t, p.Run)
		table.mu.Lock()
		table.found = []byte("v7")
		table.mu.Unlock()
		p.Grown()
		pass(time.Second)
		if puts := table.take(); len(puts) != 3 || !strings.HasSuffix(puts[2], "v8") {
			t.Errorf("put %v, want v8 last", puts)
		}
	})
}

// A newer copy of the profile may have given the same sequence to another record: others keep one of the two.
func TestSameSequenceIsOutdone(t *testing.T) {
	for name, other := range map[string]bool{"by the other's": true, "not by its own": false} {
		synctest.Test(t, func(t *testing.T) {
			table, s := &fakePutter{start: time.Now()}, newSigner(t)
			first, second := s.sign(time.Now(), withdrawn), s.sign(time.Now())
			if !record.Newer(first, second) {
				first, second = second, first
			}
			if table.found = second; other {
				table.found = first
			}
			signed := 0
			p := NewPublisher(table, time.Now, slog.New(slog.DiscardHandler), Publication{
				What: "record", Every: time.Hour,
				Copies: func(time.Time) ([]record.Copy, error) {
					if signed++; signed == 2 {
						second = s.sign(time.Now(), later(1))
					}
					return []record.Copy{{Key: "a", Value: second}}, nil
				},
				Outdated: func([]byte) bool { return false }, // by its number
			})
			running(t, p.Run)
			pass(time.Minute)
			if want := map[bool]int{true: 2, false: 1}[other]; signed != want {
				t.Errorf("%s: it was signed %d times, want %d", name, signed, want)
			}
		})
	}
}
