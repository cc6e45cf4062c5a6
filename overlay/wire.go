package overlay

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/overlay/onion"
)

const (
	kindRequest = 1

	maxServiceName = 32

	// MaxRequest is the longest body of a request, in bytes, for a service name
	// of the longest kind.
	MaxRequest = onion.BodySize - 1 - onion.SURBSize - 1 - maxServiceName
)

func checkRequest(service string, body []byte) error {
	if len(service) == 0 || len(service) > maxServiceName {
		return fmt.Errorf("a service's name has 1 to %d bytes", maxServiceName)
	}
	if 1+onion.SURBSize+1+len(service)+len(body) > onion.BodySize {
		return fmt.Errorf("a request of %d bytes does not fit a packet", len(body))
	}
	return nil
}

func appendRequest(dst []byte, surb *onion.SURB, service string, body []byte) ([]byte, error) {
	if err := checkRequest(service, body); err != nil {
		return nil, err
	}
	dst = append(dst, kindRequest)
	dst = append(dst, surb[:]...)
	dst = append(dst, byte(len(service)))
	dst = append(dst, service...)
	return append(dst, body...), nil
}

func parseRequest(payload []byte) (surb onion.SURB, service string, body []byte, err error) {
	var (
		s    = cryptobyte.String(payload)
		kind uint8
		name cryptobyte.String
		raw  []byte
	)
	if len(payload) > onion.BodySize || !s.ReadUint8(&kind) || kind != kindRequest || !s.ReadBytes(&raw, onion.SURBSize) ||
		!s.ReadUint8LengthPrefixed(&name) || len(name) == 0 || len(name) > maxServiceName {
		return surb, "", nil, errors.New("malformed request")
	}
	if surb, err = onion.ParseSURB(raw); err != nil {
		return surb, "", nil, err
	}
	return surb, string(name), s, nil
}
