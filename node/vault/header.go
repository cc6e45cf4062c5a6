package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"runtime/debug"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	version = 2 // what is written
	oldest  = 1 // what Open can bring up to date

	saltSize   = 16
	masterSize = 32

	saltAt     = 1
	nonceAt    = saltAt + saltSize
	masterAt   = nonceAt + chacha20poly1305.NonceSizeX
	sumAt      = masterAt + masterSize + chacha20poly1305.Overhead
	headerSize = sumAt + sha256.Size

	// Argon2id, fixed by versions 1 and 2.
	kdfPasses = 3
	kdfMemory = 64 << 10 // KiB
	kdfLanes  = 1
)

// appendHeader appends a header that seals master under passphrase.
func appendHeader(b, passphrase, master []byte) []byte {
	start := len(b)
	b = append(b, version)
	b = append(b, random(saltSize)...)
	aad := bytes.Clone(b[start:])

	key := passphraseKey(passphrase, aad[saltAt:])
	defer clear(key)
	aead := newAEAD(key)

	nonce := random(aead.NonceSize())
	b = append(b, nonce...)
	b = aead.Seal(b, nonce, master, aad)
	sum := sha256.Sum256(b[start:])
	return append(b, sum[:]...)
}

// checkHeader tells, without a passphrase, whether h is a header that openHeader reads.
func checkHeader(h []byte) error {
	if len(h) < 1+sha256.Size {
		return damaged("the header is cut short")
	}
	body, sum := h[:len(h)-sha256.Size], h[len(h)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return damaged("the header does not match its hash")
	}
	switch {
	case h[0] > version:
		return fmt.Errorf("%w (version %d, this program reads %d)", ErrVersion, h[0], version)
	case h[0] < oldest, len(h) != headerSize:
		return damaged("the header is of no version that there is")
	}
	return nil
}

// openHeader returns the master key. The header has passed checkHeader.
func openHeader(h, passphrase []byte) ([]byte, error) {
	key := passphraseKey(passphrase, h[saltAt:nonceAt])
	defer clear(key)
	master, err := newAEAD(key).Open(nil, h[nonceAt:masterAt], h[masterAt:sumAt], h[:nonceAt])
	if err != nil {
		return nil, ErrPassphrase
	}
	return master, nil
}

// An opener takes keys from headers that have passed checkHeader.
type opener struct {
	unlock func(header []byte) (*keys, error)
	// renew makes a header of this version, with the master key of an older one.
	renew func(header []byte) ([]byte, *keys, error)
}

func withPassphrase(passphrase []byte) opener {
	return opener{
		unlock: func(header []byte) (*keys, error) {
			master, err := openHeader(header, passphrase)
			if err != nil {
				return nil, err
			}
			defer clear(master)
			return deriveKeys(master, header[0]), nil
		},
		renew: func(header []byte) ([]byte, *keys, error) {
			master, err := openHeader(header, passphrase)
			if err != nil {
				return nil, nil, err
			}
			defer clear(master)
			return appendHeader(nil, passphrase, master), deriveKeys(master, version), nil
		},
	}
}

// passphraseKey stretches a passphrase into the key that seals the master key.
func passphraseKey(passphrase, salt []byte) []byte {
	key := argon2.IDKey(passphrase, salt, kdfPasses, kdfMemory, kdfLanes, chacha20poly1305.KeySize)
	// The 64 MiB are garbage now, and the collector would let them stand for
	// minutes in a process that otherwise needs less than that.
	debug.FreeOSMemory()
	return key
}

// random returns n random bytes. crypto/rand never fails.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
