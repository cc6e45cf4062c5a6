package path

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"chatnt/discovery/record"
)

// manyNodes makes n nodes of a public network: most in a prefix of their own, some
// crowded, some with two addresses.
func manyNodes(t testing.TB, n int) []*record.Descriptor {
	nodes := make([]*record.Descriptor, n)
	for i := range nodes {
		prefix := i
		if i%4 == 0 {
			prefix = i % 64
		}
		addrs := []string{fmt.Sprintf("/ip4/%d.%d.%d.1/tcp/4001", 20+prefix/250, prefix%250, i%250)}
		if i%3 == 0 {
			addrs = append(addrs, fmt.Sprintf("/ip6/2001:%x::1/udp/4001/quic-v1", prefix+1))
		}
		nodes[i] = node(t, i, addrs...)
	}
	return nodes
}

// BenchmarkDraw draws a way out and back on a public network: from the same slice of
// relays as before, from a new slice of the same relays, and after one has gone.
func BenchmarkDraw(b *testing.B) {
	for _, n := range []int{1000, 16384} {
		relays := manyNodes(b, n)
		for _, how := range []string{"same", "copied", "changed"} {
			b.Run(fmt.Sprintf("relays=%d/%s", n, how), func(b *testing.B) {
				c := New(Rules{Self: self, Hops: 3, Apart: true})
				draw(b, c, start, relays, far)
				list := relays
				for i := 0; b.Loop(); i++ {
					switch how {
					case "copied":
						list = slices.Clone(relays)
					case "changed":
						list = slices.Delete(slices.Clone(relays), i%n, i%n+1)
					}
					if _, err := c.Draw(start, list, far); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkReport takes in an answered request while as many losses are remembered as
// can be, and BenchmarkJudge finds out about them.
func BenchmarkReport(b *testing.B) {
	c, w, now := troubled(b)
	for b.Loop() {
		c.Report(now, w, true)
	}
}

func BenchmarkJudge(b *testing.B) {
	c, _, now := troubled(b)
	for b.Loop() {
		c.blame.fresh = true
		now = now.Add(judgeEvery)
		c.blame.judge(now, 1000, c.keeping.guards)
	}
}

// troubled returns a Chooser that has lost a quarter of its requests.
func troubled(b *testing.B) (*Chooser, *Way, time.Time) {
	relays := manyNodes(b, 1000)
	c := New(Rules{Self: self, Hops: 3, Apart: true, Random: seeded(1)})
	var w *Way
	now := start
	for i := range 4 * maxLosses {
		w = draw(b, c, now, relays, node(b, 2000+i%10))
		c.Report(now, w, i%40 > 9)
		now = now.Add(100 * time.Millisecond)
	}
	return c, w, now
}
