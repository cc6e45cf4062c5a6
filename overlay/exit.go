package overlay

import (
	"context"
	"errors"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery/record"
)

// The services by which a node looks up records, and publishes persons', for others.
const (
	serviceRecordGet = "record.get"
	serviceRecordPut = "record.put"

	maxRecordKey = 64 // bytes of a DHT key
)

// The first byte of their answers. New ones are only ever added at the end.
const (
	recordGood    = 1 // get: here it is; put: stored
	recordNone    = 2 // get: none was found; put: nobody took it
	recordRefused = 3 // the request is for nothing that may be asked
)

// Table is the hash table, as those see it who look up and publish records
// (discovery/dht). Get returns the newest of what is found under some keys, Put
// how many nodes have stored a value.
type Table interface {
	Get(ctx context.Context, keys ...string) ([]byte, error)
	Put(ctx context.Context, key string, value []byte) (stored int, err error)
}

// RecordServices returns the services record.get and record.put over this node's
// access to the hash table. They look up records, store those of persons and nothing
// else, and store only what is valid now: who asks is not known, so what anybody
// could do in their own name is all that is done for them.
func RecordServices(table Table, validator record.Validator) map[string]SlowService {
	e := exit{table, validator}
	return map[string]SlowService{serviceRecordGet: e.get, serviceRecordPut: e.put}
}

type exit struct {
	table     Table
	validator record.Validator
}

func (e exit) get(ctx context.Context, body []byte) []byte {
	key, err := parseRecordKey(body)
	if err != nil || !record.IsKey(key) {
		return recordAnswer(recordRefused, nil)
	}
	value, err := e.table.Get(ctx, key)
	if err != nil || len(value) == 0 || len(value) > record.MaxKeyRecord {
		return recordAnswer(recordNone, nil)
	}
	return recordAnswer(recordGood, value)
}

func (e exit) put(ctx context.Context, body []byte) []byte {
	key, value, err := parseRecordPut(body)
	if err != nil || !record.IsPersonKey(key) || e.validator.Validate(key, value) != nil {
		return recordAnswer(recordRefused, nil)
	}
	if stored, err := e.table.Put(ctx, key, value); err != nil || stored == 0 {
		return recordAnswer(recordNone, nil)
	}
	return recordAnswer(recordGood, nil)
}

var errRecordBody = errors.New("malformed request for a record")

// The body of a request to record.get is the key as it is.

func parseRecordKey(body []byte) (string, error) {
	if len(body) == 0 || len(body) > maxRecordKey {
		return "", errRecordBody
	}
	return string(body), nil
}

func appendRecordPut(dst []byte, key string, value []byte) ([]byte, error) {
	if len(key) == 0 || len(key) > maxRecordKey || len(value) == 0 || len(value) > record.MaxKeyRecord {
		return nil, errRecordBody
	}
	dst = append(dst, byte(len(key)))
	dst = append(dst, key...)
	return append(dst, value...), nil
}

func parseRecordPut(body []byte) (key string, value []byte, err error) {
	var (
		s = cryptobyte.String(body)
		k cryptobyte.String
	)
	if !s.ReadUint8LengthPrefixed(&k) || len(k) == 0 || len(k) > maxRecordKey || len(s) == 0 || len(s) > record.MaxKeyRecord {
		return "", nil, errRecordBody
	}
	return string(k), s, nil
}

// recordAnswer writes an answer of either service, with what was found.
func recordAnswer(status byte, value []byte) []byte { return append([]byte{status}, value...) }

// parseRecordAnswer reads an answer of either service. Only what was found comes
// with a value.
func parseRecordAnswer(b []byte, get bool) (status byte, value []byte, ok bool) {
	if len(b) == 0 || len(b) > 1+record.MaxKeyRecord {
		return 0, nil, false
	}
	status, value = b[0], b[1:]
	switch {
	case status < recordGood || status > recordRefused:
		return 0, nil, false
	case get && status == recordGood:
		return status, value, len(value) > 0
	}
	return status, nil, len(value) == 0
}
