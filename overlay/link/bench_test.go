package link

import (
	"testing"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// BenchmarkLibp2p measures frames through one link to another on loopback.
func BenchmarkLibp2p(b *testing.B) {
	b.Run("tcp", func(b *testing.B) { benchmark(b, new(libp2pWire)) })
	b.Run("quic", func(b *testing.B) { benchmark(b, &libp2pWire{quic: true}) })
}

// BenchmarkMemory measures the link without a network.
func BenchmarkMemory(b *testing.B) { benchmark(b, new(memoryWire)) }

func benchmark(b *testing.B, w wire) {
	credit := make(chan struct{}, 60)
	done := make(chan struct{})
	got := 0
	to := w.add(b, 2, func(l *Link, _ hashid.NodeID, p *onion.Packet) {
		l.Put(p)
		if got++; got == b.N+1 {
			close(done)
		}
		<-credit
	}, nil)
	from := w.add(b, 1, nil, nil)
	send := func() {
		credit <- struct{}{}
		if err := from.Send(to.id, from.Get()); err != nil {
			b.Fatal(err)
		}
	}
	send() // connects
	eventually(b, "the first frame arrives", func() bool { return to.Stats().FramesIn == 1 })
	b.ReportAllocs()
	b.SetBytes(onion.Size)
	b.ResetTimer()
	for range b.N {
		send()
	}
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}
