package record

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"chatnt/discovery/hashid"

	"golang.org/x/crypto/chacha20poly1305"
)

const sealingInfo = "chatnt unlisted sealing\x00"

var (
	errLong      = errors.New("the key record is too long to be sealed")
	errOtherLink = errors.New("this record does not open with the link key, or is not this person's")
)

// sealFor returns the unlisted record of one place with the bytes of a key
// record in it. The header is the key record's, but for the key.
func sealFor(at place, id hashid.ID, link ed25519.PrivateKey, h header, inner []byte) ([]byte, error) {
	if len(inner) > maxSealed {
		return nil, errLong
	}
	key := blindPrivate(link, at)
	defer key.wipe()
	keys, err := deriveSealing(LinkKey(link[32:]), id, key.public)
	if err != nil {
		return nil, err
	}
	defer keys.wipe()
	aead, err := chacha20poly1305.NewX(keys.seal[:])
	if err != nil {
		return nil, err
	}
	plaintext := make([]byte, sizePlaintext)
	defer clear(plaintext)
	binary.BigEndian.PutUint16(plaintext, uint16(len(inner)))
	copy(plaintext[2:], inner)

	b := header{key.public, h.sequence, h.expires}.append(make([]byte, 0, sizeUnlisted))
	nonce := keys.nonceOf(b, plaintext)
	b = append(b, nonce[:]...)
	b = aead.Seal(b, nonce[:], plaintext, b[:sizeHeader])
	return append(b, key.sign(signed(unlistedDomain, at.network[:], b))...), nil
}

// checkUnlisted checks what anyone can check of an unlisted record: its size,
// version, blinded key and signature. Errors satisfy IsForged, or are ErrVersion.
func checkUnlisted(network [32]byte, record []byte) (header, error) {
	h, _, err := open(unlistedDomain, network[:], record, sizeUnlisted, sizeUnlisted)
	if err != nil {
		return header{}, err
	}
	// Of honest makers it always is. With a key of small order anybody could sign.
	if _, ok := primeOrderPoint(h.key); !ok {
		return header{}, forged("its key is not one that blinding makes")
	}
	return h, nil
}

// openUnlisted returns what sealFor sealed for whoever has the link key, and the
// header. Of an error, IsForged tells whether a node that stores the record could
// have seen that it is wrong.
func openUnlisted(network [32]byte, id hashid.ID, link LinkKey, record []byte) (header, []byte, error) {
	h, err := checkUnlisted(network, record)
	if err != nil {
		return header{}, nil, err
	}
	at := place{network: network, period: periodOf(h.expires)}
	for ; ; at.copy++ {
		if at.copy == copies {
			return header{}, nil, errOtherLink
		}
		public, err := link.blind(at)
		if err != nil {
			return header{}, nil, err
		}
		if public == h.key {
			break
		}
	}
	keys, err := deriveSealing(link, id, h.key)
	if err != nil {
		return header{}, nil, err
	}
	defer keys.wipe()
	aead, err := chacha20poly1305.NewX(keys.seal[:])
	if err != nil {
		return header{}, nil, err
	}
	nonce, sealed := record[sizeHeader:sizeHeader+sizeNonce], record[sizeHeader+sizeNonce:sizeUnlisted-sizeSignature]
	plaintext, err := aead.Open(nil, nonce, sealed, record[:sizeHeader])
	if err != nil {
		return header{}, nil, errOtherLink
	}
	if want := keys.nonceOf(record[:sizeHeader], plaintext); !hmac.Equal(want[:], nonce) {
		return header{}, nil, errOtherLink
	}
	inner, ok := unpad(plaintext)
	if !ok {
		return header{}, nil, errOtherLink
	}
	return h, inner, nil
}

// unpad takes off the length and the zeros.
func unpad(plaintext []byte) ([]byte, bool) {
	n := int(binary.BigEndian.Uint16(plaintext))
	if n > maxSealed {
		return nil, false
	}
	for _, b := range plaintext[2+n:] {
		if b != 0 {
			return nil, false
		}
	}
	return plaintext[2 : 2+n], true
}

// sealingKeys are the two secrets of one blinded key.
type sealingKeys struct{ nonce, seal [32]byte }

func deriveSealing(link LinkKey, id hashid.ID, blinded [32]byte) (*sealingKeys, error) {
	b, err := hkdf.Key(sha256.New, link[:], id[:], sealingInfo+string(blinded[:]), 64)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	return &sealingKeys{nonce: [32]byte(b[:32]), seal: [32]byte(b[32:])}, nil
}

func (k *sealingKeys) nonceOf(header, plaintext []byte) [sizeNonce]byte {
	mac := hmac.New(sha256.New, k.nonce[:])
	mac.Write(header)
	mac.Write(plaintext)
	return [sizeNonce]byte(mac.Sum(nil))
}

func (k *sealingKeys) wipe() {
	clear(k.nonce[:])
	clear(k.seal[:])
}
