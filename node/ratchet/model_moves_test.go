package ratchet

import "bytes"

// burst seals about as many messages as may be missing. Then it delivers the last one
// first; or it loses all but the first, and both sides go on.
func (p *play) burst(s *seat) {
	first := len(p.frames)
	for range MaxSkip - 1 + p.r.IntN(5) {
		p.seal(s)
	}
	if first == len(p.frames) {
		return
	}
	if p.r.IntN(2) == 0 {
		p.arrive(p.take())
		return
	}
	p.flight = p.flight[:len(p.flight)-(len(p.frames)-first)]
	p.arrive(p.frames[first])
	for _, side := range []*seat{p.peer(s), s} {
		if p.seal(side); len(p.flight) > 0 {
			p.arrive(p.take())
		}
	}
}

// take takes the frame that was sent last.
func (p *play) take() *idealFrame {
	last := len(p.flight) - 1
	f := p.flight[last]
	p.flight = p.flight[:last]
	return f
}

// forget rolls a side back to before it began a chain, which the other answers.
func (p *play) forget(s *seat) {
	if s.real == nil || !s.ideal.due {
		return
	}
	s.saves = append(s.saves, s.save())
	p.seal(s)
	p.arrive(p.take())
	peer := p.peer(s)
	p.seal(peer)
	p.restore(s, s.saves[len(s.saves)-1])
	if peer.real != nil {
		p.arrive(p.take())
	}
}

// forge delivers what nobody sealed, made from what somebody did.
func (p *play) forge(f *idealFrame) {
	s := p.seats[f.session][0]
	if f.toB {
		s = p.seats[f.session][1]
	}
	forged, other := bytes.Clone(f.bytes), p.some().bytes
	switch p.r.IntN(6) {
	case 0, 1:
		forged[p.r.IntN(FrameSize)] ^= 1 << p.r.IntN(8)
	case 2: // another's end
		at := []int{32, 1120, 1264, 1296, 1353, FrameSize - 16}[p.r.IntN(6)]
		copy(forged[at:], other[at:])
	case 3: // a piece of another
		at := p.r.IntN(FrameSize)
		copy(forged[at:at+p.r.IntN(FrameSize-at)], other[at:])
	case 4:
		copy(forged[p.r.IntN(FrameSize):], p.draw(FrameSize))
	case 5:
		forged = append(forged, 0)[:p.r.IntN(FrameSize+2)]
	}
	for _, sealed := range p.frames {
		if bytes.Equal(sealed.bytes, forged) {
			return // it is one that somebody sealed after all
		}
	}
	p.refuse(s, forged)
}

// elsewhere delivers a frame to one whom it was not sent to.
func (p *play) elsewhere(s *seat, f *idealFrame) {
	if s.ideal.sends.session == f.session && s.ideal.isA != f.toB {
		return
	}
	p.refuse(s, f.bytes)
}

func (p *play) refuse(s *seat, frame []byte) {
	before := s.stored()
	if _, err := p.hear(s, frame); err == nil {
		p.t.Fatal("a frame that nobody sealed for this side opens")
	}
	p.unchanged(s, before)
}

// rollBack gives a side an earlier state back.
func (p *play) rollBack(s *seat) {
	if len(s.saves) == 0 {
		return
	}
	p.restore(s, s.saves[max(p.r.IntN(len(s.saves)), p.r.IntN(len(s.saves)))])
}

func (p *play) restore(s *seat, saved save) {
	s.ideal, s.real = saved.ideal.clone(), nil
	if saved.state == nil {
		return
	}
	var err error
	if s.real, err = Parse(saved.state); err != nil {
		p.t.Fatal(err)
	}
	if !bytes.Equal(s.real.Append(nil), saved.state) {
		p.t.Fatal("a state is stored otherwise than it was read")
	}
	if !bytes.Equal(saved.clone.Append(nil), saved.state) {
		p.t.Fatal("a clone changed with the session that it was made of")
	}
}
