package integration

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// wiretap is what somebody sees who has broken the encryption of every link of the
// nodes that are tapped: each frame, from whom to whom and when. Of two nodes that
// are tapped both ends of their link are, and a frame is one in the list however
// many ends saw it.
type wiretap struct {
	hello []byte // what each end of a stream says before its first frame

	mu     sync.Mutex // guards the fields below
	frames []*frame   // in the order of their sending, as far as it was seen
	known  map[transit]*frame
	faults []string // what a stream carried that is no frame
	ended  bool
}

// frame is one frame on one link.
type frame struct {
	from, to       hashid.NodeID
	sent, received time.Time // zero: that end is not tapped, or it was lost on the way
	onion.Packet
}

// transit names a frame by its way and a hash of its content.
type transit struct {
	from, to hashid.NodeID
	content  [sha256.Size]byte
}

// newWiretap returns a wiretap for the links of a protocol.
func newWiretap(protocol string) *wiretap {
	w := &wiretap{known: make(map[transit]*frame)}
	for _, line := range []string{"/multistream/1.0.0", protocol} { // both sides say the same
		w.hello = binary.AppendUvarint(w.hello, uint64(len(line)+1))
		w.hello = append(append(w.hello, line...), '\n')
	}
	return w
}

// saw notes a frame that one end of a link sent or received.
func (w *wiretap) saw(from, to hashid.NodeID, p *onion.Packet, sent bool) {
	way := transit{from, to, sha256.Sum256(p[:])}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	f := w.known[way]
	if f == nil {
		f = &frame{from: from, to: to, Packet: *p}
		w.known[way] = f
		w.frames = append(w.frames, f)
	}
	if sent {
		f.sent = time.Now()
	} else {
		f.received = time.Now()
	}
}

// fault notes that a stream carried something else than a row of frames.
func (w *wiretap) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.faults = append(w.faults, fmt.Sprintf(format, args...))
	}
}

// count is the number of frames so far.
func (w *wiretap) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.frames)
}

// since returns the frames after the first n.
func (w *wiretap) since(n int) []*frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frames[n:len(w.frames):len(w.frames)]
}

// end has nothing more noted, before links are cut, and returns every frame.
func (w *wiretap) end(t *testing.T) []*frame {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for i, fault := range w.faults {
		if i == 10 {
			t.Errorf("and %d more", len(w.faults)-i)
			break
		}
		t.Error(fault)
	}
	return w.frames
}
