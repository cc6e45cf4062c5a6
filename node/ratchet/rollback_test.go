package ratchet

import (
	"bytes"
	"testing"
)

// TestRolledBackSender: who goes on from an older copy of its state is found out by its
// peer, wherever the copy was taken, or seals what the ratchet takes up.
func TestRolledBackSender(t *testing.T) {
	for name, tt := range map[string]struct {
		since func(a, b *side) // what happens after the copy
		want  error            // of the first frame sealed with the copy
	}{
		"a message ago":          {func(a, b *side) { b.opens(a.seal()) }, ErrRolledBack},
		"messages of both sides": {func(a, b *side) { b.opens(a.seal()); a.opens(b.seal()) }, ErrRolledBack},
		"a chain ago":            {func(a, b *side) { roundTrip(a, b); roundTrip(a, b) }, ErrRolledBack},
		"as many as remembered": {func(a, b *side) {
			for range rememberedChains {
				roundTrip(a, b)
			}
			b.opens(a.seal())
		}, ErrRolledBack},
		"further back": {func(a, b *side) {
			for range rememberedChains + 1 {
				roundTrip(a, b)
			}
			b.opens(a.seal())
		}, ErrUnknown},
		"nothing was sent": {func(*side, *side) {}, nil},
	} {
		for _, due := range []bool{false, true} {
			a, b := newPair(t)
			roundTrip(&a, &b)
			if !due {
				b.opens(a.seal())
			}
			copied := a.Append(nil)
			tt.since(&a, &b)
			old, err := Parse(copied)
			if err != nil {
				t.Fatal(err)
			}
			a.Session = old
			if l := a.seal(); tt.want == nil {
				b.opens(l)
			} else {
				b.refuses(l.frame, tt.want)
			}
			if t.Failed() {
				t.Fatal(name, due)
			}
		}
	}
}

// TestRolledBackAhead: a copy that writes more than was written before is found out where the
// chain had ended, too, and not only where numbers collide.
func TestRolledBackAhead(t *testing.T) {
	a, b := newPair(t)
	roundTrip(&a, &b)
	b.opens(a.seal())
	old := side{a.Clone(), t, a.sent}
	b.opens(a.seal())
	a.opens(b.seal())
	b.opens(a.seal()) // says that the chain before had two
	b.refuses(old.seal().frame, ErrRolledBack)
	b.refuses(old.seal().frame, ErrRolledBack)
	b.refuses(old.seal().frame, ErrRolledBack)
}

// TestLaterOriginal: a number that a copy used first is not the original's any more.
func TestLaterOriginal(t *testing.T) {
	a, b := newPair(t)
	old := side{a.Clone(), t, a.sent}
	original := a.seal()
	b.opens(old.seal())
	b.refuses(original.frame, ErrRolledBack)
}

// TestRolledBackReceiver: who opens with an older copy of its state what answers a chain
// that the copy has not begun learns that it is one.
func TestRolledBackReceiver(t *testing.T) {
	a, b := newPair(t)
	roundTrip(&a, &b)
	b.opens(a.seal())
	old := side{b.Clone(), t, b.sent}
	a.opens(b.seal())
	next := a.seal()
	old.refuses(next.frame, ErrRolledBack)
	// Nor does it open after the copy has begun that chain with other keys.
	l := old.seal()
	old.refuses(next.frame, ErrForged)
	a.refuses(l.frame, ErrRolledBack)
	b.opens(next)
	for range 3 {
		roundTrip(&a, &b)
	}
	old.refuses(a.seal().frame, ErrUnknown)
}

// TestCopiesSealDifferently: two frames made of one state share nothing but their place, so
// no key serves with one nonce twice.
func TestCopiesSealDifferently(t *testing.T) {
	a, b := newPair(t)
	roundTrip(&a, &b)
	b.opens(a.seal())
	copied := a.Append(nil)
	var frames [][]byte
	for range 2 {
		s, err := Parse(copied)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := s.Seal(testBody(1))
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
		peer := side{b.Clone(), t, b.sent}
		peer.opens(letter{frame, testBody(1)})
	}
	one, two := cut(frames[0], false), cut(frames[1], false)
	if bytes.Equal(one.salt, two.salt) {
		t.Fatal("two frames have one salt")
	}
	var k1, k2 bodyKey
	k1.derive(&[32]byte{1}, one.salt)
	k2.derive(&[32]byte{1}, two.salt)
	if k1.key == k2.key {
		t.Error("two salts give one key")
	}
	same := 0
	for i := range frames[0] {
		if frames[0][i] == frames[1][i] {
			same++
		}
	}
	if same > 60 { // 12.5 are expected of 3,200, give or take 3.5
		t.Errorf("two frames of one state share %d bytes", same)
	}
}

// TestRollbackAcrossAChain: a rolled-back copy that goes on with what the peer has answered to
// its future gives itself away by the chain before, of which it remembers fewer messages.
func TestRollbackAcrossAChain(t *testing.T) {
	a, b := newPair(t)
	roundTrip(&a, &b)
	b.opens(a.seal())
	old := side{a.Clone(), t, a.sent}
	b.opens(a.seal()) // used, and forgotten by the copy
	answer := b.seal()
	old.opens(answer)
	b.refuses(old.seal().frame, ErrRolledBack)
}
