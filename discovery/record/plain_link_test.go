package record

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"

	"chatnt/discovery/hashid"

	"golang.org/x/crypto/chacha20poly1305"
)

// A second implementation of unlisted records, from the words of LinkKey's
// documentation and RFC 8032, section 5.1, with plain integers. It is slow, and not
// made to keep secrets.

type plainCurve struct{ p, d, l *big.Int }

func newPlainCurve() plainCurve {
	one := big.NewInt(1)
	p := new(big.Int).Lsh(one, 255)
	p.Sub(p, big.NewInt(19))
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	l, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
	return plainCurve{p: p, d: d, l: l.Add(l, new(big.Int).Lsh(one, 252))}
}

// plainPoint is x and y, both below p.
type plainPoint struct{ x, y *big.Int }

func plainIdentity() plainPoint { return plainPoint{new(big.Int), big.NewInt(1)} }

func (a plainPoint) equal(b plainPoint) bool { return a.x.Cmp(b.x) == 0 && a.y.Cmp(b.y) == 0 }

func (c plainCurve) mul(factors ...*big.Int) *big.Int {
	product := big.NewInt(1)
	for _, f := range factors {
		product.Mul(product, f).Mod(product, c.p)
	}
	return product
}

func (c plainCurve) div(a, b *big.Int) *big.Int { return c.mul(a, new(big.Int).ModInverse(b, c.p)) }

// add is the affine addition law of -x^2 + y^2 = 1 + d x^2 y^2, which is complete.
func (c plainCurve) add(a, b plainPoint) plainPoint {
	one, cross := big.NewInt(1), c.mul(c.d, a.x, b.x, a.y, b.y)
	x := new(big.Int).Add(c.mul(a.x, b.y), c.mul(a.y, b.x))
	y := new(big.Int).Add(c.mul(a.y, b.y), c.mul(a.x, b.x))
	below := new(big.Int).Sub(one, cross)
	return plainPoint{
		c.div(x, new(big.Int).Add(one, cross)),
		c.div(y, below.Mod(below, c.p)),
	}
}

func (c plainCurve) times(k *big.Int, a plainPoint) plainPoint {
	sum := plainIdentity()
	for i := k.BitLen() - 1; i >= 0; i-- {
		if sum = c.add(sum, sum); k.Bit(i) == 1 {
			sum = c.add(sum, a)
		}
	}
	return sum
}

func (c plainCurve) base() plainPoint {
	b, _ := c.decode([32]byte(slices.Concat([]byte{0x58}, slices.Repeat([]byte{0x66}, 31))))
	return b
}

func littleEndian(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func toLittleEndian(n *big.Int) [32]byte {
	var b [32]byte
	n.FillBytes(b[:])
	slices.Reverse(b[:])
	return b
}

func (c plainCurve) encode(a plainPoint) [32]byte {
	b := toLittleEndian(a.y)
	b[31] |= byte(a.x.Bit(0)) << 7
	return b
}

// decode refuses what encode would not write.
func (c plainCurve) decode(b [32]byte) (plainPoint, bool) {
	sign := uint(b[31] >> 7)
	b[31] &= 0x7f
	y := littleEndian(b[:])
	if y.Cmp(c.p) >= 0 {
		return plainPoint{}, false
	}
	one := big.NewInt(1)
	u := new(big.Int).Sub(c.mul(y, y), one)
	v := new(big.Int).Add(c.mul(c.d, y, y), one)
	x := new(big.Int).ModSqrt(c.div(u.Mod(u, c.p), v), c.p)
	if x == nil || x.Sign() == 0 && sign == 1 {
		return plainPoint{}, false
	}
	if x.Bit(0) != sign {
		x.Sub(c.p, x)
	}
	return plainPoint{x, y}, true
}

// linkKey decodes what LinkKey.Check accepts.
func (c plainCurve) linkKey(b [32]byte) (plainPoint, bool) {
	a, ok := c.decode(b)
	return a, ok && !a.equal(plainIdentity()) && c.times(c.l, a).equal(plainIdentity())
}

func plainFactor(link LinkKey, network [32]byte, period uint64, copied byte) *big.Int {
	digest := sha512.Sum512(slices.Concat([]byte("chatnt link blinding\x00"), link[:], network[:],
		binary.BigEndian.AppendUint64(nil, period), []byte{copied}))
	return littleEndian(digest[:])
}

// plainBlind returns the blinded key of a place, from the link key alone.
func plainBlind(link LinkKey, network [32]byte, period uint64, copied byte) ([32]byte, bool) {
	c := newPlainCurve()
	a, ok := c.linkKey(link)
	if !ok {
		return [32]byte{}, false
	}
	h := plainFactor(link, network, period, copied)
	return c.encode(c.times(h.Mod(h, c.l), a)), true
}

// plainUnlisted makes an unlisted record, from the private half of the link key.
func plainUnlisted(seed, network [32]byte, copied byte, id hashid.ID, sequence, expires uint64, inner []byte) []byte {
	c := newPlainCurve()
	expanded := sha512.Sum512(seed[:])
	clamped := slices.Clone(expanded[:32])
	clamped[0] &= 248
	clamped[31] = clamped[31]&63 | 64
	a := littleEndian(clamped)
	link := LinkKey(c.encode(c.times(a, c.base())))
	scalar := plainFactor(link, network, expires/(14*24*60*60), copied)
	scalar.Mul(scalar, a).Mod(scalar, c.l)
	public := c.encode(c.times(scalar, c.base()))
	digest := sha512.Sum512(slices.Concat([]byte("chatnt blinded prefix\x00"), expanded[32:], public[:]))
	prefix := digest[:32]

	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(slices.Concat(parts...))
		return h.Sum(nil)
	}
	prk := mac(id[:], link[:]) // RFC 5869, section 2
	info := slices.Concat([]byte("chatnt unlisted sealing\x00"), public[:])
	first := mac(prk, info, []byte{1})
	second := mac(prk, first, info, []byte{2})

	record := slices.Concat([]byte{1}, public[:], binary.BigEndian.AppendUint64(nil, sequence), binary.BigEndian.AppendUint64(nil, expires))
	plaintext := slices.Concat(binary.BigEndian.AppendUint16(nil, uint16(len(inner))), inner, make([]byte, 2445-len(inner)))
	nonce := mac(first, record, plaintext)[:24]
	aead, _ := chacha20poly1305.NewX(second)
	record = slices.Concat(record, nonce, aead.Seal(nil, nonce, plaintext, record))

	message := slices.Concat([]byte("chatnt unlisted record\x00"), network[:], record)
	mod := func(parts ...[]byte) *big.Int {
		digest := sha512.Sum512(slices.Concat(parts...))
		n := littleEndian(digest[:])
		return n.Mod(n, c.l)
	}
	r := mod(prefix, message)
	commitment := c.encode(c.times(r, c.base()))
	k := mod(commitment[:], public[:], message)
	s := toLittleEndian(k.Mul(k, scalar).Add(k, r).Mod(k, c.l))
	return slices.Concat(record, commitment[:], s[:])
}

// torsion returns the eight points of small order: the multiples of one of order
// 8, which is l times a point outside the subgroup of prime order.
func (c plainCurve) torsion() []plainPoint {
	for y := byte(2); ; y++ {
		a, ok := c.decode([32]byte([]byte(string([]byte{y}) + strings.Repeat("\x00", 31))))
		if !ok {
			continue
		}
		t := c.times(c.l, a)
		if c.times(big.NewInt(4), t).equal(plainIdentity()) {
			continue
		}
		all := []plainPoint{plainIdentity()}
		for len(all) < 8 {
			all = append(all, c.add(all[len(all)-1], t))
		}
		return all
	}
}
