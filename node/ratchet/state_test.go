package ratchet

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"strings"
	"testing"
)

var updateStates = flag.Bool("update-states", false, "write the golden states anew: this changes their format")

// filled returns n bytes that tell where they came from.
func filled(n int, first byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func filled32(first byte) [32]byte { return [32]byte(filled(32, first)) }

// stateOf has every field that all stored sessions have.
func stateOf(initiator, due bool, chains ...uint32) *Session {
	s := &Session{id: ID(filled32(1)), peer: filled32(2), initiator: initiator, root: filled32(3)}
	s.out.due, s.out.next, s.out.n = due, filled32(4), 0x01020304
	s.in.next = filled32(5)
	if !initiator {
		s.in.prefix = filled32(6)
	}
	for i, number := range chains {
		s.in.key = filled32(7)
		s.in.chains = append(s.in.chains, chain{number, filled32(byte(16 + i)), filled32(byte(32 + i)), 5})
	}
	if !due {
		s.out.previous = 0x05060708
		s.out.header, s.out.key, s.out.secret, s.out.public = filled32(8), filled32(9), filled32(10), filled32(11)
	}
	return s
}

// stateKinds has a state of each kind that Append writes differently.
func stateKinds() map[string]*Session {
	unanswered := stateOf(true, false)
	unanswered.out.prefix = filled(prefixSize, 12)

	offering := stateOf(true, false, 1, 2)
	offering.out.slot, offering.out.seed = filled(1184, 13), [64]byte(filled(64, 14))

	accepted := stateOf(false, true, 1)
	accepted.in.opened = []opened{{1, 0, [8]byte(filled(8, 1))}}

	offered := stateOf(false, true, 1, 2, 3)
	offered.in.offered = filled(1184, 13)

	late := stateOf(false, false, 3, 11, 12, 13, 14, 15, 16, 17, 18, 19)
	late.out.slot = filled(1088, 15)
	late.in.skipped = []skipped{
		{3, 1, 1_800_000_000, filled32(50)}, {3, 4, 1_800_000_001, filled32(51)}, {19, 2, 0, filled32(52)},
	}
	late.in.opened = []opened{{19, 4, [8]byte(filled(8, 1))}, {3, 0, [8]byte(filled(8, 2))}}
	return map[string]*Session{
		"a-unanswered": unanswered,
		"a-offering":   offering,
		"a-due":        stateOf(true, true, 1),
		"b-accepted":   accepted,
		"b-first":      stateOf(false, false, 1),
		"b-offered":    offered,
		"b-late":       late,
	}
}

// TestGoldenStates keeps the format of stored sessions.
func TestGoldenStates(t *testing.T) {
	for name, s := range stateKinds() {
		file := "testdata/state-" + name + ".hex"
		state := s.Append(nil)
		if *updateStates {
			if err := os.WriteFile(file, []byte(wrapHex(state)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(golden) != wrapHex(state) {
			t.Errorf("%s: the state is written otherwise than it was", name)
		}
		again := stored(t, s)
		if again.ID() != s.ID() || again.Peer() != s.Peer() || again.Answered() != s.Answered() {
			t.Errorf("%s: another session is read", name)
		}
	}
}

// wrapHex is hex in lines of 64 bytes.
func wrapHex(b []byte) string {
	var out strings.Builder
	for ; len(b) > 64; b = b[64:] {
		out.WriteString(hex.EncodeToString(b[:64]) + "\n")
	}
	return out.String() + hex.EncodeToString(b) + "\n"
}

// TestAppendKeeps what is in front, and knows how long it will be, so that no copy of keys is left
// behind by growing.
func TestAppendKeeps(t *testing.T) {
	for name, s := range stateKinds() {
		state := s.Append(nil)
		if got := s.Append([]byte("front")); !bytes.Equal(got, append([]byte("front"), state...)) {
			t.Errorf("%s: Append does not append", name)
		}
		if s.size() != len(state) {
			t.Errorf("%s: %d bytes are expected, %d written", name, s.size(), len(state))
		}
		room := make([]byte, 1, 1+len(state))
		if got := s.Append(room); &got[0] != &room[0] {
			t.Errorf("%s: Append leaves the memory it was given", name)
		}
	}
}

// TestParseRefuses whatever Append does not write.
func TestParseRefuses(t *testing.T) {
	for name, s := range stateKinds() {
		state := s.Append(nil)
		for n := range len(state) {
			if _, err := Parse(state[:n]); err == nil {
				t.Fatalf("%s: the first %d bytes of %d parse", name, n, len(state))
			}
		}
		if _, err := Parse(append(bytes.Clone(state), 0)); err == nil {
			t.Errorf("%s: parses with a byte too many", name)
		}
		state[0] = 2
		if _, err := Parse(state); err == nil || !strings.Contains(err.Error(), "newer program") {
			t.Errorf("%s: a state of the next version gives %v", name, err)
		}
		state[0] = 0
		if _, err := Parse(state); err == nil {
			t.Errorf("%s: a state of version 0 parses", name)
		}
	}
	for name, spoil := range map[string]func(s *Session){
		"chains out of order":    func(s *Session) { s.in.chains[2].number = 11 },
		"chains past the end":    func(s *Session) { s.in.chains[9].number = 18 },
		"a recent chain gone":    func(s *Session) { s.in.chains = append(s.in.chains[:4], s.in.chains[5:]...) },
		"chain 0":                func(s *Session) { s.in.chains[0].number, s.in.skipped[0].chain, s.in.skipped[1].chain = 0, 0, 0 },
		"an empty chain":         func(s *Session) { s.in.chains[4].end = 0 },
		"an old chain for none":  func(s *Session) { s.in.skipped = s.in.skipped[2:] },
		"a key of no chain":      func(s *Session) { s.in.skipped[0].chain = 2 },
		"a key of a later chain": func(s *Session) { s.in.skipped[2].chain = 20 },
		"keys out of order":      func(s *Session) { s.in.skipped[1].n = 0 },
		"a key twice":            func(s *Session) { s.in.skipped[1].n = 1 },
		"a key past the end":     func(s *Session) { s.in.skipped[1].n = 5 },
		"a key before 1970":      func(s *Session) { s.in.skipped[1].since = -1 },
		"a frame of no chain":    func(s *Session) { s.in.opened[0].chain = 4 },
		"a frame past the end":   func(s *Session) { s.in.opened[0].n = 5 },
		"a frame that is missed": func(s *Session) { s.in.opened[0].n = 2 },
		"a frame twice":          func(s *Session) { s.in.opened[1] = s.in.opened[0] },
		"too many frames":        func(s *Session) { manyFrames(s, rememberedFrames+1) },
		"too many keys":          func(s *Session) { manyKeys(s, MaxSkip+1) },
		"B before its beginning": func(s *Session) { *s = *stateOf(false, false) },
		"A due before an answer": func(s *Session) { *s = *stateOf(true, true) },
		"A with B's hash":        func(s *Session) { *s = *stateOf(true, true, 1); s.in.prefix = filled32(6) },
		"a chain key, no chain":  func(s *Session) { *s = *stateOf(true, false); s.out.prefix = filled(prefixSize, 1); s.in.key[0] = 1 },
		"a hash, no chain":       func(s *Session) { *s = *stateOf(true, false); s.out.prefix = filled(prefixSize, 1); s.in.prefix[0] = 1 },
	} {
		s := stateKinds()["b-late"]
		spoil(s)
		if _, err := Parse(s.Append(nil)); err == nil {
			t.Errorf("a state with %s parses", name)
		}
	}
	flags := stateKinds()["a-due"].Append(nil)
	flags[1] |= 4
	if _, err := Parse(flags); err == nil {
		t.Error("a state with an unknown flag parses")
	}
}

// manyFrames remembers n frames of the last chain.
func manyFrames(s *Session, n uint32) {
	s.in.opened = nil
	s.in.chains[len(s.in.chains)-1].end = n + 10
	for i := range n {
		s.in.opened = append(s.in.opened, opened{19, i + 5, [8]byte{}})
	}
}

// manyKeys misses n messages of the last chain besides those of others.
func manyKeys(s *Session, n uint32) {
	s.in.chains[len(s.in.chains)-1].end = n + 10
	for i := range n - 3 {
		s.in.skipped = append(s.in.skipped, skipped{19, i + 5, 0, filled32(1)})
	}
}

// TestStateSize: what a session costs to keep after ten round trips, and at the worst, when
// 256 messages of as many chains are missing.
func TestStateSize(t *testing.T) {
	a, b := newPair(t)
	for range 10 {
		roundTrip(&a, &b)
	}
	l := a.seal()
	if n := len(a.Append(nil)); n != 2408 {
		t.Errorf("%d bytes at A, not 2408", n)
	}
	b.opens(l)
	if n := len(b.Append(nil)); n != 2212 {
		t.Errorf("%d bytes at B, not 2212", n)
	}
	for range MaxSkip {
		_ = b.seal()
		a.opens(b.seal())
		b.opens(a.seal())
	}
	for range rememberedChains + 1 {
		for range 8 {
			a.opens(b.seal())
		}
		b.opens(a.seal())
	}
	a.opens(b.seal())
	_ = a.seal()
	const worst = fixedSize + (MaxSkip+rememberedChains+1)*chainSize + MaxSkip*skippedSize +
		rememberedFrames*openedSize + 4 + 4*32 + 1184 + 64
	if n := len(a.Append(nil)); n != worst { // 34,008
		t.Errorf("%d bytes at A at the worst, not %d", n, worst)
	}
	_ = stored(t, a.Session)
}
