package ratchet

import (
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/poly1305" //nolint:staticcheck // low level on purpose: the one-time authenticator inside RFC 8439.
)

// Expects tells whether a frame is of the receiving chain, or begins the next. It is what
// [Session.Open] tries first, and leaves out the chains that went before: whoever holds
// many sessions asks all of them this before it opens the frame in any.
func (s *Session) Expects(frame []byte) bool {
	if len(frame) != FrameSize {
		return false
	}
	last := len(s.in.chains)
	return last > 0 && s.fits(frame, last-1) || s.fits(frame, last)
}

// Knows tells whether a frame is of any chain that the session remembers. Where Expects
// has said no, this finds what comes late, or again, or from a peer whose state is an older copy.
func (s *Session) Knows(frame []byte) bool { return s.recognise(frame) >= 0 }

// recognise finds the chain that a frame is of, and returns its index:
// len(s.in.chains) for the chain to come, -1 for none.
func (s *Session) recognise(frame []byte) int {
	if len(frame) != FrameSize {
		return -1
	}
	last := len(s.in.chains)
	if last > 0 && s.fits(frame, last-1) {
		return last - 1
	}
	if s.fits(frame, last) {
		return last
	}
	for i := last - 2; i >= 0; i-- {
		if s.fits(frame, i) {
			return i
		}
	}
	return -1
}

// fits tries the header key of the chain with an index.
func (s *Session) fits(frame []byte, i int) bool {
	p := cut(frame, s.hello(i))
	return p.authentic(s.headerKey(i), &s.id)
}

func (s *Session) headerKey(i int) *[32]byte {
	if i < len(s.in.chains) {
		return &s.in.chains[i].header
	}
	return &s.in.next
}

// number is that of the chain with an index.
func (s *Session) number(i int) uint32 {
	if i < len(s.in.chains) {
		return s.in.chains[i].number
	}
	return s.in.count() + 1
}

// hello tells whether the frames of the chain with an index are hellos: those of A's first.
func (s *Session) hello(i int) bool { return !s.initiator && s.number(i) == 1 }

// authentic tells whether a sealed header is of a header key, by its authenticator alone
// (RFC 8439, section 2.8). A frame whose session is not known is tried with the keys of all,
// and nearly all of them fail: this has no need of a plaintext to write, nor of a copy
// of the key on the heap. The header that fits is then opened as any other AEAD.
func (p *parts) authentic(key *[32]byte, id *ID) bool {
	const block = 16
	var (
		once  [32]byte
		ad    [(len(headerLabel) + len(id) + block - 1) / block * block]byte
		sizes [16]byte
		zero  [block]byte
	)
	defer clear(once[:])
	c, err := chacha20.NewUnauthenticatedCipher(key[:], p.salt[:chacha20poly1305.NonceSize])
	if err != nil {
		return false
	}
	c.XORKeyStream(once[:], once[:])
	mac := poly1305.New(&once)
	size := len(p.header) - chacha20poly1305.Overhead
	copy(ad[copy(ad[:], headerLabel):], id[:])
	binary.LittleEndian.PutUint64(sizes[:], uint64(len(headerLabel)+len(id)))
	binary.LittleEndian.PutUint64(sizes[8:], uint64(size))
	_, _ = mac.Write(ad[:])
	_, _ = mac.Write(p.header[:size])
	_, _ = mac.Write(zero[:(block-size%block)%block])
	_, _ = mac.Write(sizes[:])
	return mac.Verify(p.header[size:])
}
