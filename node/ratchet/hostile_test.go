package ratchet

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
)

// craft seals as the holder of s would, who is free to lie in the header.
func (s *side) craft(change func(h *header, kind *byte)) []byte {
	s.tb.Helper()
	if s.out.due {
		if err := s.turn(); err != nil {
			s.tb.Fatal(err)
		}
	}
	var messageKey [32]byte
	o := &s.out
	step(&o.key, &messageKey)
	h, kind := header{o.public, o.previous, o.n, o.slot}, slotKind(s.initiator, s.chain())
	change(&h, &kind)
	return sealFrame(&s.id, o.prefix, &o.header, &messageKey, &h, kind, testBody(1))
}

// TestFlippedBytes: no frame opens of which any byte was changed, and none leaves a trace.
func TestFlippedBytes(t *testing.T) {
	flip := func(frame []byte, refused func(frame []byte, at int)) {
		for at := 0; at < len(frame); at += count(5, 1) {
			bit := byte(1) << (at % 8)
			if at%1264 == 31 { // of a representative, or of a salt
				bit = 0x80
			}
			frame[at] ^= bit
			refused(frame, at)
			frame[at] ^= bit
		}
	}
	check := func(s *side) func([]byte, int) {
		before := s.Append(nil)
		return func(frame []byte, at int) {
			body, err := s.Open(frame, testTime())
			if body != nil || err == nil {
				t.Fatalf("a frame opens of which byte %d was changed", at)
			}
			if !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrForged) {
				t.Fatalf("a change of byte %d gives %v", at, err)
			}
			if !bytes.Equal(before, s.Append(nil)) {
				t.Fatalf("a frame of which byte %d was changed changes the state", at)
			}
		}
	}
	a, b := newPair(t)
	hello := a.seal()
	flip(hello.frame, check(&b))
	b.opens(hello)
	a.opens(b.seal())
	first := a.seal()
	flip(first.frame, check(&b)) // begins a chain
	b.opens(first)
	missing, next := a.seal(), a.seal()
	flip(next.frame, check(&b))
	b.opens(next)
	flip(missing.frame, check(&b))
	b.opens(missing)
	answer := b.seal()
	flip(answer.frame, check(&a)) // brings a ciphertext
	a.opens(answer)
}

// TestChangedDuplicate: a frame that comes again with changes is no sign of a state that was rolled back.
func TestChangedDuplicate(t *testing.T) {
	a, b := newPair(t)
	roundTrip(&a, &b)
	l := a.seal()
	b.opens(l)
	for _, at := range []int{12, 31, bodyAt, FrameSize - 1} { // the salt past the nonce, and the body
		l.frame[at] ^= 1
		b.refuses(l.frame, ErrDuplicate)
		l.frame[at] ^= 1
	}
}

// TestSkipBombs: a header cannot ask for more work, or more memory, than MaxSkip.
func TestSkipBombs(t *testing.T) {
	for name, tt := range map[string]struct {
		fresh  bool // the frame begins a chain
		change func(h *header)
		want   error
	}{
		"far ahead":           {false, func(h *header) { h.n = 1<<32 - 1 }, ErrTooFar},
		"one too far":         {false, func(h *header) { h.n += MaxSkip + 1 }, ErrTooFar},
		"far, in a new chain": {true, func(h *header) { h.n = 1<<32 - 1 }, ErrTooFar},
		"one, in a new chain": {true, func(h *header) { h.n = MaxSkip + 1 }, ErrTooFar},
		"a long chain before": {true, func(h *header) { h.pn = 1<<32 - 1 }, ErrTooFar},
		"one too long before": {true, func(h *header) { h.pn += MaxSkip + 1 }, ErrTooFar},
		"both":                {true, func(h *header) { h.n, h.pn = MaxSkip, 1<<32-1 }, ErrTooFar},
		"forged within":       {true, func(h *header) { h.n, h.pn = MaxSkip, MaxSkip }, ErrForged},
	} {
		a, b := newPair(t)
		roundTrip(&a, &b)
		if !tt.fresh {
			b.opens(a.seal())
		}
		b.refuses(a.craft(func(h *header, _ *byte) { tt.change(h) }), tt.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestSkipLimits: what is just within the limit opens, and the oldest keys go first.
func TestSkipLimits(t *testing.T) {
	a, b := newPair(t)
	roundTrip(&a, &b)
	b.opens(a.seal())
	var missing []letter
	for range MaxSkip {
		missing = append(missing, a.seal())
	}
	tooFar := side{a.Clone(), t, a.sent}
	tooFar.seal()
	b.refuses(tooFar.seal().frame, ErrTooFar)
	b.opens(a.seal())
	if len(b.in.skipped) != MaxSkip {
		t.Fatalf("%d keys of missing messages, not %d", len(b.in.skipped), MaxSkip)
	}
	b.opens(missing[MaxSkip-1])
	lost := []letter{a.seal(), a.seal()}
	a.opens(b.seal())
	b.opens(a.seal()) // one more than there is room for
	if len(b.in.skipped) != MaxSkip {
		t.Fatalf("%d keys of missing messages, not %d", len(b.in.skipped), MaxSkip)
	}
	b.Session = stored(t, b.Session)
	b.refuses(missing[0].frame, ErrSpent)
	for _, l := range append(missing[1:MaxSkip-1], lost...) {
		b.opens(l)
	}
	if len(b.in.skipped) != 0 {
		t.Fatal("keys are left over")
	}
}

// TestForgedHeaders: a peer that lies in its headers is refused.
func TestForgedHeaders(t *testing.T) {
	lowOrder := [32]byte{1} // u = 1 has order 4
	random := [32]byte{}
	_, _ = rand.Read(random[:])
	for name, tt := range map[string]struct {
		answered, fromB, second bool // the session; who writes; the chain's second frame
		change                  func(h *header, kind *byte)
		want                    error
	}{
		"low order":            {true, false, false, func(h *header, _ *byte) { h.ratchet = lowOrder }, ErrForged},
		"zero":                 {true, true, false, func(h *header, _ *byte) { h.ratchet = [32]byte{} }, ErrForged},
		"another key":          {true, false, false, func(h *header, _ *byte) { h.ratchet = random }, ErrForged},
		"another key, later":   {true, false, true, func(h *header, _ *byte) { h.ratchet = random }, ErrRolledBack},
		"kind of a hello":      {false, false, true, func(_ *header, kind *byte) { *kind = slotKey }, ErrForged},
		"no kind":              {true, false, false, func(_ *header, kind *byte) { *kind = 3 }, ErrForged},
		"nothing from A":       {true, false, false, func(h *header, kind *byte) { h.slot, *kind = nil, slotEmpty }, ErrForged},
		"nothing from B":       {true, true, false, func(h *header, kind *byte) { h.slot, *kind = nil, slotEmpty }, ErrForged},
		"ciphertext from A":    {true, false, false, func(_ *header, kind *byte) { *kind = slotCiphertext }, ErrForged},
		"key from B":           {true, true, false, func(_ *header, kind *byte) { *kind = slotKey }, ErrForged},
		"kind, later":          {true, false, true, func(_ *header, kind *byte) { *kind = slotEmpty }, ErrForged},
		"padding":              {true, false, false, func(h *header, _ *byte) { h.slot = append(slices.Clip(h.slot), 1) }, ErrForged},
		"padding's end":        {true, true, false, func(h *header, _ *byte) { h.slot = append(append([]byte(nil), h.slot...), padded(176, 1)...) }, ErrForged},
		"a key that is none":   {true, false, false, func(h *header, _ *byte) { h.slot = bytes.Repeat([]byte{0xff}, len(h.slot)) }, ErrForged},
		"another ciphertext":   {true, true, false, func(h *header, _ *byte) { h.slot = append([]byte{^h.slot[0]}, h.slot[1:]...) }, ErrForged},
		"number of another":    {true, false, false, func(h *header, _ *byte) { h.n = 1 }, ErrForged},
		"number of another, 2": {true, false, true, func(h *header, _ *byte) { h.n++ }, ErrForged},
		"a number used":        {true, false, true, func(h *header, _ *byte) { h.n = 0 }, ErrRolledBack},
	} {
		a, b := newPair(t)
		if tt.answered {
			roundTrip(&a, &b)
			roundTrip(&a, &b)
		}
		from, to := &a, &b
		if tt.fromB {
			b.opens(a.seal())
			from, to = &b, &a
		}
		if tt.second {
			to.opens(from.seal())
		}
		to.refuses(from.craft(tt.change), tt.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func padded(n int, last byte) []byte {
	b := make([]byte, n)
	b[n-1] = last
	return b
}

// TestForgedFirstHeaders: nor does a hello, or the first answer to it, speak of chains before.
func TestForgedFirstHeaders(t *testing.T) {
	before := func(h *header, _ *byte) { h.pn = 1 }
	alice, bob := newPerson(t), newPerson(t)
	s, err := Initiate(testNetwork(), &alice.Identity, bob.record())
	if err != nil {
		t.Fatal(err)
	}
	a := side{s, t, new(int)}
	h, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, a.craft(before))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Accept(testTime()); !errors.Is(err, ErrForged) {
		t.Errorf("a hello with a chain before it gives %v", err)
	}
	c, d := newPair(t)
	c.refuses(d.craft(before), ErrForged)
}
