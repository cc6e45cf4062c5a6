package ratchet

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	signatureLabel  = "chatnt identity key 1\x00"
	transcriptLabel = "chatnt pqxdh transcript 1\x00"
	maskLabel       = "chatnt pqxdh mask 1\x00"
	nameLabel       = "chatnt pqxdh name 1\x00"
	sessionLabel    = "chatnt pqxdh session 1\x00"
	rootLabel       = "chatnt ratchet root 1\x00"
	headerLabel     = "chatnt ratchet header 1\x00"
	bodyLabel       = "chatnt ratchet body 1\x00"
)

// derive fills the keys by HKDF-SHA256 (RFC 5869).
func derive(secret, salt []byte, info string, keys ...[]byte) {
	n := 0
	for _, key := range keys {
		n += len(key)
	}
	all, err := hkdf.Key(sha256.New, secret, salt, info, n)
	if err != nil {
		panic("ratchet: " + err.Error()) // none is as long as HKDF's limit
	}
	rest := all
	for _, key := range keys {
		rest = rest[copy(key, rest):]
	}
	clear(all)
}

// turn is what a step of the root key gives, from either side.
type turn struct{ root, chain, nextHeader [32]byte }

// derive computes ROOT(root, dh, ss).
func (t *turn) derive(root, dh *[32]byte, ss []byte) {
	secret := append(append(make([]byte, 0, len(dh)+len(ss)), dh[:]...), ss...)
	derive(secret, root[:], rootLabel, t.root[:], t.chain[:], t.nextHeader[:])
	clear(secret)
}

func (t *turn) wipe() { *t = turn{} }

// step gives the next message key of a chain, and moves the chain on.
func step(chain, messageKey *[32]byte) {
	h := hmac.New(sha256.New, chain[:])
	_, _ = h.Write([]byte{1})
	h.Sum(messageKey[:0])
	h.Reset()
	_, _ = h.Write([]byte{2})
	h.Sum(chain[:0])
}

// bodyKey seals one body and no other.
type bodyKey struct {
	key   [chacha20poly1305.KeySize]byte
	nonce [chacha20poly1305.NonceSize]byte
}

func (k *bodyKey) derive(messageKey *[32]byte, salt []byte) {
	derive(messageKey[:], salt, bodyLabel, k.key[:], k.nonce[:])
}

func (k *bodyKey) wipe() { *k = bodyKey{} }

// seal encrypts plain in place by ChaCha20-Poly1305 (RFC 8439); its array goes on for the
// authenticator.
func seal(plain []byte, key *[32]byte, nonce, ad []byte) {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("ratchet: " + err.Error())
	}
	aead.Seal(plain[:0], nonce, plain, ad)
}

// open decrypts sealed into plain, which has its length but for the authenticator. When it
// is false plain is zero.
func open(plain []byte, key *[32]byte, nonce, sealed, ad []byte) bool {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("ratchet: " + err.Error())
	}
	_, err = aead.Open(plain[:0], nonce, sealed, ad)
	return err == nil
}
