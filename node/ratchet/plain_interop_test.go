package ratchet

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"
	"testing/cryptotest"
	"time"

	"chatnt/discovery/record"
)

// dice is where a test's choices come from, and with them all randomness of the
// standard library: a seed repeats a failure.
func dice(t *testing.T, seed uint64) *rand.Rand {
	cryptotest.SetGlobalRandom(t, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func drawFrom(r *rand.Rand) func(int) []byte {
	return func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
}

func (p *plainPerson) identity() *Identity { return &Identity{Sign: p.sign, Agreement: p.agreement} }

func (p *plainPerson) prekeys() []Prekeys { return []Prekeys{{Key: p.prekey, KEM: p.kem}} }

func (p *plainPerson) record() *record.KeyRecord {
	keys := p.public()
	return &record.KeyRecord{
		Identity:  [32]byte(keys.ed),
		Agreement: [32]byte(keys.ik),
		Prekey:    record.Prekey{ID: 1, Key: [32]byte(keys.spk)},
		KEMPrekey: record.KEMPrekey{ID: 1, Key: [mlkemKeySize]byte(keys.pqspk)},
	}
}

const mlkemKeySize = 1184

// party is one side of a conversation, of either implementation.
type party interface {
	say(body []byte) ([]byte, error)
	hear(frame []byte) ([]byte, error)
}

type plainParty struct{ p *plain }

func (s plainParty) say(body []byte) ([]byte, error) { return s.p.seal(body), nil }

func (s plainParty) hear(frame []byte) ([]byte, error) {
	opened, err := s.p.open(frame)
	if err != nil {
		return nil, err
	}
	return opened.body, nil
}

// realParty opens each frame a second time, which the session has to notice.
type realParty struct {
	t   *testing.T
	s   *Session
	now time.Time
}

func (s realParty) say(body []byte) ([]byte, error) { return s.s.Seal(body) }

func (s realParty) hear(frame []byte) ([]byte, error) {
	body, err := s.s.Open(frame, s.now)
	if err == nil {
		if _, again := s.s.Open(frame, s.now); !errors.Is(again, ErrDuplicate) {
			s.t.Fatalf("a frame opened twice: %v", again)
		}
	}
	return body, err
}

// opening makes A, and a function that makes B from a first frame.
type opening func(t *testing.T, draw func(int) []byte, network [32]byte, a, b *plainPerson) (party, func(frame []byte) (party, []byte, error))

func plainA2realB(t *testing.T, draw func(int) []byte, network [32]byte, a, b *plainPerson) (party, func([]byte) (party, []byte, error)) {
	return plainParty{plainInitiate(draw, network[:], a, b.public())}, func(frame []byte) (party, []byte, error) {
		later := newPlainPerson(draw).prekeys() // a generation that A had not seen
		hello, err := OpenHello(network, b.identity(), append(later, b.prekeys()...), frame)
		if err != nil {
			return nil, nil, err
		}
		if hello.Peer() != [32]byte(a.sign.Public().(ed25519.PublicKey)) {
			t.Fatal("the hello is somebody else's")
		}
		now := time.Unix(1_800_000_000, 0)
		session, body, err := hello.Accept(now)
		return realParty{t, session, now}, body, err
	}
}

func realA2plainB(t *testing.T, draw func(int) []byte, network [32]byte, a, b *plainPerson) (party, func([]byte) (party, []byte, error)) {
	session, err := Initiate(network, a.identity(), b.record())
	if err != nil {
		t.Fatal(err)
	}
	return realParty{t, session, time.Unix(1_800_000_000, 0)}, func(frame []byte) (party, []byte, error) {
		p, from, err := plainAccept(draw, network[:], b, frame)
		if err != nil {
			return nil, nil, err
		}
		if !bytes.Equal(from, a.sign.Public().(ed25519.PublicKey)) {
			t.Fatal("the hello is somebody else's")
		}
		if session.ID() != ID(p.shake.T) {
			t.Fatal("the two sides name the session differently")
		}
		opened, err := p.open(frame)
		if err != nil {
			return nil, nil, err
		}
		return plainParty{p}, opened.body, nil
	}
}

// TestPlainAgrees talks across the two implementations, each in either role, with
// frames shuffled, lost and repeated.
func TestPlainAgrees(t *testing.T) {
	for name, begin := range map[string]opening{"plain A": plainA2realB, "real A": realA2plainB} {
		t.Run(name, func(t *testing.T) {
			first, turns := rand.Uint64(), 0
			for seed := range uint64(count(6, 300)) {
				t.Logf("seed %d", first+seed)
				turns = max(turns, converse(t, dice(t, first+seed), begin))
			}
			if turns < 4 {
				t.Errorf("no conversation had more than %d turns", turns)
			}
		})
	}
}

// converse returns how many receiving chains the plain side came to have.
func converse(t *testing.T, r *rand.Rand, begin opening) int {
	draw := drawFrom(r)
	network := [32]byte(draw(32))
	alice, bob := newPlainPerson(draw), newPlainPerson(draw)
	a, accept := begin(t, draw, network, alice, bob)
	var b party

	type letter struct{ frame, body []byte }
	var under [2][]letter // way, to B and to A
	opened := 0
	for range 250 {
		to := r.IntN(2)
		from, at := a, b
		if to == 1 {
			from, at = b, a
		}
		switch pick := r.IntN(10); {
		case pick < 4 && from != nil && len(under[to]) < 20:
			body := draw(BodySize)
			frame, err := from.say(body)
			if err != nil {
				t.Fatal(err)
			}
			under[to] = append(under[to], letter{frame, body})
		case pick < 9 && len(under[to]) > 0:
			i := 0
			if r.IntN(3) == 0 {
				i = r.IntN(len(under[to]))
			}
			l := under[to][i]
			under[to] = append(under[to][:i:i], under[to][i+1:]...)
			if r.IntN(6) == 0 {
				continue // lost
			}
			var body []byte
			var err error
			if at == nil {
				b, body, err = accept(l.frame)
			} else {
				body, err = at.hear(l.frame)
			}
			if err != nil {
				t.Fatalf("message %d: %v", opened, err)
			}
			if !bytes.Equal(body, l.body) {
				t.Fatalf("message %d says something else", opened)
			}
			opened++
		}
	}
	for _, side := range []party{a, b} {
		if side, ok := side.(plainParty); ok {
			renewed(t, side.p.received)
			return len(side.p.received)
		}
	}
	return 0
}

// renewed wants a fresh ratchet key in each chain that the real side sent, and a fresh
// encapsulation key or ciphertext.
func renewed(t *testing.T, chains []*plainChain) {
	t.Helper()
	seen := make(map[string]bool)
	for _, c := range chains {
		if seen[string(c.ratchet)] || seen[string(c.slot)] {
			t.Error("two chains have the same key in their headers")
		}
		seen[string(c.ratchet)] = true
		if len(c.slot) > 0 {
			seen[string(c.slot)] = true
		}
	}
}

// TestPlainMap holds the two maps of Elligator 2 against each other, and each
// way of finding a representative against the other's map.
func TestPlainMap(t *testing.T) {
	r := dice(t, rand.Uint64())
	draw := drawFrom(r)
	for range count(50, 2000) {
		key, public, representative := plainHide(draw)
		if !bytes.Equal(plainMap(representative), public) {
			t.Fatalf("%x is not mapped to %x", representative, public)
		}
		other := plainX25519(draw(32))
		if !bytes.Equal(plainDH(key, other.PublicKey().Bytes()), plainDH(other, public)) {
			t.Fatal("the part of small order changes the exchange")
		}
	}
	// RFC 9380, section 6.7.1: u = 0 gives the point 0 here, for -A has no root.
	if plainSquare(new(big.Int).Neg(plainA())) || !bytes.Equal(plainMap(make([]byte, 32)), make([]byte, 32)) {
		t.Error("0 is not mapped to 0")
	}
}
