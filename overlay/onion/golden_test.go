package onion

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew: this changes the wire format")

// TestGolden keeps the wire format: two packets and a reply block made from
// fixed secrets, as they look on every link. The files hold all that another
// implementation needs to check itself.
func TestGolden(t *testing.T) {
	for name, text := range map[string]string{
		"testdata/packet4.txt": goldenPacket(t, 4),
		"testdata/packet1.txt": goldenPacket(t, 1),
		"testdata/surb4.txt":   goldenSURB(t, 4),
	} {
		if *update {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s: the packet is laid out otherwise than it was", name)
		}
	}
}

func goldenPath(t *testing.T, n int) (text string, path []Hop, keys []*PrivateKey, secrets [][]byte) {
	path, keys, secrets = testPath(t, 1, n)
	for i, hop := range path {
		text += fmt.Sprintf("hop %d node   %x\nhop %d secret %x\nhop %d delay  %d ms\n",
			i, hop.Node, i, secrets[i], i, hop.Delay.Milliseconds())
	}
	return text, path, keys, secrets
}

func goldenPacket(t *testing.T, n int) string {
	text, path, keys, secrets := goldenPath(t, n)
	body := []byte("a message crosses three relays")
	drawn := 32*n + betaSize - finalBlockSize - (n-1)*padSize
	random := expand(2, drawn)
	var p Packet
	if err := wrap(bytes.NewReader(random), &p, path, body); err != nil {
		t.Fatal(err)
	}
	text += fmt.Sprintf("random       %x\nbody         %x\npacket       %x\n", random, body, p)
	for i := range path {
		var h Header
		h, p = same(t, keys[i], secrets[i], &p)
		text += fmt.Sprintf("hop %d tag    %x\n", i, h.Tag)
		if h.Kind == Forward {
			text += fmt.Sprintf("hop %d sends  sha256 %x\n", i, sha256.Sum256(p[:]))
		}
	}
	return text
}

func goldenSURB(t *testing.T, n int) string {
	text, path, keys, secrets := goldenPath(t, n)
	body := []byte("an answer comes back")
	random := expand(3, idSize+seedSize+32*n)
	surb, _, _, err := newSURB(bytes.NewReader(random), path)
	if err != nil {
		t.Fatal(err)
	}
	text += fmt.Sprintf("random       %x\nsurb         %x\n", random, surb)
	var p Packet
	if err := surb.Use(&p, body); err != nil {
		t.Fatal(err)
	}
	text += fmt.Sprintf("body         %x\npacket       %x\n", body, p)
	for i := range path {
		var h Header
		h, p = same(t, keys[i], secrets[i], &p)
		text += fmt.Sprintf("hop %d tag    %x\n", i, h.Tag)
		if h.Kind == Forward {
			text += fmt.Sprintf("hop %d sends  sha256 %x\n", i, sha256.Sum256(p[:]))
		}
	}
	return text
}
