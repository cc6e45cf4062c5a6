package ratchet

import (
	"crypto/mlkem"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// A stored session, all of it secret, is
//
//	offset  size  field
//	0       1     version, 1
//	1       1     flags: 1 this side is A, 2 the next message begins a chain
//	2       32    T
//	34      32    Ed25519 key of the peer
//	66      32    RK
//	98      32    NHKs
//	130     32    NHKr
//	162     32    CKr, zero before the first chain
//	194     32    SHA-256 of the first 1264 bytes of every hello; zero at A
//	226     4     Ns
//	230     2     number c of receiving chains, at most 265
//	232     2     number k of keys of missing messages, at most 256
//	234     2     number f of frames, at most 64
//	236     72c   chains: number (4), HKr (32), DHr (32), end (4)
//	        48k   keys: chain (4), N (4), unix seconds (8), MK (32)
//	        16f   frames: chain (4), N (4), tag (8)
//
// and after that what the flags and the number of the newest chain call for: if the next message
// begins a chain, and it was not the first,
//
//	1184  at B: the encapsulation key that A offered
//
// and otherwise the sending chain
//
//	4     PN
//	128   HKs, CKs, DHs, public key of DHs (32 each)
//	1264  A's first: the first bytes of every hello
//	1248  A's others: encapsulation key (1184), seed of its decapsulation key (64)
//	1088  B's but the first: ciphertext
//
// Integers are big endian. Chains are in the order of their numbers, from 1; the last nine are all
// there, others only with keys. Keys are in the order of chain and N.
const (
	stateVersion = 1

	flagInitiator = 1
	flagDue       = 2

	fixedSize   = 236
	chainSize   = 72
	skippedSize = 48
	openedSize  = 16
)

var errState = errors.New("the stored session is damaged")

// Append appends the stored state, see above, to dst.
func (s *Session) Append(dst []byte) []byte {
	o, r := &s.out, &s.in
	dst = slices.Grow(dst, s.size()) // all at once, so that no copy is left behind by growing
	var flags byte
	if s.initiator {
		flags |= flagInitiator
	}
	if o.due {
		flags |= flagDue
	}
	dst = append(dst, stateVersion, flags)
	for _, b := range [...]*[32]byte{(*[32]byte)(&s.id), &s.peer, &s.root, &o.next, &r.next, &r.key, &r.prefix} {
		dst = append(dst, b[:]...)
	}
	dst = binary.BigEndian.AppendUint32(dst, o.n)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.chains)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.skipped)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.opened)))
	for i := range r.chains {
		c := &r.chains[i]
		dst = binary.BigEndian.AppendUint32(dst, c.number)
		dst = append(append(dst, c.header[:]...), c.ratchet[:]...)
		dst = binary.BigEndian.AppendUint32(dst, c.end)
	}
	for i := range r.skipped {
		k := &r.skipped[i]
		dst = binary.BigEndian.AppendUint32(dst, k.chain)
		dst = binary.BigEndian.AppendUint32(dst, k.n)
		dst = binary.BigEndian.AppendUint64(dst, uint64(k.since))
		dst = append(dst, k.key[:]...)
	}
	for i := range r.opened {
		f := &r.opened[i]
		dst = binary.BigEndian.AppendUint32(dst, f.chain)
		dst = binary.BigEndian.AppendUint32(dst, f.n)
		dst = append(dst, f.tag[:]...)
	}
	if o.due {
		return append(dst, r.offered...)
	}
	return o.append(dst, slotKind(s.initiator, s.chain()))
}

// size is how many bytes Append writes.
func (s *Session) size() int {
	o, r := &s.out, &s.in
	n := fixedSize + chainSize*len(r.chains) + skippedSize*len(r.skipped) + openedSize*len(r.opened)
	if o.due {
		return n + len(r.offered)
	}
	n += 4 + 4*32 + len(o.prefix) + len(o.slot)
	if slotKind(s.initiator, s.chain()) == slotKey {
		n += len(o.seed)
	}
	return n
}

// append appends the sending chain.
func (o *sender) append(dst []byte, kind byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, o.previous)
	for _, key := range [...]*[32]byte{&o.header, &o.key, &o.secret, &o.public} {
		dst = append(dst, key[:]...)
	}
	dst = append(append(dst, o.prefix...), o.slot...)
	if kind == slotKey {
		dst = append(dst, o.seed[:]...)
	}
	return dst
}

// Parse reads what Append has written. The result shares no memory with b.
func Parse(b []byte) (*Session, error) {
	if len(b) > 0 && b[0] > stateVersion {
		return nil, fmt.Errorf("the stored session is of version %d: a newer program made it", b[0])
	}
	var (
		s              = new(Session)
		in             = cryptobyte.String(b)
		version, flags uint8
		chains, keys   uint16
		frames         uint16
	)
	o, r := &s.out, &s.in
	if !in.ReadUint8(&version) || version != stateVersion || !in.ReadUint8(&flags) || flags > flagInitiator|flagDue {
		return nil, errState
	}
	s.initiator, o.due = flags&flagInitiator != 0, flags&flagDue != 0
	for _, b := range [...]*[32]byte{(*[32]byte)(&s.id), &s.peer, &s.root, &o.next, &r.next, &r.key, &r.prefix} {
		if !in.CopyBytes(b[:]) {
			return nil, errState
		}
	}
	if !in.ReadUint32(&o.n) || !in.ReadUint16(&chains) || !in.ReadUint16(&keys) || !in.ReadUint16(&frames) ||
		!r.parse(&in, int(chains), int(keys), int(frames)) || !s.consistent() || !s.parseChain(&in) || !in.Empty() {
		s.Wipe()
		return nil, errState
	}
	return s, nil
}

// parse reads the three tables, as long as they are what Append may write.
func (r *receiver) parse(in *cryptobyte.String, chains, keys, frames int) bool {
	if chains > rememberedChains+1+MaxSkip || keys > MaxSkip || frames > rememberedFrames {
		return false
	}
	r.chains, r.skipped, r.opened = make([]chain, chains), make([]skipped, keys), make([]opened, frames)
	for i := range r.chains {
		c := &r.chains[i]
		if !in.ReadUint32(&c.number) || !in.CopyBytes(c.header[:]) || !in.CopyBytes(c.ratchet[:]) || !in.ReadUint32(&c.end) {
			return false
		}
	}
	for i := range r.skipped {
		k := &r.skipped[i]
		var since uint64
		if !in.ReadUint32(&k.chain) || !in.ReadUint32(&k.n) || !in.ReadUint64(&since) || !in.CopyBytes(k.key[:]) {
			return false
		}
		if k.since = int64(since); k.since < 0 {
			return false
		}
	}
	for i := range r.opened {
		f := &r.opened[i]
		if !in.ReadUint32(&f.chain) || !in.ReadUint32(&f.n) || !in.CopyBytes(f.tag[:]) {
			return false
		}
	}
	return true
}

// consistent tells whether the tables and the flags fit each other.
func (s *Session) consistent() bool {
	r, count := &s.in, s.in.count()
	if count == 0 {
		// A before the first answer: B has none of this.
		return s.initiator && !s.out.due && len(r.chains)+len(r.skipped)+len(r.opened) == 0 &&
			r.key == [32]byte{} && r.prefix == [32]byte{}
	}
	if s.initiator && r.prefix != [32]byte{} {
		return false
	}
	missing := r.skipped
	for i := range r.chains {
		c := &r.chains[i]
		if c.number == 0 || c.end == 0 || i > 0 && c.number <= r.chains[i-1].number {
			return false
		}
		before := len(missing)
		for last := int64(-1); len(missing) > 0 && missing[0].chain == c.number; missing = missing[1:] {
			if int64(missing[0].n) <= last || missing[0].n >= c.end {
				return false
			}
			last = int64(missing[0].n)
		}
		if len(missing) == before && count-c.number > rememberedChains {
			return false
		}
	}
	// The last ones are all there.
	recent := min(int(count), rememberedChains+1)
	if len(missing) > 0 || len(r.chains) < recent || count-r.chains[len(r.chains)-recent].number != uint32(recent-1) {
		return false
	}
	for i := range r.opened {
		if !r.mayHaveOpened(i) {
			return false
		}
	}
	return true
}

// mayHaveOpened tells whether the i-th frame fits the chains, the keys and the frames before it.
func (r *receiver) mayHaveOpened(i int) bool {
	f := &r.opened[i]
	same := func(o opened) bool { return o.chain == f.chain && o.n == f.n }
	return !slices.ContainsFunc(r.opened[:i], same) && r.find(f.chain, f.n) < 0 &&
		slices.ContainsFunc(r.chains, func(c chain) bool { return c.number == f.chain && f.n < c.end })
}

// parseChain reads what follows the tables.
func (s *Session) parseChain(in *cryptobyte.String) bool {
	o := &s.out
	if o.due {
		if s.initiator || s.in.count() == 1 {
			return true
		}
		s.in.offered = make([]byte, mlkem.EncapsulationKeySize768)
		return in.CopyBytes(s.in.offered)
	}
	if !in.ReadUint32(&o.previous) {
		return false
	}
	for _, key := range [...]*[32]byte{&o.header, &o.key, &o.secret, &o.public} {
		if !in.CopyBytes(key[:]) {
			return false
		}
	}
	if !s.Answered() {
		o.prefix = make([]byte, prefixSize)
		return in.CopyBytes(o.prefix)
	}
	kind := slotKind(s.initiator, s.chain())
	if kind == slotEmpty {
		return true
	}
	o.slot = make([]byte, slotLength(kind))
	return in.CopyBytes(o.slot) && (kind != slotKey || in.CopyBytes(o.seed[:]))
}
