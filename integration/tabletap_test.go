package integration

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"chatnt/discovery/dht"
	"chatnt/discovery/hashid"
)

// tableTap records what the hash tables of some nodes are asked for, and by whom, as those who
// run them could.
type tableTap struct {
	t testing.TB

	mu    sync.Mutex
	asked []tableRequest // guarded by mu
	more  chan struct{}  // guarded by mu; closed and replaced when one comes
}

// tableRequest is one request as it came.
type tableRequest struct {
	from hashid.NodeID
	kind pb.Message_MessageType
	key  string
}

func newTableTap(t testing.TB) *tableTap { return &tableTap{t: t, more: make(chan struct{})} }

// mark is the number of requests so far.
func (p *tableTap) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// about returns the requests after a mark for some keys, and what is closed when there are more.
func (p *tableTap) about(mark int, keys ...string) (list []tableRequest, more <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.asked[mark:] {
		for _, key := range keys {
			if r.key == key {
				list = append(list, r)
			}
		}
	}
	return list, p.more
}

// await waits until a request of a kind has come after a mark for each of some keys.
func (p *tableTap) await(mark int, kind pb.Message_MessageType, keys ...string) {
	p.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		list, more := p.about(mark, keys...)
		seen := make(map[string]bool)
		for _, r := range list {
			if r.kind == kind {
				seen[r.key] = true
			}
		}
		if len(seen) == len(keys) {
			return
		}
		select {
		case <-more:
		case <-deadline.C:
			p.t.Fatalf("the tap waited in vain for %v: it has seen it for %d of %d keys", kind, len(seen), len(keys))
		}
	}
}

// tapped is a host that has a tap on the requests to its hash table. Without one it is the host.
type tapped struct {
	host.Host
	tap *tableTap
}

// SetStreamHandler puts the tap before a handler.
func (h tapped) SetStreamHandler(id protocol.ID, handle network.StreamHandler) {
	if h.tap == nil {
		h.Host.SetStreamHandler(id, handle)
		return
	}
	h.Host.SetStreamHandler(id, func(s network.Stream) {
		read := &keptStream{Stream: s}
		handle(read)
		h.tap.note(s, read.got.Bytes())
	})
}

// note takes in the bytes of one request, with their length before them.
func (p *tableTap) note(s network.Stream, got []byte) {
	size, n := binary.Uvarint(got)
	if n <= 0 || uint64(len(got)-n) < size {
		return // it did not come as a whole
	}
	var msg pb.Message
	if err := proto.Unmarshal(got[n:n+int(size)], &msg); err != nil {
		p.t.Errorf("a request to a table cannot be read: %v", err)
		return
	}
	from, ok := dht.NodeID(s.Conn().RemotePeer())
	if !ok {
		p.t.Error("a request came from no node")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, tableRequest{from, msg.GetType(), string(msg.GetKey())})
	close(p.more)
	p.more = make(chan struct{})
}

// keptStream is a stream that keeps what is read from it.
type keptStream struct {
	network.Stream
	got bytes.Buffer
}

func (r *keptStream) Read(b []byte) (int, error) {
	n, err := r.Stream.Read(b)
	r.got.Write(b[:n])
	return n, err
}
