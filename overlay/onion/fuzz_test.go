package onion

import (
	"bytes"
	"testing"
)

// fuzzPacket turns any bytes into a packet, and a short input into a change of
// a good one: position (two bytes) and new value.
func fuzzPacket(good *Packet, data []byte) *Packet {
	p := *good
	if len(data) > 64 {
		copy(p[:], data)
		return &p
	}
	for ; len(data) >= 3; data = data[3:] {
		p[(int(data[0])<<8|int(data[1]))%Size] = data[2]
	}
	return &p
}

// FuzzUnwrap holds both implementations against each other on the way of a
// packet that its first link may have changed.
func FuzzUnwrap(f *testing.F) {
	path, keys, secrets := testPath(f, 1, Layers)
	var good, short Packet
	if err := wrap(source(2), &good, path, []byte("hello")); err != nil {
		f.Fatal(err)
	}
	if err := wrap(source(3), &short, path[:1], nil); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add([]byte{0, 31, 0x80})
	f.Add([]byte{1, 80, 1})
	f.Add(short[:])
	f.Add(make([]byte, Size))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := *fuzzPacket(&good, data)
		changed := p[:deltaAt]
		whole := bytes.Equal(changed, good[:deltaAt]) || bytes.Equal(changed, short[:deltaAt])
		if _, err := keys[0].Open(&p); (err == nil) != whole {
			t.Fatalf("Open says %v, the header is whole: %v", err, whole)
		}
		// The reference is slow: it reads the first hop, the rest follow alone.
		h, p := same(t, keys[0], secrets[0], &p)
		for i := 1; h.Kind == Forward && i < len(path); i++ {
			var err error
			if h, err = keys[i].Open(&p); err != nil {
				t.Fatalf("hop %d refuses what hop %d sent on: %v", i+1, i, err)
			}
			if h.Kind == Forward {
				next := h
				next.Strip(&p)
			}
		}
	})
}

// FuzzSURB parses any bytes as a reply block, and uses what parses.
func FuzzSURB(f *testing.F) {
	path, _, _ := testPath(f, 1, Layers)
	surb, _, _, err := newSURB(source(2), path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(surb[:], []byte("hello"))
	f.Add(surb[:SURBSize-1], []byte{})
	f.Add(make([]byte, SURBSize), []byte{})
	f.Add(bytes.Repeat([]byte{0xff}, SURBSize), make([]byte, BodySize+1))
	f.Fuzz(func(t *testing.T, data, body []byte) {
		s, err := ParseSURB(data)
		if err != nil {
			return
		}
		if !bytes.Equal(s[:], data) || s.First().IsZero() {
			t.Fatal("a reply block does not parse to itself")
		}
		var p Packet
		if err := s.Use(&p, body); (err == nil) != (len(body) <= BodySize) {
			t.Fatalf("Use of %d bytes: %v", len(body), err)
		} else if err != nil {
			return
		}
		if !bytes.Equal(p[:], refUse(data, body)) {
			t.Fatal("Use and the reference differ")
		}
		if _, err := ParseSURB(s[:]); err == nil {
			t.Fatal("a used reply block parses")
		}
	})
}
