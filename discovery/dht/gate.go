package dht

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"chatnt/discovery/record"
)

const (
	maxRequest = record.MaxKeyRecord + 1024 // bytes of a request: a record, its key twice, the wrapping
	arrival    = 2 * time.Second            // for a request to arrive, and for its answer to leave

	// At most this many requests are under way, and of one peer an eighth of the
	// places that are free, so that each of many peers gets a share however greedy
	// the others are (Choudhury and Hahne, "Dynamic Queue Length Thresholds", 1998).
	maxUnderWay = 1024
	shareOfFree = 8
	fewUnderWay = 2 // of any peer, whatever the others do

	// A peer may ask this often for long. One that asks faster waits for its turn.
	requestRate  = 100 // a second
	requestBurst = 512 // at once, after a pause
	maxAskers    = 2048

	// For its turn, that is; who would have to wait longer is refused at once. An
	// honest peer takes longer waits for silence and leaves this node alone.
	longestWait = leastPatience / 2
)

var errTooLarge = errors.New("the request is too large")

// gate stands before the library's handler of requests, which bounds neither
// how many a peer makes, nor how long it takes over one, and believes an
// announced length of 4 MiB. Through the gate a stream brings one request of a
// bounded size within a bounded time. Half of the processors work on requests at
// most; the other half is left for the node's other duties.
type gate struct {
	now  func() time.Time // monotonic
	work chan struct{}    // has room for as many as may be worked on at once
	over chan struct{}    // closed at the end: nobody waits any more
	once sync.Once        // closes it

	mu       sync.Mutex
	askers   map[peer.ID]*asker // guarded by mu
	underWay int                // guarded by mu
}

// asker is what one peer has asked for.
type asker struct {
	underWay int
	free     time.Time // when its requests so far are paid for; requestBurst may be owed
}

func newGate() *gate {
	return &gate{
		now:    time.Now,
		work:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		over:   make(chan struct{}),
		askers: make(map[peer.ID]*asker),
	}
}

// guard returns a handler that lets through to next what the gate allows.
func (g *gate) guard(next network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		p := s.Conn().RemotePeer()
		wait, ok := g.enter(p)
		if !ok {
			_ = s.Reset()
			return
		}
		defer g.leave(p)
		request, err := readRequest(s)
		if err != nil {
			_ = s.Reset()
			return
		}
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-g.over:
			}
		}
		one := &exchange{Stream: s, request: request}
		g.work <- struct{}{}
		next(one)
		<-g.work
		one.finish()
	}
}

// close ends all waiting. Closing twice is harmless.
func (g *gate) close() { g.once.Do(func() { close(g.over) }) }

// enter counts a request of p in. It returns how long that has to wait, or false
// if it is refused.
func (g *gate) enter(p peer.ID) (time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	a := g.askers[p]
	if a == nil {
		if len(g.askers) >= maxAskers {
			g.makeRoom(now)
		}
		a = new(asker)
		g.askers[p] = a
	}
	if a.underWay >= max(fewUnderWay, (maxUnderWay-g.underWay)/shareOfFree) {
		return 0, false
	}
	const cost, credit = time.Second / requestRate, requestBurst * (time.Second / requestRate)
	if a.free.Before(now) {
		a.free = now
	}
	wait := a.free.Add(cost).Sub(now) - credit
	if wait > longestWait {
		return 0, false
	}
	a.free = a.free.Add(cost)
	a.underWay++
	g.underWay++
	return wait, true
}

// makeRoom forgets those that owe nothing, or else anyone who is not being
// served. Called with mu held.
func (g *gate) makeRoom(now time.Time) {
	for p, a := range g.askers {
		if a.underWay == 0 && a.free.Before(now) {
			delete(g.askers, p)
		}
	}
	for p, a := range g.askers {
		if len(g.askers) < maxAskers {
			return
		}
		if a.underWay == 0 {
			delete(g.askers, p)
		}
	}
}

func (g *gate) leave(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underWay--
	g.askers[p].underWay--
}

// readRequest reads the one request of a stream, with its length before it.
func readRequest(s network.Stream) ([]byte, error) {
	if err := s.SetReadDeadline(time.Now().Add(arrival)); err != nil {
		return nil, err
	}
	size, err := binary.ReadUvarint(byteReader{s})
	if err != nil {
		return nil, err
	}
	if size > maxRequest {
		return nil, errTooLarge
	}
	request := binary.AppendUvarint(nil, size)
	begin := len(request)
	request = append(request, make([]byte, size)...)
	if _, err := io.ReadFull(s, request[begin:]); err != nil {
		return nil, err
	}
	return request, nil
}

// byteReader reads single bytes; a stream has them in memory.
type byteReader struct{ io.Reader }

func (r byteReader) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Reader, b[:])
	return b[0], err
}

// exchange is a stream to the library's handler: one request, already here, and
// an answer that is kept until the handler is done, so that a peer which does
// not read holds up nobody but itself.
type exchange struct {
	network.Stream
	request []byte
	answer  bytes.Buffer
	refused bool
}

func (e *exchange) Read(b []byte) (int, error) {
	if len(e.request) == 0 {
		return 0, io.EOF
	}
	n := copy(b, e.request)
	e.request = e.request[n:]
	return n, nil
}

func (e *exchange) Write(b []byte) (int, error) { return e.answer.Write(b) }
func (e *exchange) Close() error                { return nil }
func (e *exchange) Reset() error                { e.refused = true; return nil }

// finish sends the answer.
func (e *exchange) finish() {
	if !e.refused && e.SetWriteDeadline(time.Now().Add(arrival)) == nil {
		if _, err := e.Stream.Write(e.answer.Bytes()); err == nil && e.Stream.Close() == nil {
			return
		}
	}
	_ = e.Stream.Reset()
}
