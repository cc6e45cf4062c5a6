package ratchet

import (
	"crypto/rand"
	"testing"
)

// TestTrialsDoNotAllocate: a node tries a frame of unknown origin on each session that it has.
func TestTrialsDoNotAllocate(t *testing.T) {
	a, b := newPair(t)
	for range 12 {
		roundTrip(&a, &b)
	}
	frame := make([]byte, FrameSize)
	_, _ = rand.Read(frame)
	for name, try := range map[string]func() bool{
		"Expects": func() bool { return a.Expects(frame) },
		"Knows":   func() bool { return b.Knows(frame) },
		"Open":    func() bool { _, err := b.Open(frame, testTime()); return err == nil },
	} {
		if n := testing.AllocsPerRun(20, func() {
			if try() {
				t.Error("random bytes are a frame")
			}
		}); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
