package ratchet

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// TestConversation: both sides talk, by turns and not, through stored states.
func TestConversation(t *testing.T) {
	a, b := newPair(t)
	if a.Answered() || !b.Answered() {
		t.Fatal("the wrong side counts as answered")
	}
	for range 3 {
		b.opens(a.seal())
	}
	for round := range 12 {
		for range round % 4 {
			a.opens(b.seal())
		}
		for range (round + 1) % 3 {
			b.opens(a.seal())
		}
		crossing := a.seal()
		a.opens(b.seal())
		b.opens(crossing)
		a.Session, b.Session = stored(t, a.Session), stored(t, b.Session)
	}
	if !a.Answered() {
		t.Fatal("A has no answer")
	}
}

// TestHellosInAnyOrder: whichever hello comes first begins the session, and the others are of
// it, also after it was answered.
func TestHellosInAnyOrder(t *testing.T) {
	alice, bob := newPerson(t), newPerson(t)
	s, err := Initiate(testNetwork(), &alice.Identity, bob.record())
	if err != nil {
		t.Fatal(err)
	}
	a := side{s, t, new(int)}
	var hellos []letter
	for range 5 {
		hellos = append(hellos, a.seal())
		a.Session = stored(t, a.Session)
	}
	var b side
	for _, l := range hellos {
		h, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, l.frame)
		if err != nil || h.ID() != a.ID() {
			t.Fatalf("a hello is not of its session: %v", err)
		}
		s, body, err := h.Accept(testTime())
		if err != nil || !bytes.Equal(body, l.body) {
			t.Fatalf("a hello does not open: %v", err)
		}
		b = side{s, t, a.sent}
	}
	// The last one has begun b, and the others are missing.
	b.opens(hellos[2])
	a.opens(b.seal())
	b.opens(a.seal())
	for _, i := range []int{0, 3, 1} {
		b.opens(hellos[i])
	}
	for _, l := range hellos {
		b.refuses(l.frame, ErrDuplicate)
	}
}

// TestOlderPrekeys: a hello to an older generation of prekeys opens, and one to prekeys that
// are gone does not.
func TestOlderPrekeys(t *testing.T) {
	alice, bob := newPerson(t), newPerson(t)
	s, err := Initiate(testNetwork(), &alice.Identity, bob.record())
	if err != nil {
		t.Fatal(err)
	}
	a := side{s, t, new(int)}
	first := a.seal()
	for range 2 {
		bob.prekeys = slices.Insert(bob.prekeys, 0, newPrekeys(t))
	}
	h, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, first.frame)
	if err != nil {
		t.Fatal(err)
	}
	if _, body, err := h.Accept(testTime()); err != nil || !bytes.Equal(body, first.body) {
		t.Fatalf("a hello to older prekeys does not open: %v", err)
	}
	if _, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys[:2], first.frame); !errors.Is(err, ErrUnknown) {
		t.Fatalf("a hello to prekeys that are gone gives %v", err)
	}
	if _, err := OpenHello([32]byte{8}, &bob.Identity, bob.prekeys, first.frame); !errors.Is(err, ErrUnknown) {
		t.Fatalf("a hello of another network gives %v", err)
	}
}

// TestOutOfOrder: frames of several chains come late, in any order and twice.
func TestOutOfOrder(t *testing.T) {
	a, b := newPair(t)
	var late []letter
	for range 6 {
		toB := []letter{a.seal(), a.seal(), a.seal(), a.seal()}
		b.opens(toB[2])
		b.refuses(toB[2].frame, ErrDuplicate)
		b.opens(toB[0])
		late = append(late, toB[1], toB[3])
		toA := []letter{b.seal(), b.seal()}
		a.opens(toA[1])
		a.opens(toA[0])
		a.refuses(toA[0].frame, ErrDuplicate)
	}
	slices.Reverse(late)
	for _, l := range late {
		b.opens(l)
		b.Session = stored(t, b.Session)
	}
	for _, l := range late {
		b.refuses(l.frame, ErrDuplicate)
	}
	roundTrip(&a, &b)
}

// TestLateFromFarBack: a frame that is missing is opened however many chains have come
// since, and then its chain is forgotten.
func TestLateFromFarBack(t *testing.T) {
	a, b := newPair(t)
	roundTrip(&a, &b)
	early := a.seal()
	b.opens(early)
	late := a.seal()
	for range 3 * rememberedChains {
		roundTrip(&a, &b)
		b.Session = stored(t, b.Session)
	}
	if b.Expects(late.frame) || !b.Knows(late.frame) {
		t.Fatal("a late frame is told for another")
	}
	b.refuses(early.frame, ErrDuplicate)
	b.opens(late)
	b.refuses(early.frame, ErrUnknown)
	b.refuses(late.frame, ErrUnknown)
}

// TestDuplicateOfLongAgo: a frame that comes again after more than are remembered is
// neither confirmed nor a sign of a state that was rolled back.
func TestDuplicateOfLongAgo(t *testing.T) {
	a, b := newPair(t)
	first := a.seal()
	b.opens(first)
	for range 2 * rememberedFrames {
		b.opens(a.seal())
	}
	b.refuses(first.frame, ErrSpent)
}

// TestOthersFrames: what is not for this side of this session is told at once.
func TestOthersFrames(t *testing.T) {
	a, b := newPair(t)
	c, d := newPair(t)
	for range 3 {
		for _, l := range []letter{a.seal(), c.seal(), d.seal()} {
			a.refuses(l.frame, ErrUnknown) // its own, and those of others
			if a.Expects(l.frame) || a.Knows(l.frame) {
				t.Fatal("a frame of others is expected")
			}
		}
		roundTrip(&a, &b)
		roundTrip(&c, &d)
	}
	for _, size := range []int{0, 1, FrameSize - 1, FrameSize + 1} {
		a.refuses(make([]byte, size), ErrUnknown)
	}
}

// TestSimultaneous: both begin a session at once, and each serves for itself.
func TestSimultaneous(t *testing.T) {
	alice, bob := newPerson(t), newPerson(t)
	begin := func(from, to *person) (a, b side) {
		s, err := Initiate(testNetwork(), &from.Identity, to.record())
		if err != nil {
			t.Fatal(err)
		}
		a = side{s, t, new(int)}
		l := a.seal()
		h, err := OpenHello(testNetwork(), &to.Identity, to.prekeys, l.frame)
		if err != nil {
			t.Fatal(err)
		}
		answer, _, err := h.Accept(testTime())
		if err != nil {
			t.Fatal(err)
		}
		return a, side{answer, t, a.sent}
	}
	a1, b1 := begin(alice, bob)
	b2, a2 := begin(bob, alice)
	if a1.ID() == a2.ID() {
		t.Fatal("two sessions have one name")
	}
	for range 3 {
		roundTrip(&a1, &b1)
		roundTrip(&b2, &a2)
	}
	a2.refuses(b1.seal().frame, ErrUnknown)
}

// TestSealRefuses bodies of other sizes, without a change.
func TestSealRefuses(t *testing.T) {
	a, _ := newPair(t)
	before := a.Append(nil)
	for _, size := range []int{0, BodySize - 1, BodySize + 1} {
		if _, err := a.Seal(make([]byte, size)); err == nil {
			t.Errorf("a body of %d bytes is sealed", size)
		}
	}
	a.out.n = 1<<32 - 1
	if _, err := a.Seal(testBody(1)); err == nil {
		t.Error("a message beyond the last number is sealed")
	}
	a.out.n = 1
	if !bytes.Equal(before, a.Append(nil)) {
		t.Error("a refused body changes the state")
	}
}
