package ratchet

import (
	"slices"
	"time"
)

// ID is T, the hash of all that went into a session's handshake. Both sides know it,
// and nobody else.
type ID [32]byte

// Session is one side of a session. It is not safe for concurrent use.
//
// What a state no longer needs is overwritten. Keys that pass through the standard library,
// the KEM's among them, cannot be: they are dropped.
type Session struct {
	id        ID
	peer      [32]byte // Ed25519
	initiator bool     // this side is A
	root      [32]byte // RK
	out       sender
	in        receiver
}

// sender is the sending half.
type sender struct {
	due      bool     // the next message begins a chain, and there is none before it
	next     [32]byte // NHKs
	n        uint32   // Ns; with due, of the chain that was
	previous uint32   // PN

	// The chain, zero when due.
	header [32]byte // HKs
	key    [32]byte // CKs
	secret [32]byte // DHs
	public [32]byte
	slot   []byte   // what the slot of each header carries: nil, encapsulation key or ciphertext
	seed   [64]byte // of the decapsulation key to the encapsulation key

	prefix []byte // of the hellos, until they are answered
}

// receiver is the receiving half.
type receiver struct {
	next    [32]byte  // NHKr
	key     [32]byte  // CKr
	chains  []chain   // the last is the current one; see forget
	skipped []skipped // in the order of chain and number
	opened  []opened  // the last of them, oldest first
	offered []byte    // at B: the encapsulation key for the chain that is due
	prefix  [32]byte  // at B: the hash of what every hello begins with
}

// chain is a receiving chain, counted from 1.
type chain struct {
	number  uint32
	header  [32]byte // HKr
	ratchet [32]byte // DHr
	end     uint32   // the numbers below it were used or skipped: Nr, in the current chain
}

// skipped is the key of a message that has not come.
type skipped struct {
	chain, n uint32
	since    int64 // unix seconds
	key      [32]byte
}

// opened tells which frame used a number.
type opened struct {
	chain, n uint32
	tag      [tagSize]byte // see parts.tag
}

const tagSize = 8

// ID names the session, at both sides alike.
func (s *Session) ID() ID { return s.id }

// Peer returns the Ed25519 key of the other side.
func (s *Session) Peer() [32]byte { return s.peer }

// Answered tells whether a message of the peer was opened. Until then the session's
// frames are hellos.
func (s *Session) Answered() bool { return s.in.count() > 0 }

// Established tells whether the peer has shown that it has opened a message of this side.
func (s *Session) Established() bool {
	if s.initiator {
		return s.in.count() > 0 // the first answers a hello
	}
	return s.in.count() > 1 // the first are hellos
}

// Clone returns a copy that shares no memory with s.
func (s *Session) Clone() *Session {
	c := *s
	c.out.slot = slices.Clone(s.out.slot)
	c.out.prefix = slices.Clone(s.out.prefix)
	c.in.chains = slices.Clone(s.in.chains)
	c.in.skipped = slices.Clone(s.in.skipped)
	c.in.opened = slices.Clone(s.in.opened)
	c.in.offered = slices.Clone(s.in.offered)
	return &c
}

// Wipe overwrites the session, which must not be used any more.
func (s *Session) Wipe() {
	clear(s.in.chains)
	clear(s.in.skipped)
	clear(s.in.opened)
	*s = Session{}
}

// Expire drops the keys of messages that have been missing for longer than [SkippedLife], and
// tells whether there were any. Open does so, too: Expire is for sessions in which nothing comes.
func (s *Session) Expire(now time.Time) bool { return s.in.expire(now.Unix()) }

// count is how many receiving chains there were.
func (r *receiver) count() uint32 {
	if len(r.chains) == 0 {
		return 0
	}
	return r.chains[len(r.chains)-1].number
}

// chain is the number of the sending chain, from 1, where there is one. Each side waits for
// the other's answer to a chain before it begins the next.
func (s *Session) chain() uint32 {
	if s.initiator {
		return s.in.count() + 1
	}
	return s.in.count()
}

// beginSending takes over a new sending chain.
func (s *Session) beginSending(t *turn, secret, public *[32]byte) {
	o := &s.out
	s.root, o.key = t.root, t.chain
	o.header, o.next = o.next, t.nextHeader
	o.previous, o.n = o.n, 0
	o.secret, o.public = *secret, *public
	o.due = false
}

// beginReceiving takes over a new receiving chain, and lets go of all that the sending
// chain before it needed: the next message that is sealed begins another.
func (s *Session) beginReceiving(t *turn, ratchet *[32]byte) {
	i, o := &s.in, &s.out
	i.chains = appendWiping(i.chains, chain{number: i.count() + 1, header: i.next, ratchet: *ratchet})
	s.root, i.key, i.next = t.root, t.chain, t.nextHeader
	*o = sender{due: true, next: o.next, n: o.n}
}
