package path

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// golden is a state as it lies on disks: one guard, picked at 2026-03-01 12:00:00 UTC for
// 60 days, and no second relay.
var golden = "01" + "0000000069a42a40" +
	"01" + "ab00000000000000000000000000000000000000000000000000000000000000" + "0000000069a42a40" + "0000000069f34440" +
	"00"

func TestGoldenState(t *testing.T) {
	raw, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Restore(Rules{Self: self, Hops: 3}, raw)
	if err != nil {
		t.Fatal(err)
	}
	g := c.keeping.guards
	if len(g) != 1 || g[0].id[0] != 0xab || !g[0].since.Equal(start) || g[0].until.Sub(start) != 60*day || !c.keeping.picked.Equal(start) {
		t.Errorf("it is %+v", c.keeping)
	}
	if got := hex.EncodeToString(c.State()); got != golden {
		t.Errorf("it is written as %s", got)
	}
}

// someState is a state with three guards and four second relays.
func someState(t testing.TB) []byte {
	c := New(Rules{Self: self, Hops: 3, Random: seeded(1)})
	draw(t, c, start, apartNodes(t, 40), far)
	return c.State()
}

// What is stored is what is kept after a start, and no other bytes are read.
func TestState(t *testing.T) {
	rules := Rules{Self: self, Hops: 3}
	state := someState(t)
	c, err := Restore(rules, state)
	if err != nil || !bytes.Equal(c.State(), state) || len(c.Keeps()) != 7 {
		t.Fatalf("%d relays are kept, %v", len(c.Keeps()), err)
	}
	change := func(at int, b ...byte) []byte {
		s := slices.Clone(state)
		copy(s[at:], b)
		return s
	}
	const guard, second = 10, 10 + 3*sizeKept + 1 // where the first of them begin
	bad := map[string][]byte{
		"nothing": nil, "another version": change(0, 2), "more": append(slices.Clone(state), 0),
		"more guards than are remembered": change(9, maxGuards+1), "more second relays": change(second-1, maxSecond+1),
		"the node itself":           change(guard, self[:]...),
		"nobody":                    change(guard, make([]byte, 32)...),
		"a guard twice":             change(guard+sizeKept, state[guard:guard+32]...),
		"guards and no time":        change(1, make([]byte, 8)...),
		"a time out of bounds":      change(guard+32, 0xff),
		"since never":               change(guard+32, make([]byte, 8)...),
		"a guard for a day":         change(guard+40, state[guard+32:guard+40]...),
		"a second relay for months": change(second+40, state[guard+40:guard+48]...),
	}
	for n := range state {
		bad[fmt.Sprintf("cut after %d bytes", n)] = state[:n]
	}
	for name, s := range bad {
		if _, err := Restore(rules, s); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzRestore: whatever is read is written the same, and a node can go on with it.
func FuzzRestore(f *testing.F) {
	raw, _ := hex.DecodeString(golden)
	f.Add(raw)
	f.Add(someState(f))
	f.Add(New(Rules{Self: self, Hops: 3}).State())
	relays := apartNodes(f, 20)
	f.Fuzz(func(t *testing.T, state []byte) {
		rules := Rules{Self: self, Hops: 3, Random: seeded(1)}
		c, err := Restore(rules, state)
		if err != nil {
			return
		}
		if !bytes.Equal(c.State(), state) {
			t.Fatal("it is written in another way")
		}
		draw(t, c, start, relays, far)
		if _, err := Restore(rules, c.State()); err != nil {
			t.Fatalf("after a draw it is not read again: %v", err)
		}
	})
}
