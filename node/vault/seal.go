package vault

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// MaxName bounds the names of buckets and keys, in bytes.
	MaxName = 255
	// MaxValue bounds a value, in bytes.
	MaxValue = 1 << 20

	nameSize  = 32
	groupSize = 16 // the part of a name that all keys of a bucket share

	lengthsSize = 1 + 4
	minBody     = 64
)

// A name is where a value lies: the hidden bucket, then the hidden key.
type name [nameSize]byte

// keys are the two keys derived from the master key, for one version.
type keys struct {
	version    byte
	seal, name [32]byte
	space      bool // the names are those of a space
}

func deriveKeys(master []byte, version byte) *keys {
	k := &keys{version: version}
	derive(&k.seal, master, fmt.Sprintf("chatnt vault v%d seal", version))
	// Of version 1 in all of them: a bucket's name is nowhere to be read, so
	// values can only move to a newer version under the names that they have.
	derive(&k.name, master, "chatnt vault v1 name")
	return k
}

func derive(out *[32]byte, master []byte, info string) {
	b, err := hkdf.Key(sha256.New, master, nil, info, len(out))
	if err != nil {
		panic(err) // only for more than 255 hashes of output
	}
	copy(out[:], b)
	clear(b)
}

func (k *keys) clone() *keys {
	c := *k
	return &c
}

// wipe forgets the keys. Copies inside cipher states are the collector's.
func (k *keys) wipe() {
	clear(k.seal[:])
	clear(k.name[:])
}

// group returns the first half of the name of every key in bucket.
func (k *keys) group(bucket string) []byte {
	mac := hmac.New(sha256.New, k.name[:])
	mac.Write([]byte{0})
	mac.Write([]byte(bucket))
	return mac.Sum(nil)[:groupSize]
}

// of returns the name of key in bucket, both at most MaxName long.
func (k *keys) of(bucket, key string) name {
	var n name
	copy(n[:], k.group(bucket))
	if k.space {
		copy(n[groupSize:], k.within(n[:groupSize], key))
		return n
	}
	mac := hmac.New(sha256.New, k.name[:])
	mac.Write([]byte{1, byte(len(bucket))})
	mac.Write([]byte(bucket))
	mac.Write([]byte(key))
	copy(n[groupSize:], mac.Sum(nil))
	return n
}

// sealValue returns what is stored under at for key and value.
func (k *keys) sealValue(at name, key string, value []byte) []byte {
	size := lengthsSize + len(key) + len(value)
	body := make([]byte, 0, padded(size))
	body = append(body, byte(len(key)))
	body = binary.BigEndian.AppendUint32(body, uint32(len(value)))
	body = append(body, key...)
	body = append(body, value...)
	body = body[:padded(size)]
	defer clear(body)

	nonce := random(chacha20poly1305.NonceSizeX)
	return newAEAD(k.seal[:]).Seal(nonce, nonce, body, k.aad(at))
}

// openValue reverses sealValue. It refuses a body that sealValue would not have
// written, and one that says it belongs elsewhere. The value is the caller's.
func (k *keys) openValue(at name, sealed []byte) (key string, value []byte, err error) {
	aead := newAEAD(k.seal[:])
	if len(sealed) < aead.NonceSize()+minBody+aead.Overhead() {
		return "", nil, damaged("a value is cut short")
	}
	nonce, box := sealed[:aead.NonceSize()], sealed[aead.NonceSize():]
	body, err := aead.Open(nil, nonce, box, k.aad(at))
	if err != nil {
		return "", nil, damaged("a value does not open")
	}
	keyLen, valueLen := int(body[0]), binary.BigEndian.Uint32(body[1:])
	if valueLen > MaxValue { // before it is an int, which may have 32 bits
		return "", nil, damaged("a value has a wrong length")
	}
	size := lengthsSize + keyLen + int(valueLen)
	if len(body) != padded(size) {
		return "", nil, damaged("a value has a wrong length")
	}
	for _, b := range body[size:] {
		if b != 0 {
			return "", nil, damaged("a value has wrong padding")
		}
	}
	return string(body[lengthsSize : lengthsSize+keyLen]), body[lengthsSize+keyLen : size : size], nil
}

// padded is the length of a body of size bytes with its padding: Padmé, from 64.
func padded(size int) int {
	if size <= minBody {
		return minBody
	}
	exponent := bits.Len(uint(size)) - 1       // floor(log2(size))
	low := exponent - bits.Len(uint(exponent)) // bits that must be zero
	return (size + 1<<low - 1) &^ (1<<low - 1)
}

func (k *keys) aad(at name) []byte {
	return append([]byte{k.version}, at[:]...)
}

func newAEAD(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic(err) // only for a key that is not 32 bytes
	}
	return aead
}
