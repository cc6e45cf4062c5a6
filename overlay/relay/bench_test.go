package relay

import (
	"testing"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// BenchmarkForward measures all that a relay does for a packet without delay,
// but for the link.
func BenchmarkForward(b *testing.B) {
	w := newWorld(b)
	a, end := w.add(1), w.add(2)
	a.tap = func(hashid.NodeID, *onion.Packet) error { return nil }
	hops := path(0, a, end)
	packets := make([]onion.Packet, 1024)
	b.ReportAllocs()
	b.SetBytes(onion.Size)
	b.ResetTimer()
	for i := range b.N {
		if i%len(packets) == 0 { // each passes once
			b.StopTimer()
			for j := range packets {
				if err := onion.Wrap(&packets[j], hops, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		a.Handle(sender, &packets[i%len(packets)])
	}
	b.StopTimer()
	if s := a.Stats(); s.Forwarded != uint64(b.N) {
		b.Fatalf("%+v", s)
	}
}
