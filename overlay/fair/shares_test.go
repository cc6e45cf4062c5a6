package fair

import "testing"

// One alone gets half of a room, the next half of what is left, and so on; what
// is given back is there for others.
func TestRoomIsShared(t *testing.T) {
	const places = 64
	r := NewRoom[string](places)
	fill := func(who string) (n int) {
		for r.Take(who) {
			n++
		}
		return n
	}
	left := places
	for _, who := range []string{"a", "b", "c", "d"} {
		if n := fill(who); n != left/2 {
			t.Errorf("%s got %d of %d", who, n, left)
		}
		left -= left / 2
	}
	if r.Taken() != places-left {
		t.Errorf("%d places are taken, want %d", r.Taken(), places-left)
	}
	for range places / 2 {
		r.Give("a")
	}
	// 8+4+16 = 28 are taken; b holds 16 of them and may have more while it holds
	// less than is left.
	if n := fill("b"); n != 10 {
		t.Errorf("b got %d more, want 10", n)
	}
	if !r.Take("e") {
		t.Error("a newcomer has no room")
	}
}

// Nothing is remembered of those that hold nothing.
func TestRoomForgets(t *testing.T) {
	r := NewRoom[int](8)
	for who := range 1000 {
		if !r.Take(who) {
			t.Fatalf("number %d has no room", who)
		}
		r.Give(who)
	}
	if r.Taken() != 0 || len(r.held) != 0 {
		t.Errorf("%d places are taken, %d are counted", r.Taken(), len(r.held))
	}
}
