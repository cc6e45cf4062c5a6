package overlay

import (
	"bytes"
	"slices"
	"testing"

	"chatnt/overlay/onion"
)

func TestRequestGolden(t *testing.T) {
	var surb onion.SURB
	copy(surb[:], bytes.Repeat([]byte{0xaa}, onion.SURBSize))
	got, err := appendRequest([]byte("before"), &surb, "ab", []byte("body"))
	want := slices.Concat([]byte("before\x01"), surb[:], []byte("\x02abbody"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v", got, err)
	}
}

// Whatever parses is what appendRequest would have written.
func FuzzParseRequest(f *testing.F) {
	surb, _, _ := testSURB(f)
	good, err := appendRequest(nil, &surb, "mailbox.put", []byte("body"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{kindRequest})
	f.Add(good[:1+onion.SURBSize])
	f.Add(good[:1+onion.SURBSize+5])
	f.Add(append([]byte{2}, good[1:]...))
	f.Add(append(good[:1+onion.SURBSize:1+onion.SURBSize], 0))
	f.Add(append(good[:1+onion.SURBSize:1+onion.SURBSize], bytes.Repeat([]byte{33}, 40)...))
	f.Add(append(slices.Clone(good), make([]byte, onion.BodySize)...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		surb, service, body, err := parseRequest(payload)
		if err != nil {
			return
		}
		again, err := appendRequest(nil, &surb, service, body)
		if err != nil || !bytes.Equal(again, payload) {
			t.Errorf("%x became %x, %v", payload, again, err)
		}
	})
}
