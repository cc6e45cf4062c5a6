package ratchet

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha256"
	"slices"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

func plainJoin(parts ...[]byte) []byte { return slices.Concat(parts...) }

// plainLabel ends a label in its zero byte.
func plainLabel(label string) []byte { return append([]byte(label), 0) }

// plainHMAC is RFC 2104 with SHA-256, for keys of at most a block.
func plainHMAC(key, message []byte) []byte {
	inner, outer := make([]byte, 64), make([]byte, 64)
	copy(inner, key)
	copy(outer, key)
	for i := range 64 {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	first := sha256.Sum256(plainJoin(inner, message))
	second := sha256.Sum256(plainJoin(outer, first[:]))
	return second[:]
}

// plainHKDF is RFC 5869, sections 2.2 and 2.3, cut into pieces of 32 bytes; what is
// left over is a piece of its own.
func plainHKDF(salt, secret, info []byte, n int) [][]byte {
	if len(salt) == 0 {
		salt = make([]byte, 32)
	}
	key := plainHMAC(salt, secret)
	var all, block []byte
	for i := byte(1); len(all) < n; i++ {
		block = plainHMAC(key, plainJoin(block, info, []byte{i}))
		all = append(all, block...)
	}
	return slices.Collect(slices.Chunk(all[:n], 32))
}

func plainSealAEAD(key, nonce, text, data []byte) []byte {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err)
	}
	return aead.Seal(nil, nonce, text, data)
}

// plainOpenAEAD returns nil when the box was made otherwise.
func plainOpenAEAD(key, nonce, box, data []byte) []byte {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err)
	}
	text, err := aead.Open(nil, nonce, box, data)
	if err != nil {
		return nil
	}
	return text
}

// plainMask adds the key stream of ChaCha20 with nonce 0 and counter 0.
func plainMask(key, text []byte) []byte {
	stream, err := chacha20.NewUnauthenticatedCipher(key, make([]byte, 12))
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(text))
	stream.XORKeyStream(out, text)
	return out
}

// plainDH returns nil where the result is zero, which is refused.
func plainDH(private *ecdh.PrivateKey, public []byte) []byte {
	key, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	secret, err := private.ECDH(key)
	if err != nil {
		return nil
	}
	return secret
}

func plainX25519(private []byte) *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		panic(err)
	}
	return key
}

func plainKEM(seed []byte) *mlkem.DecapsulationKey768 {
	key, err := mlkem.NewDecapsulationKey768(seed)
	if err != nil {
		panic(err)
	}
	return key
}

// plainEncapsulate returns nil where the key is not valid.
func plainEncapsulate(key, random []byte) (ss, ct []byte) {
	ek, err := mlkem.NewEncapsulationKey768(key)
	if err != nil {
		return nil, nil
	}
	ss, ct, err = mlkemtest.Encapsulate768(ek, random)
	if err != nil {
		panic(err)
	}
	return ss, ct
}

func plainDecapsulate(key *mlkem.DecapsulationKey768, ct []byte) []byte {
	ss, err := key.Decapsulate(ct)
	if err != nil {
		panic(err)
	}
	return ss
}
