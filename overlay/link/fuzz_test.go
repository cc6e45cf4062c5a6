package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// cutStream hands out its bytes in the pieces that cuts says, then fails with
// end. It notes how it was ended.
type cutStream struct {
	rest []byte
	cuts []byte
	late bool // the last bytes come together with end
	end  error

	closed, reset bool
}

func (s *cutStream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, s.end
	}
	n := len(s.rest)
	if len(s.cuts) > 0 {
		n = int(s.cuts[0]) * int(s.cuts[0]) / 8 // 0 to 8128, small ones often
		s.cuts = s.cuts[1:]
	}
	n = copy(p, s.rest[:min(n, len(s.rest))])
	if s.rest = s.rest[n:]; s.late && len(s.rest) == 0 {
		return n, s.end
	}
	return n, nil
}

func (s *cutStream) Write([]byte) (int, error) {
	return 0, errors.New("a neighbour's stream is only read")
}
func (s *cutStream) SetReadDeadline(time.Time) error  { return nil }
func (s *cutStream) SetWriteDeadline(time.Time) error { return nil }
func (s *cutStream) Close() error                     { s.closed = s.closed || !s.reset; return nil }
func (s *cutStream) Reset() error                     { s.reset = s.reset || !s.closed; return nil }

// FuzzFrames: a stream, however it is cut and ended, yields exactly its whole
// frames; what is left over is counted as broken and answered by a reset.
func FuzzFrames(f *testing.F) {
	f.Add(uint16(0), []byte{}, false, false)
	f.Add(uint16(onion.Size), []byte{181}, true, false) // one byte short of a frame, then one
	f.Add(uint16(onion.Size-1), []byte{1, 0, 0, 3}, false, false)
	f.Add(uint16(onion.Size+1), []byte{}, true, false)
	f.Add(uint16(5*onion.Size), []byte{255, 255, 1, 90, 181, 182}, true, false)
	f.Add(uint16(3*onion.Size), bytes.Repeat([]byte{3}, 200), false, true)
	f.Add(uint16(2*onion.Size+7), bytes.Repeat([]byte{60, 0}, 20), false, true)
	f.Fuzz(func(t *testing.T, size uint16, cuts []byte, late, fails bool) {
		sent := make([]byte, size)
		for i := range sent {
			sent[i] = byte(i ^ i>>8*31)
		}
		s := &cutStream{rest: sent, cuts: cuts, late: late, end: io.EOF}
		if fails {
			s.end = errors.New("the connection is gone")
		}
		var got []byte
		var l *Link
		l = newLink(nil, func(_ hashid.NodeID, p *onion.Packet) {
			got = append(got, p[:]...)
			l.Put(p)
		}, nil)
		l.ctx, l.running = context.Background(), true // as Run leaves it
		l.accept(hashid.NodeID{1}, s)

		whole := int(size) / onion.Size * onion.Size
		if !bytes.Equal(got, sent[:whole]) {
			t.Fatalf("%d bytes came out, want %d", len(got), whole)
		}
		stats, left := l.Stats(), int(size) > whole
		if stats.FramesIn != uint64(whole/onion.Size) || (stats.Broken == 1) != left || stats.Inbound != 0 {
			t.Fatalf("%d bytes are left over: %+v", int(size)-whole, stats)
		}
		if clean := !left && !fails; s.closed != clean || s.reset == clean {
			t.Fatalf("clean end: %v; closed: %v, reset: %v", clean, s.closed, s.reset)
		}
	})
}
