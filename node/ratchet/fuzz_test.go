package ratchet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// patch changes b as data says, three bytes for each change: position and new value.
func patch(b, data []byte) {
	for ; len(data) >= 3; data = data[3:] {
		b[int(binary.BigEndian.Uint16(data))%len(b)] = data[2]
	}
}

// refusal tells whether err is one that Open may give.
func refusal(err error) bool {
	for _, e := range []error{ErrUnknown, ErrDuplicate, ErrSpent, ErrRolledBack, ErrForged, ErrTooFar} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// FuzzParse: what parses is written again as it was, and serves without a panic.
func FuzzParse(f *testing.F) {
	for _, s := range stateKinds() {
		f.Add(s.Append(nil))
	}
	frame := make([]byte, FrameSize)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Append(nil), data) {
			t.Fatal("a state is written otherwise than it was read")
		}
		if _, err := s.Open(frame, testTime()); err == nil {
			t.Fatal("zeros are a frame")
		}
		if s.Expire(testTime()); len(s.in.skipped) > MaxSkip {
			t.Fatal("more keys than are kept")
		}
		if _, err := s.Seal(testBody(1)); err != nil {
			return // an offered key that is none, say
		}
		if _, err := Parse(s.Append(nil)); err != nil {
			t.Fatalf("a session that has sealed does not parse: %v", err)
		}
	})
}

// FuzzOpen has a peer that lies in its header, and a network that changes the frame on the
// way. The input is
//
//	1  flags: 1 the frame begins a chain, 2 B writes, 4 the header brings the ratchet key,
//	   8 the slot is changed
//	4  added to PN
//	4  added to N
//	1  added to the kind
//	1  how many changes of the frame follow, and each of them: 2 position, 1 value
//	   the ratchet key (32) and the slot
func FuzzOpen(f *testing.F) {
	a, b := newPair(f)
	for range 2 {
		roundTrip(&a, &b)
	}
	b.opens(a.seal())
	_ = a.seal() // missing
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 11 {
			return
		}
		flags, rest := data[0], data[11:]
		from, to := side{a.Clone(), t, new(int)}, side{b.Clone(), t, new(int)}
		if flags&2 != 0 {
			from, to = to, from
		} else if flags&1 != 0 {
			from.opens(to.seal())
		}
		if flags&3 == 2 {
			to.opens(from.seal())
		}
		changes := rest[:min(3*int(data[10]), len(rest))]
		rest = rest[len(changes):]
		whole := true
		frame := from.craft(func(h *header, kind *byte) {
			before, kindBefore := *h, *kind
			h.pn += binary.BigEndian.Uint32(data[1:])
			h.n += binary.BigEndian.Uint32(data[5:])
			*kind += data[9]
			if flags&4 != 0 {
				rest = rest[copy(h.ratchet[:], rest):]
			}
			if flags&8 != 0 {
				h.slot = append(bytes.Clone(rest[:min(len(rest), slotSize)]), h.slot[min(len(rest), len(h.slot)):]...)
			}
			whole = h.pn == before.pn && h.n == before.n && h.ratchet == before.ratchet &&
				*kind == kindBefore && bytes.Equal(h.slot, before.slot)
		})
		sealed := bytes.Clone(frame)
		patch(frame, changes)
		state, copied := to.Append(nil), bytes.Clone(frame)
		body, err := to.Open(frame, testTime())
		if !bytes.Equal(frame, copied) {
			t.Fatal("Open changes the frame")
		}
		if err == nil {
			if !bytes.Equal(sealed, frame) || !bytes.Equal(body, testBody(1)) {
				t.Fatal("a changed frame opens")
			}
			_ = stored(t, to.Session)
			return
		}
		if whole && bytes.Equal(sealed, frame) {
			t.Fatalf("an honest frame gives %v", err)
		}
		if !refusal(err) || body != nil || !bytes.Equal(state, to.Append(nil)) {
			t.Fatalf("a refused frame gives %v, or changes the state", err)
		}
	})
}

// FuzzOpenHello has a stranger that lies in its hello, and a network that changes it. The input
// is the number of changes of the frame, the changes, and those of what the hello seals,
// 2 position and 1 value each.
func FuzzOpenHello(f *testing.F) {
	alice, bob := newPerson(f), newPerson(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		changes := data[1:min(1+3*int(data[0]), len(data))]
		inside := data[1+len(changes):]
		whole := true
		frame := forgeHello(t, alice, bob, func(_ *handshake, name *[nameSize]byte) {
			before := *name
			patch(name[:], inside)
			whole = before == *name
		})
		sealed := bytes.Clone(frame)
		patch(frame, changes)
		whole = whole && bytes.Equal(sealed[:prefixSize], frame[:prefixSize])
		h, err := OpenHello(testNetwork(), &bob.Identity, bob.prekeys, frame)
		if (err == nil) != whole || err != nil && !errors.Is(err, ErrUnknown) {
			t.Fatalf("OpenHello gives %v, the hello is whole: %v", err, whole)
		}
		if err != nil {
			return
		}
		if h.Peer() != alice.record().Identity {
			t.Fatal("the hello is another's")
		}
		if _, _, err := h.Accept(testTime()); !refusal(err) { // what follows is random
			t.Fatalf("a hello without a message gives %v", err)
		}
	})
}
