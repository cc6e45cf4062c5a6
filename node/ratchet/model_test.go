package ratchet

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The model_ files play two sessions against a model in which every key is a
// number, equal keys have equal numbers, and a box opens with the number that it
// was closed with. It says for every frame what becomes of it.

// symbols gives every term its number.
type symbols map[string]int

func (s symbols) of(name string, parts ...int) int {
	term := fmt.Sprint(name, parts)
	if _, ok := s[term]; !ok {
		s[term] = len(s) + 1
	}
	return s[term]
}

// fresh is a secret that nobody else has.
func (s symbols) fresh() int { return s.of("fresh", len(s)) }

// idealFrame is what a frame holds, and the frame itself.
type idealFrame struct {
	id, session int
	toB, hello  bool
	hk, ck      int // keys that its header and its chain have
	ratchet     int
	pn, n       uint32
	kind        byte
	slot        int

	bytes, body []byte
}

// idealChain is a receiving chain.
type idealChain struct {
	hk, ck int
	end    uint32 // once another has begun: what is below it was opened or skipped
}

// idealKept is a message key that was skipped.
type idealKept struct {
	ck int
	n  uint32
	at time.Time
}

// idealUse says which frame used up a number of a chain.
type idealUse struct {
	hk int
	n  uint32
}

// ideal is one side of a session in the model.
type ideal struct {
	terms symbols
	isA   bool

	rk           int
	ours, theirs int // ratchet keys; a pair and its public half have one number
	decap, encap int // A's key pair of this sending chain; A's key as B last had it
	due          bool

	sends   idealFrame // all but id, n, bytes and body of the next frame
	chains  int        // sending chains begun
	ns      uint32
	nextHKs int

	received []idealChain
	nr       uint32
	nextHKr  int
	kept     []idealKept      // oldest first
	used     map[idealUse]int // the frame that opened
	opened   []int            // frames in the order in which they opened
	clock    func() time.Time // the play's
}

// idealPair is a session just begun: B has not heard of it yet.
func idealPair(terms symbols, session int, clock func() time.Time) (a, b *ideal) {
	sk, hka, nhkb, spk := terms.fresh(), terms.fresh(), terms.fresh(), terms.fresh()
	a = &ideal{terms: terms, isA: true, rk: sk, theirs: spk, nextHKs: hka, nextHKr: nhkb, clock: clock}
	b = &ideal{terms: terms, rk: sk, ours: spk, nextHKs: nhkb, nextHKr: hka, clock: clock}
	for _, side := range []*ideal{a, b} {
		side.sends.session, side.sends.toB = session, side.isA
		side.used = make(map[idealUse]int)
	}
	a.begin() // its first chain is part of the handshake
	return a, b
}

func (i *ideal) clone() *ideal {
	c := *i
	c.received, c.kept, c.opened = slices.Clone(i.received), slices.Clone(i.kept), slices.Clone(i.opened)
	c.used = maps.Clone(i.used)
	return &c
}

func (i *ideal) dh(x, y int) int { return i.terms.of("dh", min(x, y), max(x, y)) }

// root returns RK, CK and NHK of a step from rk.
func (i *ideal) root(rk, dh, ss int) (newRK, ck, nhk int) {
	step := []int{rk, dh, ss}
	return i.terms.of("rk", step...), i.terms.of("ck", step...), i.terms.of("nhk", step...)
}

// seal is the next frame, but for its bytes.
func (i *ideal) seal() idealFrame {
	if i.due {
		i.begin()
	}
	f := i.sends
	f.n = i.ns
	i.ns++
	return f
}

func (i *ideal) begin() {
	f := &i.sends
	f.pn, f.hk, f.kind, f.slot = i.ns, i.nextHKs, 0, 0
	f.hello = i.isA && i.chains == 0
	i.ours = i.terms.fresh()
	f.ratchet = i.ours
	ss := 0
	switch {
	case i.isA && i.chains > 0:
		i.decap = i.terms.fresh()
		f.kind, f.slot = 1, i.decap
	case !i.isA && i.encap != 0:
		f.kind, f.slot = 2, i.terms.fresh()
		ss = i.terms.of("ss", i.encap, f.slot)
	}
	i.rk, f.ck, i.nextHKs = i.root(i.rk, i.dh(i.ours, i.theirs), ss)
	i.ns, i.due = 0, false
	i.chains++
}

// verdict is what becomes of a frame, and why: it opens, or it is refused with one of
// errs.
type verdict struct {
	why  string
	errs []error
}

func opens(why string) verdict { return verdict{why: why} }

func refused(why string, errs ...error) verdict { return verdict{why, errs} }

func (v verdict) allows(err error) bool {
	if v.errs == nil {
		return err == nil
	}
	return slices.ContainsFunc(v.errs, func(e error) bool { return errors.Is(err, e) })
}

// reasons are the whys that every run of the model has to come upon.
func reasons() []string {
	return []string{
		"no key", "long past", "another chain in its place", "past the end", "missing", "in order", "ahead", "too far",
		"again", "let go", "another in its place",
		"answers nothing", "too far in a new chain", "too much missing", "answers another", "first", "turn",
	}
}

// open takes a frame, unforged, and changes the state only when it opens.
func (i *ideal) open(f *idealFrame) verdict {
	i.expire()
	for depth, c := range slices.Backward(i.received) {
		if c.hk == f.hk {
			return i.known(f, c, len(i.received)-1-depth)
		}
	}
	if f.hk == i.nextHKr {
		return i.advance(f)
	}
	return refused("no key", ErrUnknown)
}

// known is a frame under a header key that was seen before, age chains ago. What the
// header says suffices to see a rollback: keys are only then not those of the chain
// when the peer began it twice.
func (i *ideal) known(f *idealFrame, c idealChain, age int) verdict {
	k := slices.IndexFunc(i.kept, func(k idealKept) bool { return k.ck == c.ck && k.n == f.n })
	switch {
	case k < 0 && age > remembered: // let go, now or with the next frame that opens
		return refused("long past", ErrUnknown, ErrDuplicate, ErrSpent, ErrRolledBack)
	case f.ck != c.ck:
		return refused("another chain in its place", ErrRolledBack)
	case age > 0 && f.n >= c.end:
		return refused("past the end", ErrRolledBack)
	case k >= 0:
		i.kept = slices.Delete(i.kept, k, k+1)
		return i.opens(f, "missing")
	case age > 0 || f.n < i.nr:
		return i.gone(f)
	case f.n-i.nr > MaxSkip:
		return refused("too far", ErrTooFar)
	case f.n > i.nr:
		i.skip(c.ck, f.n)
		i.nr++
		return i.opens(f, "ahead")
	}
	i.nr++
	return i.opens(f, "in order")
}

// remembered is how many receiving chains before the current one are
// recognised, and recalled how many frames.
const (
	remembered = 8
	recalled   = 64
)

// gone is a frame whose number has no key any more.
func (i *ideal) gone(f *idealFrame) verdict {
	by, used := i.used[idealUse{f.hk, f.n}]
	switch {
	case !used: // too many were missing, or for too long
		return refused("let go", ErrSpent)
	case by == f.id && slices.Contains(i.opened[max(0, len(i.opened)-recalled):], by):
		return refused("again", ErrDuplicate)
	case by == f.id:
		return refused("again, long ago", ErrDuplicate, ErrSpent)
	case slices.Contains(i.opened[max(0, len(i.opened)-recalled):], by):
		return refused("another in its place", ErrRolledBack)
	default:
		return refused("too long ago", ErrSpent, ErrRolledBack)
	}
}

func (i *ideal) advance(f *idealFrame) verdict {
	first := len(i.received) == 0
	var kind byte
	ss := 0
	switch {
	case !i.isA && !first:
		kind = 1
	case i.isA && i.decap != 0:
		kind, ss = 2, i.terms.of("ss", i.decap, f.slot)
	}
	rk, ck, nhk := i.root(i.rk, i.dh(i.ours, f.ratchet), ss)
	switch {
	case i.due: // an answer to what this side, rolled back, has yet to begin
		return refused("answers nothing", ErrRolledBack)
	case !first && f.pn < i.nr: // the peer, rolled back, knows of fewer than it has sent
		return refused("sent fewer", ErrRolledBack)
	case f.n > MaxSkip:
		return refused("too far in a new chain", ErrTooFar)
	case f.pn > i.nr+MaxSkip:
		return refused("too much missing", ErrTooFar)
	case ck != f.ck: // this side, rolled back, began its chain a second time
		return refused("answers another", ErrForged)
	}
	if !first {
		last := &i.received[len(i.received)-1]
		i.skip(last.ck, f.pn)
		last.end = i.nr
	}
	i.rk, i.nextHKr, i.theirs, i.due, i.nr = rk, nhk, f.ratchet, true, 0
	if kind == 1 {
		i.encap = f.slot
	}
	i.received = append(i.received, idealChain{hk: f.hk, ck: ck})
	i.skip(ck, f.n)
	i.nr++
	if first {
		return i.opens(f, "first")
	}
	return i.opens(f, "turn")
}

// skip keeps the keys of the current chain before number to.
func (i *ideal) skip(ck int, to uint32) {
	for ; i.nr < to; i.nr++ {
		i.kept = append(i.kept, idealKept{ck, i.nr, i.clock()})
	}
	i.kept = i.kept[max(0, len(i.kept)-MaxSkip):]
}

func (i *ideal) expire() {
	i.kept = slices.DeleteFunc(i.kept, func(k idealKept) bool { return i.clock().Sub(k.at) > SkippedLife })
}

func (i *ideal) opens(f *idealFrame, why string) verdict {
	i.used[idealUse{f.hk, f.n}] = f.id
	i.opened = append(i.opened, f.id)
	return opens(why)
}
