package ratchet

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// play is two sessions between the same two people, one begun by each, and
// everything that was ever sent in them.
type play struct {
	t     *testing.T
	r     *rand.Rand
	draw  func(int) []byte
	now   time.Time
	terms symbols

	network [32]byte
	people  [2]*plainPerson
	seats   [2][2]*seat // of each session: its A, its B
	rolls   bool        // whether states are rolled back

	frames []*idealFrame
	flight []*idealFrame
	salts  map[string]int // a key and the salt or nonce it was used with, and the frame
	seen   map[string]int // why frames opened or did not
}

// seat is one side of one session, real and ideal.
type seat struct {
	who   int // of people
	real  *Session
	ideal *ideal
	saves []save
}

// save is a state that a seat may be rolled back to; none is a B that has not
// heard of the session.
type save struct {
	state []byte
	clone *Session
	ideal *ideal
}

func (s *seat) save() save { return save{s.real.Append(nil), s.real.Clone(), s.ideal.clone()} }

func newPlay(t *testing.T, seed uint64) *play {
	p := &play{
		t: t, r: dice(t, seed), rolls: seed%2 == 0, now: time.Unix(1_800_000_000, 0), terms: make(symbols),
		salts: make(map[string]int), seen: make(map[string]int),
	}
	p.draw = drawFrom(p.r)
	p.network = [32]byte(p.draw(32))
	p.people = [2]*plainPerson{newPlainPerson(p.draw), newPlainPerson(p.draw)}
	for session := range p.seats {
		a, b := idealPair(p.terms, session, func() time.Time { return p.now })
		alice, bob := p.people[session], p.people[1-session]
		initiated, err := Initiate(p.network, alice.identity(), bob.record())
		if err != nil {
			t.Fatal(err)
		}
		p.seats[session] = [2]*seat{
			{who: session, real: initiated, ideal: a},
			{who: 1 - session, ideal: b, saves: []save{{ideal: b.clone()}}},
		}
	}
	return p
}

// step does one thing.
func (p *play) step() {
	s := p.seats[p.r.IntN(2)][p.r.IntN(2)]
	switch pick := p.r.IntN(1000); {
	case pick < 300:
		p.seal(s)
	case pick < 306:
		p.burst(s)
	case pick < 308:
		p.flight = nil
	case pick < 320:
		for range len(p.flight) {
			p.deliver()
		}
	case pick < 800:
		p.deliver()
	case pick < 860 && len(p.frames) > 0:
		p.arrive(p.some()) // again, mostly
	case pick < 900 && len(p.frames) > 0:
		p.forge(p.some())
	case pick < 930 && len(p.frames) > 0:
		f := p.some()
		p.elsewhere(s, f)
	case pick < 960 && s.real != nil:
		s.saves = append(s.saves, s.save())
	case pick < 964 && p.rolls:
		p.forget(s)
	case pick < 970 && p.rolls:
		p.rollBack(s)
	case pick < 990:
		p.now = p.now.Add(time.Duration(p.r.IntN(3*3600)) * time.Second)
	case pick < 993:
		p.now = p.now.Add(time.Duration(p.r.IntN(7*24*3600)) * time.Second)
	}
}

func (p *play) peer(s *seat) *seat {
	both := &p.seats[s.ideal.sends.session]
	if both[0] == s {
		return both[1]
	}
	return both[0]
}

// some is any frame, the later ones likelier.
func (p *play) some() *idealFrame {
	n := len(p.frames)
	if p.r.IntN(2) == 0 {
		return p.frames[max(0, n-1-p.r.IntN(40))]
	}
	return p.frames[p.r.IntN(n)]
}

func (p *play) seal(s *seat) {
	if s.real == nil {
		return
	}
	f := s.ideal.seal()
	f.id, f.body = len(p.frames), p.draw(BodySize)
	var err error
	if f.bytes, err = s.real.Seal(f.body); err != nil {
		p.t.Fatal(err)
	}
	if len(f.bytes) != FrameSize {
		p.t.Fatalf("a frame of %d bytes", len(f.bytes))
	}
	salt := f.bytes[:32]
	if f.hello {
		salt = f.bytes[1264:1296]
	}
	p.once(fmt.Sprintf("body %d %d %x", f.ck, f.n, salt), f.id)
	p.once(fmt.Sprintf("header %d %x", f.hk, salt[:12]), f.id)
	p.frames, p.flight = append(p.frames, &f), append(p.flight, &f)
}

// once wants a key used with a nonce for a single frame.
func (p *play) once(use string, id int) {
	if other, ok := p.salts[use]; ok {
		p.t.Fatalf("frames %d and %d are sealed with one key and one nonce", other, id)
	}
	p.salts[use] = id
}

// deliver takes a frame that is under way, mostly the oldest, and may lose it.
func (p *play) deliver() {
	if len(p.flight) == 0 {
		return
	}
	i := 0
	if p.r.IntN(3) == 0 {
		i = p.r.IntN(len(p.flight))
	}
	f := p.flight[i]
	p.flight = slices.Delete(p.flight, i, i+1)
	if p.r.IntN(8) > 0 {
		p.arrive(f)
	}
}

// arrive hands a frame to whom it was sent, and holds the real side to the model.
func (p *play) arrive(f *idealFrame) {
	s := p.seats[f.session][0]
	if f.toB {
		s = p.seats[f.session][1]
	}
	want := s.ideal.open(f)
	before := s.stored()
	body, err := p.hear(s, f.bytes)
	switch {
	case !want.allows(err):
		p.t.Fatalf("frame %d, number %d of its chain: got %v, the model says: %s", f.id, f.n, err, want.why)
	case err == nil && !bytes.Equal(body, f.body):
		p.t.Fatalf("frame %d says something else", f.id)
	case err != nil:
		p.unchanged(s, before)
	}
	p.seen[want.why]++
}

// hear is what a node does with a frame for this session.
func (p *play) hear(s *seat, frame []byte) ([]byte, error) {
	if s.real != nil {
		return s.real.Open(frame, p.now)
	}
	me := p.people[s.who]
	hello, err := OpenHello(p.network, me.identity(), me.prekeys(), frame)
	if err != nil {
		return nil, err
	}
	session, body, err := hello.Accept(p.now)
	if err == nil {
		s.real = session
	}
	return body, err
}

func (s *seat) stored() []byte {
	if s.real == nil {
		return nil
	}
	return s.real.Append(nil)
}

func (p *play) unchanged(s *seat, before []byte) {
	if !bytes.Equal(s.stored(), before) {
		p.t.Fatal("a frame that was refused changed the state")
	}
}

// TestModel plays: every day the same, so that nothing that is to come about is left
// to chance, and something new each time that counts are full.
func TestModel(t *testing.T) {
	first := uint64(count(0, rand.Int()))
	seen, messages, chains := make(map[string]int), 0, 0
	for seed := range uint64(count(12, 400)) {
		t.Logf("seed %d", first+seed)
		p := newPlay(t, first+seed)
		for range 600 {
			p.step()
		}
		for _, f := range p.flight {
			p.arrive(f)
		}
		for what, n := range p.seen {
			seen[what] += n
		}
		messages += len(p.frames)
		for _, s := range p.seats {
			chains = max(chains, len(s[0].ideal.received))
		}
	}
	t.Logf("%d messages, up to %d chains: %v", messages, chains, seen)
	for _, why := range reasons() {
		if seen[why] == 0 {
			t.Errorf("nothing came about for the reason %q", why)
		}
	}
	if chains <= remembered+2 {
		t.Errorf("no conversation took more than %d turns", chains)
	}
}
