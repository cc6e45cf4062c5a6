package overlay

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/onion"
)

// letters is a host that keeps what is put there until its reader has
// acknowledged it, and pushes it by the blocks that the reader has left, for as
// long as these serve: as a mailbox does.
type letters struct {
	push func(onion.SURB, []byte) error

	mu      sync.Mutex      // guards the fields below
	known   map[uint32]bool // every letter that was put
	waiting []uint32        // not acknowledged, in order
	blocks  []onion.SURB
	expires time.Time // of all the blocks
	expired int       // blocks dropped, their time being over
	met     map[onion.SURB]bool
}

// put is a service: the body is the letter, a number.
func (l *letters) put(body []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	letter := binary.BigEndian.Uint32(body)
	if !l.known[letter] { // or a request that was repeated, as its first answer was late
		l.known[letter] = true
		l.waiting = append(l.waiting, letter)
		l.send(letter)
	}
	return []byte{1}
}

// fetch is a service: the body is when blocks expire, how many letters are
// acknowledged, these, and the blocks. What was pushed before and not acknowledged
// is pushed again.
func (l *letters) fetch(body []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expires = time.Unix(int64(binary.BigEndian.Uint64(body)), 0)
	acknowledged := body[9:][:4*int(body[8])]
	for raw := range slices.Chunk(acknowledged, 4) {
		letter := binary.BigEndian.Uint32(raw)
		l.waiting = slices.DeleteFunc(l.waiting, func(w uint32) bool { return w == letter })
	}
	var blocks []onion.SURB
	for raw := range slices.Chunk(body[9+len(acknowledged):], onion.SURBSize) {
		block, err := onion.ParseSURB(raw)
		if err != nil {
			return nil
		}
		if l.met[block] { // a request that was repeated, as its first answer was late
			return []byte{1}
		}
		blocks = append(blocks, block)
	}
	l.blocks = blocks
	for _, block := range blocks {
		l.met[block] = true
	}
	for _, letter := range l.waiting {
		l.send(letter)
	}
	return []byte{1}
}

// send is called with mu held.
func (l *letters) send(letter uint32) {
	if !time.Now().Before(l.expires) {
		l.expired += len(l.blocks)
		l.blocks = nil
	}
	if len(l.blocks) == 0 {
		return
	}
	block := l.blocks[0]
	l.blocks = l.blocks[1:]
	_ = l.push(block, binary.BigEndian.AppendUint32(nil, letter))
}

// letterbox is the reader's side. It reads while it is awake.
type letterbox struct {
	n       *net
	latency Latency
	got     []uint32
	acked   int // so many of got
}

// fetch leaves new blocks with the host, acknowledging what has come since the last.
func (b *letterbox) fetch(ctx context.Context) (*Replies, error) {
	caller := b.n.nodes[0].Caller()
	r, err := caller.Replies(b.n.nodes[1].id, MaxReplies-1, b.latency)
	if err != nil {
		return nil, err
	}
	came := b.got[b.acked:]
	body := append(binary.BigEndian.AppendUint64(nil, uint64(r.Expires.Unix())), byte(len(came)))
	for _, letter := range came {
		body = binary.BigEndian.AppendUint32(body, letter)
	}
	for _, block := range r.Blocks {
		body = append(body, block[:]...)
	}
	if _, err := caller.Request(ctx, b.n.nodes[1].id, "fetch", body, b.latency); err != nil {
		r.Close()
		return nil, err
	}
	b.acked += len(came)
	return r, nil
}

// read reads until ctx ends, as by the machine being put to sleep: nothing is tidied.
func (b *letterbox) read(ctx context.Context) {
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, time.Minute)
		r, err := b.fetch(within)
		cancel()
		if err != nil { // when all relays count as silent, at once: time would stand still
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		if b.drain(ctx, r); ctx.Err() == nil {
			r.Close()
		}
	}
}

// drain takes what comes by some blocks until none is left or they expire.
func (b *letterbox) drain(ctx context.Context, r *Replies) {
	expires := time.NewTimer(time.Until(r.Expires))
	defer expires.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-expires.C:
			return
		case body, open := <-r.C:
			if !open {
				return
			}
			b.got = append(b.got, binary.BigEndian.Uint32(body))
		}
	}
}

// A reader sleeps for three hours, and nothing that is sent to it arrives: what
// came for it meanwhile it gets, once, within seconds of its waking. The host has
// been told until when the reader's blocks serve, and sends nothing by them later.
func TestReaderSleepsForThreeHours(t *testing.T) {
	for _, latency := range []Latency{Fast, Normal, Slow} {
		synctest.Test(t, func(t *testing.T) {
			host := &letters{known: make(map[uint32]bool), met: make(map[onion.SURB]bool)}
			n := startWith(t, 8, 3, func(i int, cfg *Config) {
				if i == 1 {
					cfg.Services = map[string]Service{"put": host.put, "fetch": host.fetch}
				}
			})
			defer n.stop()
			host.push = n.nodes[1].Push
			box := &letterbox{n: n, latency: latency}
			awake := func(ctx context.Context) (asleep func()) {
				ctx, cancel := context.WithCancel(ctx)
				var reading sync.WaitGroup
				reading.Go(func() { box.read(ctx) })
				return func() { cancel(); reading.Wait() }
			}
			var put []uint32
			write := func(letters int, every time.Duration) {
				for range letters {
					n.renew()
					letter := uint32(len(put))
					body := binary.BigEndian.AppendUint32(nil, letter)
					if _, err := n.nodes[2].Caller().Request(t.Context(), n.nodes[1].id, "put", body, latency); err != nil {
						t.Fatal(err)
					}
					put = append(put, letter)
					time.Sleep(every)
				}
			}

			asleep := awake(t.Context())
			write(10, 3*time.Minute)
			asleep()
			before := len(box.got)
			n.tap(func(from, to hashid.NodeID, _ *onion.Packet) bool {
				return from != n.nodes[0].id && to != n.nodes[0].id
			})
			write(6, 30*time.Minute)
			during := len(box.got)
			n.pass.Store(nil)
			asleep = awake(t.Context())
			most := latency.Patience(2*onion.Relays) + latency.Patience(onion.Relays)
			time.Sleep(most)
			synctest.Wait()
			soon := len(box.got)
			write(10, 3*time.Minute)
			asleep()

			if before != 10 || during != before || soon != 16 {
				t.Errorf("%v: %d letters came before the sleep, %d in it, %d within %v after it", latency, before, during-before, soon-during, most)
			}
			if got := slices.Sorted(slices.Values(box.got)); !slices.Equal(got, put) {
				t.Errorf("%v: the reader got %v of %d letters", latency, got, len(put))
			}
			if host.expired == 0 {
				t.Errorf("%v: the host has had no block that expired: this shows nothing", latency)
			}
			for i, node := range n.nodes {
				if s := node.Stats(); s.Unreadable+s.Replayed > 0 {
					t.Errorf("%v: node %d dropped packets: %+v", latency, i, s)
				}
			}
			time.Sleep(2 * time.Hour) // for the last blocks to expire
			n.expectNoneWait()
		})
	}
}
