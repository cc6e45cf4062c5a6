package node

import (
	"crypto/ed25519"
	"crypto/hpke"
	"errors"
	"fmt"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/message"
)

// A sealed frame, until sessions replace it, is an HPKE message (RFC 9180, base
// mode; MLKEM768-X25519, HKDF-SHA256, ChaCha20-Poly1305) to the prekeys of the
// recipient's key record:
//
//	offset  size  field
//	0       1120  encapsulated key
//	1120    2080  sealed: sender's Ed25519 key (32), signature (64), message (1968), tag (16)
//
// The signature covers the network, the sender, the recipient and the message,
// so a recipient cannot pass a message on as if it had been written to another.
// It gives no forward secrecy beyond the prekeys' life, and is not deniable.
const (
	encapsulatedSize = 1120
	sealedSize       = ed25519.PublicKeySize + ed25519.SignatureSize + message.Size + 16

	// frameSize is the length of every sealed frame, in bytes.
	frameSize = encapsulatedSize + sealedSize

	sealInfo   = "chatnt stand-in frame 1\x00"
	signDomain = "chatnt stand-in message 1\x00"
)

var errFrame = errors.New("a frame that does not open")

// seal encrypts a message from a person to the owner of a key record.
func seal(network [32]byte, from *identity, to *record.KeyRecord, msg *message.Message) ([]byte, error) {
	kem := hpke.MLKEM768X25519()
	key, err := kem.NewPublicKey(append(append([]byte(nil), to.KEMPrekey.Key[:]...), to.Prekey.Key[:]...))
	if err != nil {
		return nil, fmt.Errorf("the recipient's keys are unusable: %w", err)
	}
	encoded, err := msg.Append(nil)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, sealedSize)
	plain = append(plain, from.public()...)
	plain = append(plain, ed25519.Sign(from.sign, signed(network, from.public(), to.Hashid(), encoded))...)
	plain = append(plain, encoded...)
	return hpke.Seal(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(network, to.Hashid()), plain)
}

// open decrypts a frame and returns who wrote it.
func open(network [32]byte, to *identity, frame []byte) (hashid.ID, *message.Message, error) {
	if len(frame) != frameSize {
		return hashid.ID{}, nil, errFrame
	}
	key, err := to.hpkeKey()
	if err != nil {
		return hashid.ID{}, nil, err
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(network, to.hashid()), frame)
	if err != nil || len(plain) != sealedSize-16 {
		return hashid.ID{}, nil, errFrame
	}
	defer clear(plain)
	pub := ed25519.PublicKey(plain[:ed25519.PublicKeySize])
	sig := plain[ed25519.PublicKeySize : ed25519.PublicKeySize+ed25519.SignatureSize]
	encoded := plain[ed25519.PublicKeySize+ed25519.SignatureSize:]
	if !ed25519.Verify(pub, signed(network, pub, to.hashid(), encoded), sig) {
		return hashid.ID{}, nil, errFrame
	}
	msg, err := message.Parse(encoded)
	if err != nil {
		return hashid.ID{}, nil, errFrame
	}
	return hashid.Of(pub), msg, nil
}

func info(network [32]byte, to hashid.ID) []byte {
	return append(append([]byte(sealInfo), network[:]...), to[:]...)
}

func signed(network [32]byte, from ed25519.PublicKey, to hashid.ID, encoded []byte) []byte {
	b := append([]byte(signDomain), network[:]...)
	b = append(b, from...)
	b = append(b, to[:]...)
	return append(b, encoded...)
}
