package vault

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"testing"

	"golang.org/x/crypto/blake2b"
)

// A second Argon2id, slow and plain, written from RFC 9106: the library's has no way
// to take the secret and the associated data that the RFC's own test vector has.

type plainArgon2 struct {
	passes, memory, lanes uint32
	password, salt        []byte
	secret, data          []byte
}

type plainBlock [128]uint64

// plainHash is the variable-length hash H' (section 3.3).
func plainHash(n int, parts ...[]byte) []byte {
	sum := func(n int, in []byte) []byte {
		h, err := blake2b.New(n, nil)
		if err != nil {
			panic(err)
		}
		h.Write(in)
		return h.Sum(nil)
	}
	in := bytes.Join(append([][]byte{plainLE32(uint32(n))}, parts...), nil)
	if n <= 64 {
		return sum(n, in)
	}
	v := sum(64, in)
	out := v[:32:32]
	for n-len(out) > 64 {
		v = sum(64, v)
		out = append(out, v[:32]...)
	}
	return append(out, sum(n-len(out), v)...)
}

func plainLE32(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func plainRead(b []byte) *plainBlock {
	var block plainBlock
	for i := range block {
		block[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return &block
}

// plainG is the compression function G (section 3.5).
func plainG(x, y *plainBlock) *plainBlock {
	var r, q plainBlock
	for i := range r {
		r[i] = x[i] ^ y[i]
	}
	q = r
	for row := range 8 {
		plainP(&q, func(i int) int { return 16*row + i })
	}
	for column := range 8 {
		plainP(&q, func(i int) int { return 16*(i/2) + 2*column + i%2 })
	}
	for i := range q {
		q[i] ^= r[i]
	}
	return &q
}

// plainP is the permutation P (section 3.6) of sixteen words of a block.
func plainP(b *plainBlock, at func(int) int) {
	gb := func(i, j, k, l int) {
		a, b, c, d := &b[at(i)], &b[at(j)], &b[at(k)], &b[at(l)]
		mix := func(x *uint64, y, z *uint64, turn int) {
			*x += *y + 2*uint64(uint32(*x))*uint64(uint32(*y))
			*z = bits.RotateLeft64(*z^*x, -turn)
		}
		mix(a, b, d, 32)
		mix(c, d, b, 24)
		mix(a, b, d, 16)
		mix(c, d, b, 63)
	}
	for i := range 4 {
		gb(i, 4+i, 8+i, 12+i)
	}
	for i := range 4 {
		gb(i, 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4)
	}
}

// hash is section 3.2, for a tag of 32 bytes.
func (p *plainArgon2) hash() []byte {
	h0, err := blake2b.New512(nil)
	if err != nil {
		panic(err)
	}
	for _, n := range []uint32{p.lanes, 32, p.memory, p.passes, 0x13, 2} {
		h0.Write(plainLE32(n))
	}
	for _, s := range [][]byte{p.password, p.salt, p.secret, p.data} {
		h0.Write(plainLE32(uint32(len(s))))
		h0.Write(s)
	}
	seed := h0.Sum(nil)
	segment := p.memory / (4 * p.lanes)
	b := make([][]*plainBlock, p.lanes)
	for lane := range b {
		b[lane] = make([]*plainBlock, 4*segment)
		for i := range uint32(2) {
			b[lane][i] = plainRead(plainHash(1024, seed, plainLE32(i), plainLE32(uint32(lane))))
		}
	}
	for pass := range p.passes {
		for slice := range uint32(4) {
			for lane := range p.lanes {
				p.segment(b, pass, slice, lane, segment)
			}
		}
	}
	last := *b[0][4*segment-1]
	for _, lane := range b[1:] {
		for i := range last {
			last[i] ^= lane[4*segment-1][i]
		}
	}
	var c []byte
	for _, word := range last {
		c = binary.LittleEndian.AppendUint64(c, word)
	}
	return plainHash(32, c)
}

// segment fills one (sections 3.4.1 and 3.4.2).
func (p *plainArgon2) segment(b [][]*plainBlock, pass, slice, lane, size uint32) {
	q := 4 * size
	var addresses *plainBlock
	for i := range size {
		column := slice*size + i
		independent := pass == 0 && slice < 2
		if independent && i%128 == 0 {
			z := &plainBlock{uint64(pass), uint64(lane), uint64(slice), uint64(q * p.lanes), uint64(p.passes), 2, uint64(i/128 + 1)}
			addresses = plainG(new(plainBlock), plainG(new(plainBlock), z))
		}
		if pass == 0 && column < 2 {
			continue
		}
		previous := b[lane][(column+q-1)%q]
		j := previous[0]
		if independent {
			j = addresses[i%128]
		}
		from := uint32(j>>32) % p.lanes
		if pass == 0 && slice == 0 {
			from = lane
		}
		choice, start := slice*size, uint32(0)
		if pass > 0 {
			choice, start = q-size, (slice+1)%4*size
		}
		switch {
		case from == lane:
			choice += i - 1
		case i == 0:
			choice--
		}
		j1 := uint64(uint32(j))
		z := uint64(choice) - 1 - uint64(choice)*(j1*j1>>32)>>32
		block := plainG(previous, b[from][(uint64(start)+z)%uint64(q)])
		if pass > 0 {
			for w := range block {
				block[w] ^= b[lane][column][w]
			}
		}
		b[lane][column] = block
	}
}

// TestArgon2id holds the plain Argon2id against RFC 9106, section 5.3, and what a vault
// makes of a passphrase against the plain Argon2id.
func TestArgon2id(t *testing.T) {
	plain := plainArgon2{
		passes: 3, memory: 32, lanes: 4,
		password: bytes.Repeat([]byte{1}, 32), salt: bytes.Repeat([]byte{2}, 16),
		secret: bytes.Repeat([]byte{3}, 8), data: bytes.Repeat([]byte{4}, 12),
	}
	if got := hex.EncodeToString(plain.hash()); got != "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659" {
		t.Errorf("the tag of RFC 9106 is %s", got)
	}
	plain = plainArgon2{passes: 3, memory: 64 << 10, lanes: 1, password: []byte("correct horse"), salt: bytes.Repeat([]byte{5}, 16)}
	if got := passphraseKey(plain.password, plain.salt); !bytes.Equal(got, plain.hash()) {
		t.Errorf("the vault makes %x of a passphrase", got)
	}
}
