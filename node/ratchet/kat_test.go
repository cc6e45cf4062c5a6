package ratchet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"
)

var update = flag.Bool("update", false, "write the known answers anew: this changes the wire format")

// recording is a conversation with all that its two sides drew, what comes of it
// on the way, and its frames: what another implementation needs to check itself.
type recording struct {
	About string
	Order string // see order
	Seed  uint64 // of testing/cryptotest, from which the two sides drew

	Network hexed
	A       recordedPerson // has no prekeys
	B       recordedPerson

	Ephemeral hexed // private half of EK
	EK, CT    hexed
	DH1, DH2  hexed
	DH3, SS   hexed
	T         hexed
	MaskKey   hexed
	NameKey   hexed
	SK        hexed
	HKA, NHKB hexed

	Chains []recordedChain
	Frames []recordedFrame
}

type recordedPerson struct {
	Sign      hexed // Ed25519 seed
	Agreement hexed // X25519
	Prekey    hexed `json:",omitempty"` // X25519
	KEM       hexed `json:",omitempty"` // ML-KEM-768 seed
}

// recordedChain is a sending chain: its keys, and what its root step took and gave.
type recordedChain struct {
	From          string
	Private       hexed // DHs
	KEM           hexed `json:",omitempty"` // seed of the decapsulation key, in A's chains but the first
	Ciphertext    hexed `json:",omitempty"` // and its secret, in B's chains but the first
	SS            hexed `json:",omitempty"`
	DH            hexed
	RK, CKs, NHKs hexed
	HKs           hexed
}

// recordedFrame is a message: its text is the body but for zeros.
type recordedFrame struct {
	Chain int
	PN, N uint32
	Salt  hexed
	MK    hexed
	Text  string
	Frame hexed
}

type hexed []byte

func (h hexed) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexed) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// order is a conversation of three chains of A's and three of B's: "a" and "b" say the
// next message, a number is the arrival of that message, counted from 0. Some arrive
// in another order, two a chain late, and one never.
const order = "a a a 1 0 b b 4 3 a a 6 2 b b 8 a a 10 5 b 11 9 b 12"

// TestKnownAnswers has the plain implementation open and make every frame of the
// recording, and compute all that is written down in it; and the real one talk again
// with the same draws.
func TestKnownAnswers(t *testing.T) {
	const name = "testdata/kat_conversation.json"
	if *update {
		made := recordTalk(t)
		rehearse(t, made)
		text, err := json.MarshalIndent(made, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var want recording
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Frames) != 13 || len(want.Chains) != 6 {
		t.Fatalf("%d frames of %d chains are recorded", len(want.Frames), len(want.Chains))
	}

	t.Run("plain", func(t *testing.T) {
		got := recording{
			About: want.About, Order: want.Order, Seed: want.Seed,
			Network: want.Network, A: want.A, B: want.B, Ephemeral: want.Ephemeral,
		}
		got.Chains, got.Frames = make([]recordedChain, len(want.Chains)), make([]recordedFrame, len(want.Frames))
		for i, c := range want.Chains {
			got.Chains[i] = recordedChain{From: c.From, Private: c.Private, KEM: c.KEM, Ciphertext: c.Ciphertext}
		}
		for i, f := range want.Frames {
			got.Frames[i] = recordedFrame{Chain: f.Chain, Frame: f.Frame}
		}
		rehearse(t, &got)
		sameRecording(t, &got, &want)
	})

	// The draws of the standard library may change with it. What is
	// recorded stays true then, and is recorded anew.
	t.Run("real", func(t *testing.T) {
		got := recordTalk(t)
		rehearse(t, got)
		sameRecording(t, got, &want)
	})
}

func sameRecording(t *testing.T, got, want *recording) {
	t.Helper()
	one, err := json.MarshalIndent(got, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	two, err := json.MarshalIndent(want, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	wanted := strings.Split(string(two), "\n")
	for i, line := range strings.Split(string(one), "\n") {
		if i >= len(wanted) || line != wanted[i] {
			t.Fatalf("line %d is %.200s, not what was recorded", i+1, line)
		}
	}
	if len(one) != len(two) {
		t.Fatal("the recording goes on")
	}
}

// recordTalk has the real implementation talk under a seed, and takes down its keys.
func recordTalk(t *testing.T) *recording {
	r := &recording{
		About: "a conversation as node/ratchet describes it; all bytes in hexadecimal",
		Order: order, Seed: 4, Network: bytes.Repeat([]byte{0x4e}, 32),
	}
	drawn := byte(0)
	draw := func(n int) []byte {
		drawn++
		return bytes.Repeat([]byte{drawn}, n)
	}
	alice, bob := newPlainPerson(draw), newPlainPerson(draw)
	r.A = recordedPerson{Sign: alice.sign.Seed(), Agreement: alice.agreement.Bytes()}
	r.B = recordedPerson{bob.sign.Seed(), bob.agreement.Bytes(), bob.prekey.Bytes(), bob.kem.Bytes()}

	// A draws its ephemeral key first, and does not keep it.
	cryptotest.SetGlobalRandom(t, r.Seed)
	var ephemeral, ek, representative [32]byte
	generateUniform(&ephemeral, &ek, &representative)
	r.Ephemeral = ephemeral[:]

	cryptotest.SetGlobalRandom(t, r.Seed)
	now := time.Unix(1_800_000_000, 0)
	a, err := Initiate([32]byte(r.Network), alice.identity(), bob.record())
	if err != nil {
		t.Fatal(err)
	}
	var b *Session
	say := func(from string, s *Session) {
		fresh := s.out.due || len(r.Frames) == 0
		frame, err := s.Seal(sentence(len(r.Frames)))
		if err != nil {
			t.Fatal(err)
		}
		if fresh {
			c := recordedChain{From: from, Private: bytes.Clone(s.out.secret[:])}
			switch {
			case s.out.slot == nil:
			case s.initiator:
				c.KEM = bytes.Clone(s.out.seed[:])
			default:
				c.Ciphertext = bytes.Clone(s.out.slot)
			}
			r.Chains = append(r.Chains, c)
		}
		chain := len(r.Chains) - 1
		for r.Chains[chain].From != from {
			chain--
		}
		r.Frames = append(r.Frames, recordedFrame{Chain: chain, Frame: frame})
	}
	arrives := func(n int) {
		var body []byte
		frame := r.Frames[n].Frame
		switch {
		case b == nil:
			hello, openErr := OpenHello([32]byte(r.Network), bob.identity(), bob.prekeys(), frame)
			if openErr != nil {
				t.Fatal(openErr)
			}
			b, body, err = hello.Accept(now)
		case r.Chains[r.Frames[n].Chain].From == "a":
			body, err = b.Open(frame, now)
		default:
			body, err = a.Open(frame, now)
		}
		if err != nil || !bytes.Equal(body, sentence(n)) {
			t.Fatalf("message %d: %.40q, %v", n, body, err)
		}
	}
	inOrder(t, r.Order, func(who string) { say(who, map[string]*Session{"a": a, "b": b}[who]) }, arrives)
	return r
}
