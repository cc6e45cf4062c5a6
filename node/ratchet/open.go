package ratchet

import (
	"crypto/mlkem"
	"crypto/sha256"
	"math"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// Open returns the body of a frame of the peer's, and moves the state on: keep the new state
// before anything is done that shows that the frame has come. Errors are the Err values
// of this package, and leave the state as it was. The frame is only read.
func (s *Session) Open(frame []byte, now time.Time) ([]byte, error) {
	i := s.recognise(frame)
	if i < 0 {
		return nil, ErrUnknown
	}
	r := &reading{parts: cut(frame, s.hello(i)), chain: s.number(i), now: max(0, now.Unix())}
	defer clear(r.plain[:])
	if !s.read(r, s.headerKey(i)) || s.hello(i) && sha256.Sum256(frame[:prefixSize]) != s.in.prefix {
		return nil, ErrForged
	}
	var (
		body []byte
		err  error
	)
	if i == len(s.in.chains) {
		body, err = s.openNext(r)
	} else {
		body, err = s.openIn(r, &s.in.chains[i])
	}
	if err != nil {
		return nil, err
	}
	s.in.remember(opened{r.chain, r.head.n, r.tag()})
	s.in.expire(r.now)
	return body, nil
}

// reading is a frame whose session and chain are known.
type reading struct {
	parts
	chain uint32 // the chain's number
	now   int64  // unix seconds
	plain [headerSize + slotSize]byte
	head  header // shares plain's memory
}

// read opens the header and takes it apart.
func (s *Session) read(r *reading, key *[32]byte) bool {
	plain := r.plain[:len(r.header)-chacha20poly1305.Overhead]
	return open(plain, key, r.salt[:chacha20poly1305.NonceSize], r.header, headerAD(&s.id)) &&
		r.head.read(plain, slotKind(!s.initiator, r.chain))
}

// openIn opens a frame of a chain that has begun.
func (s *Session) openIn(r *reading, c *chain) ([]byte, error) {
	current := c.number == s.in.count()
	switch {
	case r.head.ratchet != c.ratchet, r.head.n >= c.end && !current:
		return nil, ErrRolledBack
	case r.head.n < c.end:
		return s.openMissing(r)
	case r.head.n-c.end > MaxSkip || r.head.n == math.MaxUint32:
		return nil, ErrTooFar
	}
	key := s.in.key
	defer clear(key[:])
	keys := skip(&key, c.number, c.end, r.head.n, r.now)
	body := r.advance(&s.id, &key)
	if body == nil {
		clear(keys)
		return nil, ErrForged
	}
	s.in.key, c.end = key, r.head.n+1
	s.in.keep(keys)
	return body, nil
}

// advance opens the body with the next message key of a chain.
func (r *reading) advance(id *ID, key *[32]byte) []byte {
	var messageKey [32]byte
	defer clear(messageKey[:])
	step(key, &messageKey)
	return r.openBody(id, &messageKey)
}

// openMissing opens a frame behind the end of its chain.
func (s *Session) openMissing(r *reading) ([]byte, error) {
	i := s.in.find(r.chain, r.head.n)
	if i < 0 || expired(s.in.skipped[i].since, r.now) {
		return nil, s.in.used(opened{r.chain, r.head.n, r.tag()})
	}
	body := r.openBody(&s.id, &s.in.skipped[i].key)
	if body == nil {
		return nil, ErrForged
	}
	s.in.drop(i)
	return body, nil
}

// openNext opens a frame that begins a chain.
func (s *Session) openNext(r *reading) ([]byte, error) {
	if s.out.due {
		// The peer answers a chain that this side, in its present state, has yet to begin.
		return nil, ErrRolledBack
	}
	var end uint32 // of the chain before
	if len(s.in.chains) > 0 {
		end = s.in.chains[len(s.in.chains)-1].end
	} else if r.head.pn != 0 {
		return nil, ErrForged
	}
	if r.head.pn < end {
		return nil, ErrRolledBack // the peer has sent more in that chain than it remembers
	}
	if r.head.n > MaxSkip || r.head.pn > end && r.head.pn-end > MaxSkip || r.chain == math.MaxUint32 {
		return nil, ErrTooFar
	}
	offered, ss, ok := s.readSlot(&r.head)
	defer clear(ss)
	var (
		dh [32]byte
		t  turn
	)
	defer clear(dh[:])
	defer t.wipe()
	if !ok || !agree(&dh, &s.out.secret, &r.head.ratchet) {
		return nil, ErrForged
	}
	t.derive(&s.root, &dh, ss)
	keys := skip(&t.chain, r.chain, 0, r.head.n, r.now)
	body := r.advance(&s.id, &t.chain)
	if body == nil {
		clear(keys)
		return nil, ErrForged
	}

	if end < r.head.pn {
		s.in.keep(skip(&s.in.key, r.chain-1, end, r.head.pn, r.now))
		s.in.chains[len(s.in.chains)-1].end = r.head.pn
	}
	s.beginReceiving(&t, &r.head.ratchet)
	s.in.chains[len(s.in.chains)-1].end = r.head.n + 1
	s.in.keep(keys)
	s.in.offered = offered
	return body, nil
}

// readSlot gives what the slot of a chain's first header brings: an encapsulation key to
// keep, or the secret that the ciphertext in it hides. It is false if there is neither where
// one must be.
func (s *Session) readSlot(h *header) (offered, ss []byte, ok bool) {
	switch {
	case h.slot == nil:
		return nil, nil, true
	case s.initiator:
		key, err := mlkem.NewDecapsulationKey768(s.out.seed[:])
		if err != nil {
			return nil, nil, false
		}
		ss, err = key.Decapsulate(h.slot)
		return nil, ss, err == nil
	default:
		if _, err := mlkem.NewEncapsulationKey768(h.slot); err != nil {
			return nil, nil, false
		}
		return append([]byte(nil), h.slot...), nil, true
	}
}
