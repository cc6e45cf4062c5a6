package onion

import (
	"bytes"
	"testing"
)

// TestRandomnessRunsOut wants no packet and no reply block when the bytes they
// are to be made of do not come.
func TestRandomnessRunsOut(t *testing.T) {
	for n := 1; n <= Layers; n++ {
		path, _, _ := testPath(t, 1, n)
		need := 32*n + betaSize - finalBlockSize - (n-1)*padSize
		for _, got := range []int{0, 31, need - 1} {
			var p Packet
			if err := wrap(bytes.NewReader(expand(1, got)), &p, path, nil); err == nil || p != (Packet{}) {
				t.Errorf("%d hops, %d bytes: wrap says %v", n, got, err)
			}
			s, id, k, err := newSURB(bytes.NewReader(expand(1, idSize+seedSize+got)), path)
			if err == nil || s != (SURB{}) || id != (SURBID{}) || k != nil {
				t.Errorf("%d hops, %d bytes: newSURB says %v", n, got, err)
			}
		}
		if err := wrap(bytes.NewReader(expand(1, need)), new(Packet), path, nil); err != nil {
			t.Errorf("%d hops, %d bytes: %v", n, need, err)
		}
	}
	if k, err := generateKey(bytes.NewReader(expand(1, 31))); err == nil || k != nil {
		t.Errorf("a key of 31 bytes: %v", err)
	}
}
