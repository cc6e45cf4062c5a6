package ratchet

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// TestExpire: the key of a missing message goes after its time, with traffic or without.
func TestExpire(t *testing.T) {
	for _, quiet := range []bool{true, false} {
		a, b := newPair(t)
		missing := a.seal()
		b.opens(a.seal())
		if b.Expire(testTime().Add(SkippedLife)) {
			t.Fatal("a key goes too early")
		}
		late := testTime().Add(SkippedLife + time.Second)
		if _, err := b.Clone().Open(missing.frame, late); !errors.Is(err, ErrSpent) {
			t.Fatalf("a frame after its time gives %v", err)
		}
		if quiet {
			if !b.Expire(late) || b.Expire(late) {
				t.Fatal("Expire does not tell what it did")
			}
		} else if _, err := b.Open(a.seal().frame, late); err != nil {
			t.Fatal(err)
		}
		if len(b.in.skipped) != 0 {
			t.Fatal("a key outlives its time")
		}
		b.refuses(missing.frame, ErrSpent)
	}
}

// TestExpireByAnotherClock: a clock that was ahead when a message was missed does not
// lengthen the life of its key.
func TestExpireByAnotherClock(t *testing.T) {
	a, b := newPair(t)
	_ = a.seal()
	if _, err := b.Open(a.seal().frame, testTime().AddDate(50, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if !b.Expire(testTime()) {
		t.Fatal("a key of the future stays one")
	}
	if !b.Expire(testTime().Add(SkippedLife+time.Second)) || len(b.in.skipped) != 0 {
		t.Fatal("a key of the future outlives its time")
	}
}

// TestWipe: nothing is left of a session, nor of the parts it had.
func TestWipe(t *testing.T) {
	a, b := newPair(t)
	_ = a.seal()
	b.opens(a.seal())
	for _, s := range []*Session{a.Session, b.Session} {
		chains, missing := s.in.chains, s.in.skipped
		s.Wipe()
		for _, c := range chains {
			if c != (chain{}) {
				t.Error("a chain is left")
			}
		}
		for _, k := range missing {
			if k != (skipped{}) {
				t.Error("a message key is left")
			}
		}
		if s.root != [32]byte{} || s.out.key != [32]byte{} || s.in.key != [32]byte{} {
			t.Error("a key is left")
		}
	}
}

// TestClone: a copy and its original do not see each other.
func TestClone(t *testing.T) {
	a, b := newPair(t)
	_ = a.seal()
	b.opens(a.seal())
	before := b.Append(nil)
	c := side{b.Clone(), t, b.sent}
	for range 3 {
		roundTrip(&a, &c)
	}
	c.Wipe()
	if !bytes.Equal(before, b.Append(nil)) {
		t.Fatal("a copy shares memory with its original")
	}
}

// TestKeysGo: a state holds nothing that opens what was opened before, nor, once the peer has
// answered, what its own chain needed.
func TestKeysGo(t *testing.T) {
	a, b := newPair(t)
	for range 3 {
		roundTrip(&a, &b)
	}
	if a.out.key != [32]byte{} || a.out.secret != [32]byte{} || a.out.seed != [64]byte{} || a.out.slot != nil {
		t.Error("an answered chain leaves keys behind")
	}
	first, missing, last := a.seal(), a.seal(), a.seal()
	b.opens(first)
	before := b.Clone()
	b.opens(last)
	if len(b.in.skipped) != 1 {
		t.Fatalf("%d keys of missing messages, not 1", len(b.in.skipped))
	}
	spare := b.in.skipped[:1:1]
	b.opens(missing)
	if spare[0] != (skipped{}) {
		t.Error("the key of a message that came late is left")
	}
	state := b.Append(nil)
	for n := range 2 {
		var messageKey [32]byte
		if step(&before.in.key, &messageKey); bytes.Contains(state, messageKey[:]) {
			t.Errorf("the key of message %d is in the state after its use", n+1)
		}
	}
}
