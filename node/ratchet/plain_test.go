package ratchet

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"encoding/binary"
	"fmt"
)

// The plain_ files hold a second implementation of the conversation, written from
// doc.go and sharing no code with the first: numbers for offsets, slices for
// everything, every key kept for ever, HKDF by hand, Elligator 2 in big integers.
// All that it draws comes from one function, so that a seed repeats it.

// plainPerson is somebody's long-term keys, and one generation of prekeys.
type plainPerson struct {
	sign      ed25519.PrivateKey
	agreement *ecdh.PrivateKey
	prekey    *ecdh.PrivateKey
	kem       *mlkem.DecapsulationKey768
}

func newPlainPerson(draw func(int) []byte) *plainPerson {
	return &plainPerson{ed25519.NewKeyFromSeed(draw(32)), plainX25519(draw(32)), plainX25519(draw(32)), plainKEM(draw(64))}
}

func (p *plainPerson) public() *plainPublic {
	return &plainPublic{
		p.sign.Public().(ed25519.PublicKey), p.agreement.PublicKey().Bytes(),
		p.prekey.PublicKey().Bytes(), p.kem.EncapsulationKey().Bytes(),
	}
}

type plainPublic struct{ ed, ik, spk, pqspk []byte }

// plain is one side of a session.
type plain struct {
	draw   func(int) []byte
	isA    bool
	shake  plainHandshake
	prefix []byte // of every hello: of A as sent, of B as first received

	rk       []byte
	ours     *ecdh.PrivateKey           // DHs
	decap    *mlkem.DecapsulationKey768 // A's, for the answer to the sending chain
	theirs   []byte                     // DHr
	theirKEM []byte                     // B's: A's encapsulation key in the chain last received

	due      bool // a sending chain is to begin with the next message
	sending  *plainChain
	nextHKs  []byte
	received []*plainChain // the last is the current one
	nextHKr  []byte
}

// plainChain is one sending or receiving chain.
type plainChain struct {
	hello     bool
	hk        []byte
	ratchet   []byte // public key
	pn        uint32
	kind      byte
	slot      []byte
	dh, ss    []byte
	rk, ck0   []byte // root and chain key as the chain began
	next      []byte // NHK of the same step
	ck        []byte // of the next message to derive
	keys      [][]byte
	n         uint32 // sending: messages sent
	private   *ecdh.PrivateKey
	decapsule *mlkem.DecapsulationKey768
}

// key returns MK number n, deriving what leads there.
func (c *plainChain) key(n uint32) []byte {
	for uint32(len(c.keys)) <= n {
		c.keys = append(c.keys, plainHMAC(c.ck, []byte{1}))
		c.ck = plainHMAC(c.ck, []byte{2})
	}
	return c.keys[n]
}

// root is ROOT: it replaces RK and begins a chain.
func (p *plain) root(c *plainChain, dh []byte) {
	keys := plainHKDF(p.rk, plainJoin(dh, c.ss), plainLabel("chatnt ratchet root 1"), 96)
	c.dh = dh
	p.rk, c.rk, c.ck0, c.ck, c.next = keys[0], keys[0], keys[1], keys[1], keys[2]
}

func (p *plain) begin(spk []byte) {
	p.rk, p.theirs, p.nextHKs, p.nextHKr, p.due = p.shake.SK, spk, p.shake.HKA, p.shake.NHKB, true
}

// turn begins a sending chain.
func (p *plain) turn(private *ecdh.PrivateKey, decap *mlkem.DecapsulationKey768, ss, ct []byte) {
	c := &plainChain{hello: p.isA && p.sending == nil, hk: p.nextHKs, private: private, decapsule: decap, ss: ss}
	if p.sending != nil {
		c.pn = p.sending.n
	}
	switch {
	case decap != nil:
		c.kind, c.slot = 1, decap.EncapsulationKey().Bytes()
	case ct != nil:
		c.kind, c.slot = 2, ct
	}
	p.ours, p.decap = private, decap
	c.ratchet = private.PublicKey().Bytes()
	p.root(c, plainDH(private, p.theirs))
	p.nextHKs, p.sending, p.due = c.next, c, false
}

// freshTurn is turn with keys drawn now.
func (p *plain) freshTurn() {
	private := plainX25519(p.draw(32))
	switch {
	case p.isA && p.sending != nil:
		p.turn(private, plainKEM(p.draw(64)), nil, nil)
	case !p.isA && p.theirKEM != nil:
		ss, ct := plainEncapsulate(p.theirKEM, p.draw(32))
		p.turn(private, nil, ss, ct)
	default:
		p.turn(private, nil, nil, nil)
	}
}

// header is the header of message n as it stands in the clear.
func (c *plainChain) header(n uint32) []byte {
	h := binary.BigEndian.AppendUint32(bytes.Clone(c.ratchet), c.pn)
	h = append(binary.BigEndian.AppendUint32(h, n), c.kind)
	if c.hello {
		return h
	}
	return plainJoin(h, c.slot, make([]byte, 1264-len(c.slot)))
}

// pack makes a frame of message n from any header of the right size.
func (p *plain) pack(c *plainChain, n uint32, salt, header, body []byte) []byte {
	sealed := plainSealAEAD(c.hk, salt[:12], header, plainJoin(plainLabel("chatnt ratchet header 1"), p.shake.T))
	keys := plainHKDF(salt, c.key(n), plainLabel("chatnt ratchet body 1"), 44)
	frame := plainJoin(salt, sealed, plainSealAEAD(keys[0], keys[1], body, plainJoin(p.shake.T, sealed)))
	if c.hello {
		frame = plainJoin(p.prefix, frame)
	}
	return frame
}

func (p *plain) seal(body []byte) []byte {
	if p.due {
		p.freshTurn()
	}
	c := p.sending
	frame := p.pack(c, c.n, p.draw(32), c.header(c.n), body)
	c.n++
	return frame
}

// plainOpened is what a frame said.
type plainOpened struct {
	chain      *plainChain
	n          uint32
	salt, body []byte
}

// open reads a frame, however often it came before.
func (p *plain) open(frame []byte) (*plainOpened, error) {
	hello := !p.isA && (len(p.received) == 0 || bytes.Equal(frame[:1264], p.prefix))
	rest, size := frame, 1321
	if hello {
		rest, size = frame[1264:], 57
	}
	salt, sealed, box := rest[:32], rest[32:32+size], rest[32+size:]
	data := plainJoin(plainLabel("chatnt ratchet header 1"), p.shake.T)
	for _, c := range p.received {
		if header := plainOpenAEAD(c.hk, salt[:12], sealed, data); header != nil && hello == c.hello {
			return p.body(c, header, salt, sealed, box)
		}
	}
	if header := plainOpenAEAD(p.nextHKr, salt[:12], sealed, data); header != nil && hello == (!p.isA && len(p.received) == 0) {
		return p.advance(header, salt, sealed, box)
	}
	return nil, fmt.Errorf("%w: no header key fits", errPlain)
}

// advance begins a receiving chain, and forgets it again if the body does not open.
func (p *plain) advance(header, salt, sealed, box []byte) (*plainOpened, error) {
	if p.due || p.isA && p.sending == nil {
		return nil, fmt.Errorf("%w: an answer to nothing", errPlain)
	}
	c := &plainChain{hello: len(header) == 41, hk: p.nextHKr, ratchet: header[:32], pn: binary.BigEndian.Uint32(header[32:36]), kind: header[40]}
	switch {
	case c.kind == 0:
		c.slot = nil
	case c.kind == 1 && !p.isA && !c.hello:
		c.slot = header[41 : 41+1184]
	case c.kind == 2 && p.isA && p.decap != nil:
		c.slot = header[41 : 41+1088]
		c.ss = plainDecapsulate(p.decap, c.slot)
	default:
		return nil, fmt.Errorf("%w: slot of kind %d", errPlain, c.kind)
	}
	if wanted := p.wants(c.hello); c.kind != wanted {
		return nil, fmt.Errorf("%w: slot of kind %d, not %d", errPlain, c.kind, wanted)
	}
	before := p.rk
	dh := plainDH(p.ours, c.ratchet)
	if dh == nil {
		return nil, fmt.Errorf("%w: a small point", errPlain)
	}
	p.root(c, dh)
	opened, err := p.body(c, header, salt, sealed, box)
	if err != nil {
		p.rk = before
		return nil, err
	}
	p.received, p.nextHKr = append(p.received, c), c.next
	p.theirs, p.due = c.ratchet, true
	if c.kind == 1 {
		p.theirKEM = c.slot
	}
	return opened, nil
}

// wants is the kind of slot that the next receiving chain has.
func (p *plain) wants(hello bool) byte {
	switch {
	case hello:
		return 0
	case !p.isA:
		return 1
	case p.decap == nil: // B's first chain answers A's first
		return 0
	default:
		return 2
	}
}

func (p *plain) body(c *plainChain, header, salt, sealed, box []byte) (*plainOpened, error) {
	n := binary.BigEndian.Uint32(header[36:40])
	if !bytes.Equal(header, c.header(n)) {
		return nil, fmt.Errorf("%w: another header in the same chain", errPlain)
	}
	if int64(n) > int64(len(c.keys))+256 {
		return nil, fmt.Errorf("%w: too far ahead", errPlain)
	}
	keys := plainHKDF(salt, c.key(n), plainLabel("chatnt ratchet body 1"), 44)
	body := plainOpenAEAD(keys[0], keys[1], box, plainJoin(p.shake.T, sealed))
	if body == nil {
		return nil, fmt.Errorf("%w: the body does not open", errPlain)
	}
	return &plainOpened{c, n, salt, body}, nil
}
