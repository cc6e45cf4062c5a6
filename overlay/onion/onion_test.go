package onion

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chatnt/discovery/hashid"
)

// forward opens p with k, strips it, and returns the header as it was read.
func forward(t testing.TB, k *PrivateKey, p *Packet) Header {
	t.Helper()
	h, err := k.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	if h.Kind != Forward {
		t.Fatalf("kind %d, want Forward", h.Kind)
	}
	seen := h
	h.Strip(p)
	return seen
}

// journey carries p along all relays of a path and returns the header that the
// last hop reads.
func journey(t testing.TB, path []Hop, keys []*PrivateKey, p *Packet) Header {
	t.Helper()
	last := len(path) - 1
	for i := range last {
		h := forward(t, keys[i], p)
		if h.Next != path[i+1].Node {
			t.Fatalf("hop %d passes the packet to the wrong node", i+1)
		}
		if h.Delay != path[i].Delay {
			t.Fatalf("hop %d: delay %v, want %v", i+1, h.Delay, path[i].Delay)
		}
	}
	h, err := keys[last].Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestEveryPathLength(t *testing.T) {
	for n := 1; n <= Layers; n++ {
		for _, size := range []int{0, 1, 3342, BodySize - 1, BodySize} {
			path, keys, _ := testPath(t, uint64(n), n)
			body := expand(uint64(size), size)
			var p Packet
			if err := Wrap(&p, path, body); err != nil {
				t.Fatal(err)
			}
			h := journey(t, path, keys, &p)
			if h.Kind != Deliver {
				t.Fatalf("%d hops: the end reads kind %d, want Deliver", n, h.Kind)
			}
			got, err := h.Deliver(&p)
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%d hops, %d bytes: delivered %d bytes, %v", n, size, len(got), err)
			}
		}
	}
}

func TestReplyEveryPathLength(t *testing.T) {
	for n := 1; n <= Layers; n++ {
		for _, size := range []int{0, 1, BodySize} {
			path, keys, _ := testPath(t, uint64(n), n)
			body := expand(uint64(size), size)
			surb, id, reply, err := NewSURB(path)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := ParseSURB(surb[:])
			if err != nil || parsed != surb {
				t.Fatalf("ParseSURB: %v", err)
			}
			if surb.First() != path[0].Node {
				t.Fatal("First is not the first hop")
			}
			var p Packet
			if err := parsed.Use(&p, body); err != nil {
				t.Fatal(err)
			}
			h := journey(t, path, keys, &p)
			if h.Kind != Reply || h.Reply != id {
				t.Fatalf("%d hops: the end reads kind %d, id %x", n, h.Kind, h.Reply)
			}
			got, err := reply.Open(p.Payload())
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%d hops, %d bytes: the reply opens to %d bytes, %v", n, size, len(got), err)
			}
		}
	}
}

func TestSURBIsSingleUse(t *testing.T) {
	path, keys, _ := testPath(t, 1, Layers)
	surb, _, reply, err := NewSURB(path)
	if err != nil {
		t.Fatal(err)
	}
	stolen := surb
	var first, second Packet
	if err := surb.Use(&first, make([]byte, BodySize+1)); err == nil {
		t.Fatal("Use took too long a body")
	}
	if err := surb.Use(&first, []byte("one")); err != nil {
		t.Fatalf("Use after a refused body: %v", err)
	}
	if surb.First() != path[0].Node {
		t.Fatal("Use wiped the node to send to")
	}
	if !allZero(surb[surbHeaderAt:]) {
		t.Fatal("Use left the header or the seed")
	}
	if err := surb.Use(&second, []byte("two")); err == nil {
		t.Fatal("Use worked twice")
	}
	if second != (Packet{}) {
		t.Fatal("the failed Use wrote a packet")
	}
	if _, err := ParseSURB(surb[:]); err == nil {
		t.Fatal("ParseSURB took a used reply block")
	}

	// Whoever kept a copy only makes a replay.
	if err := stolen.Use(&second, []byte("two")); err != nil {
		t.Fatal(err)
	}
	var seen ReplaySet
	if !seen.Insert(forward(t, keys[0], &first).Tag) {
		t.Fatal("the first reply is taken for a replay")
	}
	if seen.Insert(forward(t, keys[0], &second).Tag) {
		t.Fatal("the second reply passes the first relay")
	}

	journey(t, path[1:], keys[1:], &first)
	again := first
	if _, err := reply.Open(first.Payload()); err != nil {
		t.Fatal(err)
	}
	if *reply != (ReplyKeys{spent: true}) {
		t.Fatal("Open left keys behind")
	}
	if _, err := reply.Open(again.Payload()); err == nil {
		t.Fatal("ReplyKeys.Open worked twice")
	}
}

func TestReplayIsSeenAtEveryHop(t *testing.T) {
	path, keys, _ := testPath(t, 1, Layers)
	var p Packet
	if err := Wrap(&p, path, []byte("once")); err != nil {
		t.Fatal(err)
	}
	tags := map[Tag]bool{}
	for i := range path {
		var seen ReplaySet
		for try := range 3 {
			h, err := keys[i].Open(&p)
			if err != nil {
				t.Fatal(err)
			}
			if seen.Insert(h.Tag) != (try == 0) {
				t.Fatalf("hop %d, packet %d: the wrong answer", i+1, try+1)
			}
			tags[h.Tag] = true
		}
		// Another payload under the same header is the same packet.
		other := p
		other[Size-1] ^= 1
		if h, err := keys[i].Open(&other); err != nil || seen.Insert(h.Tag) {
			t.Fatalf("hop %d: a changed payload makes a new packet (%v)", i+1, err)
		}
		if i < len(path)-1 {
			forward(t, keys[i], &p)
		}
	}
	if len(tags) != len(path) {
		t.Fatalf("%d tags for %d hops", len(tags), len(path))
	}
}

// TestFlippedHeaderBit flips every bit of the header on every link: the next
// hop must drop the packet, and leave it as it was for the next epoch's key.
func TestFlippedHeaderBit(t *testing.T) {
	path, keys, _ := testPath(t, 1, Layers)
	var p Packet
	if err := Wrap(&p, path, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for i := range path {
		for bit := range 8 * headerSize {
			bad := p
			bad[bit/8] ^= 1 << (bit % 8)
			before := bad
			if _, err := keys[i].Open(&bad); err == nil {
				t.Fatalf("hop %d opens a header with bit %d flipped", i+1, bit)
			}
			if bad != before {
				t.Fatalf("hop %d changed a packet that it could not open", i+1)
			}
		}
		if i < len(path)-1 {
			forward(t, keys[i], &p)
		}
	}
}

func TestFlippedPayloadBit(t *testing.T) {
	path, keys, _ := testPath(t, 1, Layers)
	var sent Packet
	if err := Wrap(&sent, path, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	surb, _, reply, err := NewSURB(path)
	if err != nil {
		t.Fatal(err)
	}
	var replied Packet
	if err := surb.Use(&replied, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		link := rapid.IntRange(0, Layers-1).Draw(rt, "link")
		bit := rapid.IntRange(0, 8*PayloadSize-1).Draw(rt, "bit")
		carry := func(p *Packet) Header {
			for i := range path[:len(path)-1] {
				if i == link {
					p.Payload()[bit/8] ^= 1 << (bit % 8)
				}
				forward(t, keys[i], p)
			}
			if link == len(path)-1 {
				p.Payload()[bit/8] ^= 1 << (bit % 8)
			}
			h, err := keys[len(path)-1].Open(p)
			if err != nil {
				rt.Fatal(err)
			}
			return h
		}
		p := sent
		h := carry(&p)
		if body, err := h.Deliver(&p); err == nil || body != nil || !allZero(p.Payload()[:]) {
			rt.Fatal("a damaged payload was delivered, or left behind")
		}
		p, k := replied, *reply
		carry(&p)
		if body, err := k.Open(p.Payload()); err == nil || body != nil || !k.spent {
			rt.Fatal("a damaged reply was opened, or its keys kept")
		}
	})
}

// TestLinksShareNothing wants no 16 bytes in common between what a packet looks
// like on any two links, of the same packet or of its twin.
func TestLinksShareNothing(t *testing.T) {
	path, keys, _ := testPath(t, 1, Layers)
	body := make([]byte, BodySize)
	seen := map[[16]byte]string{}
	add := func(name string, p *Packet) {
		for i := range Size - 15 {
			run := [16]byte(p[i:])
			if other, ok := seen[run]; ok {
				t.Fatalf("%s and %s share 16 bytes", name, other)
			}
			seen[run] = name
		}
	}
	follow := func(name string, p *Packet) {
		for i := range path {
			add(name+" before hop "+string(rune('1'+i)), p)
			if i < len(path)-1 {
				forward(t, keys[i], p)
			}
		}
	}
	for _, name := range []string{"packet", "its twin"} {
		var p Packet
		if err := Wrap(&p, path, body); err != nil {
			t.Fatal(err)
		}
		follow(name, &p)
	}
	surb, _, _, err := NewSURB(path)
	if err != nil {
		t.Fatal(err)
	}
	var p Packet
	if err := surb.Use(&p, body); err != nil {
		t.Fatal(err)
	}
	follow("reply", &p)
}

// TestEndNodeDoesNotSeeLength opens the last header of paths of every length:
// past the final block all must be noise, without the zeros that a shorter path
// would leave (Kuhn, Beck and Strufe, section 4).
func TestEndNodeDoesNotSeeLength(t *testing.T) {
	for n := 1; n <= Layers; n++ {
		path, keys, _ := testPath(t, 1, n)
		var p Packet
		if err := Wrap(&p, path, nil); err != nil {
			t.Fatal(err)
		}
		journey(t, path, keys, &p)
		var hop hopKeys
		if err := keys[n-1].decapsulate(&hop, (*[ctSize]byte)(p[:])); err != nil {
			t.Fatal(err)
		}
		var c headerCipher
		c.init(&hop.header)
		beta := p[betaAt:deltaAt]
		c.xor(beta)
		for i := finalBlockSize; i+8 <= betaSize; i++ {
			if allZero(beta[i : i+8]) {
				t.Fatalf("%d hops: the last header holds zeros at %d", n, i)
			}
		}
	}
}

func TestWrapRefuses(t *testing.T) {
	path, _, _ := testPath(t, 1, Layers+1)
	change := func(i int, f func(*Hop)) []Hop {
		changed := slices.Clone(path[:Layers])
		f(&changed[i])
		return changed
	}
	for name, c := range map[string]struct {
		path []Hop
		body int
		want string
	}{
		"no hop":        {nil, 0, "1 to 4 hops"},
		"five hops":     {path, 0, "1 to 4 hops"},
		"no node":       {change(3, func(h *Hop) { h.Node = hashid.NodeID{} }), 0, "hop 4 of the path names no node"},
		"negative":      {change(1, func(h *Hop) { h.Delay = -1 }), 0, "delay"},
		"long delay":    {change(2, func(h *Hop) { h.Delay = MaxDelay + 1 }), 0, "delay"},
		"zero key":      {change(0, func(h *Hop) { h.Key = PublicKey{} }), 0, "low order"},
		"key one":       {change(1, func(h *Hop) { h.Key = PublicKey{1} }), 0, "low order"},
		"oversize body": {path[:Layers], BodySize + 1, "3742 bytes at most"},
	} {
		var p Packet
		err := Wrap(&p, c.path, make([]byte, c.body))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Wrap says %v", name, err)
		}
		if p != (Packet{}) {
			t.Errorf("%s: the failed Wrap wrote a packet", name)
		}
		if c.body > 0 {
			continue
		}
		if _, _, k, err := NewSURB(c.path); err == nil || k != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: NewSURB says %v", name, err)
		}
	}
	last := change(3, func(h *Hop) { h.Delay = -1 })
	if err := Wrap(new(Packet), last, nil); err != nil {
		t.Errorf("the delay of the last hop is not ignored: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	path, keys, _ := testPath(t, 1, 2)
	var p Packet
	if err := Wrap(&p, path, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := keys[1].Open(&p); err == nil {
		t.Error("another node's key opens the packet")
	}
	fresh, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Open(&p); err == nil {
		t.Error("another epoch's key opens the packet")
	}
	if _, err := keys[0].Open(new(Packet)); err == nil {
		t.Error("the blank packet, whose point is zero, opens")
	}
	// A packet that anyone could open, were the all-zero secret not refused.
	var zero hopKeys
	zero.derive(&[32]byte{}, &[ctSize]byte{}, &keys[0].pair.public)
	forged := sealBlock(&zero, [ctSize]byte{}, []byte{byte(Deliver)})
	if _, err := keys[0].Open(&forged); err == nil {
		t.Error("a packet under the all-zero secret opens")
	}
}

// sealBlock makes a packet whose header holds block, the rest of it zeros.
func sealBlock(keys *hopKeys, ct [ctSize]byte, block []byte) (p Packet) {
	var c headerCipher
	c.init(&keys.header)
	copy(p[:], ct[:])
	copy(p[betaAt:], block)
	c.xor(p[betaAt:deltaAt])
	gamma := c.tag(&ct, p[betaAt:deltaAt])
	copy(p[gammaAt:], gamma[:])
	return p
}

// TestBlocksAreStrict has an honest key open well-sealed headers that no honest
// sender makes.
func TestBlocksAreStrict(t *testing.T) {
	k, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	relay := func(f func(b []byte)) []byte {
		b := make([]byte, relayBlockSize)
		b[0] = byte(Forward)
		b[nextAt] = 1
		f(b)
		return b
	}
	final := func(kind Kind, at int) []byte {
		b := make([]byte, finalBlockSize)
		b[0] = byte(kind)
		if at > 0 {
			b[at] = 1
		}
		return b
	}
	ms := uint32(MaxDelay / time.Millisecond)
	for name, c := range map[string]struct {
		block []byte
		ok    bool
	}{
		"forward":             {relay(func([]byte) {}), true},
		"forward, delay":      {relay(func(b []byte) { binary.BigEndian.PutUint32(b[delayAt:], ms) }), true},
		"forward, long delay": {relay(func(b []byte) { binary.BigEndian.PutUint32(b[delayAt:], ms+1) }), false},
		"forward, forever":    {relay(func(b []byte) { binary.BigEndian.PutUint32(b[delayAt:], 1<<32-1) }), false},
		"forward, reserved":   {relay(func(b []byte) { b[3] = 1 }), false},
		"forward, nowhere":    {relay(func(b []byte) { b[nextAt] = 0 }), false},
		"deliver":             {final(Deliver, 0), true},
		"deliver, reserved 1": {final(Deliver, 1), false},
		"deliver, reserved 7": {final(Deliver, 7), false},
		"deliver, id":         {final(Deliver, 23), false},
		"reply":               {final(Reply, 23), true},
		"reply, reserved":     {final(Reply, 7), false},
		"command 0":           {final(0, 0), false},
		"command 4":           {final(4, 0), false},
		"command 255":         {final(255, 0), false},
	} {
		pub, ephemeral := k.Public(), testKey(t, expand(1, 32)).pair
		var keys hopKeys
		if err := encapsulate(&keys, &ephemeral, &pub); err != nil {
			t.Fatal(err)
		}
		p := sealBlock(&keys, ephemeral.public, c.block)
		if _, err := k.Open(&p); (err == nil) != c.ok {
			t.Errorf("%s: Open says %v", name, err)
		}
	}
}

func TestPayloadIsStrict(t *testing.T) {
	body := []byte("hello")
	for name, c := range map[string]struct {
		at int
		to byte
		ok bool
	}{
		"untouched":      {16, 0, true},
		"zeros, first":   {0, 1, false},
		"zeros, last":    {15, 1, false},
		"length beyond":  {16, 0xff, false},
		"length shorter": {17, 4, false},
		"padding, first": {18 + 5, 1, false},
		"padding, last":  {PayloadSize - 1, 1, false},
	} {
		var delta [PayloadSize]byte
		fillPayload(&delta, body)
		delta[c.at] = c.to
		got, err := readPayload(&delta)
		if (err == nil) != c.ok || c.ok && !bytes.Equal(got, body) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestBodyInPlace wraps what was just delivered, without moving it first.
func TestBodyInPlace(t *testing.T) {
	path, keys, _ := testPath(t, 1, 1)
	var p Packet
	body := expand(1, 1000)
	copy(p.Payload()[5:], body)
	if err := Wrap(&p, path, p.Payload()[5:1005]); err != nil {
		t.Fatal(err)
	}
	h, err := keys[0].Open(&p)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.Deliver(&p); err != nil || !bytes.Equal(got, body) {
		t.Fatalf("a body inside the packet was lost: %v", err)
	}
}

func TestHeaderIsGoodOnce(t *testing.T) {
	path, keys, _ := testPath(t, 1, 2)
	var p Packet
	if err := Wrap(&p, path, nil); err != nil {
		t.Fatal(err)
	}
	panics := func(name string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s does not panic", name)
			}
		}()
		f()
	}
	h, err := keys[0].Open(&p)
	if err != nil {
		t.Fatal(err)
	}
	panics("Deliver of a header that forwards", func() { _, _ = h.Deliver(&p) })
	h.Strip(&p)
	if !allZero(h.payload[:]) {
		t.Error("Strip left its key")
	}
	panics("the second Strip", func() { h.Strip(&p) })
	h, err = keys[1].Open(&p)
	if err != nil {
		t.Fatal(err)
	}
	panics("Strip of a header that delivers", func() { h.Strip(&p) })
	if _, err := h.Deliver(&p); err != nil {
		t.Fatal(err)
	}
	panics("the second Deliver", func() { _, _ = h.Deliver(&p) })
	panics("Strip of the zero Header", func() { new(Header).Strip(&p) })
}

func TestOpenIsConcurrent(t *testing.T) {
	path, keys, _ := testPath(t, 1, 2)
	var p Packet
	if err := Wrap(&p, path, nil); err != nil {
		t.Fatal(err)
	}
	want, err := keys[0].Open(&p)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got, err := keys[0].Open(&p); err != nil || got != want {
					t.Errorf("Open differs between goroutines: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestAllocations holds the budgets of a packet forwarded, a packet made and a
// reply block made.
func TestAllocations(t *testing.T) {
	path, _, _ := testPath(t, 1, Layers)
	u, p, body := newUnwrapper(t), new(Packet), make([]byte, BodySize)
	for name, run := range map[string]func(){
		"packet forwarded": func() { u.run(t) },
		"packet made": func() {
			if err := Wrap(p, path, body); err != nil {
				t.Fatal(err)
			}
		},
		"reply block made": func() {
			if _, _, _, err := NewSURB(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		budget, ok := allocationBudgets()[name]
		if !ok {
			t.Fatalf("%s has no budget", name)
		}
		const runs = 200
		run()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			run()
		}
		runtime.ReadMemStats(&after)
		got := allocations{int(after.Mallocs-before.Mallocs) / runs, int(after.TotalAlloc-before.TotalAlloc) / runs}
		if got.count > budget.count || got.bytes > budget.bytes {
			t.Errorf("%s: %d allocations, %d bytes; the budget is %d and %d", name, got.count, got.bytes, budget.count, budget.bytes)
		}
	}
}

// allocations are how many there were, and of how many bytes in all.
type allocations struct{ count, bytes int }

func TestSizes(t *testing.T) {
	for name, c := range map[string][2]int{
		"headerSize":     {headerSize, 336},
		"betaSize":       {betaSize, 288},
		"relayBlockSize": {relayBlockSize, 88},
		"finalBlockSize": {finalBlockSize, 24},
		"PayloadSize":    {PayloadSize, 3760},
		"BodySize":       {BodySize, 3742},
		"SURBSize":       {SURBSize, 400},
		"kdfLabel + 96":  {len(kdfLabel) + 96, 118}, // below the 136 bytes of a SHAKE256 block
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %d, want %d", name, c[0], c[1])
		}
	}
}
