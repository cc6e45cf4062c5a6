package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"regexp"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"

	"golang.org/x/crypto/cryptobyte"
)

// FuzzAddrs holds the list of addresses in a descriptor against a reading of the
// format by its words alone, without the multiaddr library.
func FuzzAddrs(f *testing.F) {
	const quic = "\x91\x02\x0f\xa1\xcd\x03"
	for _, list := range []string{
		"\x01\x08\x04\x14\x00\x00\x01\x06\x0f\xa1",
		"\x01\x0b\x04\x14\x00\x00\x01" + quic,
		"\x02\x0c\x36\x07a.b-c.d\x06\x01\xbb\x14\x29\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01\x06\x0f\xa1",
		"\x02\x08\x04\x14\x00\x00\x01\x06\x0f\xa1\x08\x04\x14\x00\x00\x01\x06\x0f\xa1", // twice the same
		"\x05" + strings.Repeat("\x08\x04\x14\x00\x00\x01\x06\x0f\xa1", 5),             // one too many
		"\x01\x09\x84\x00\x14\x00\x00\x01\x06\x0f\xa1",                                 // a varint longer than it must be
		"\x01\x0b\x36\x84\x00test\x06\x0f\xa1\x00",                                     // the same of a length
		"\x01\x08\x04\x14\x00\x00\x01\x06\x00\x00",                                     // port 0
		"\x01\x14\x29" + strings.Repeat("\x00", 10) + "\xff\xff\x14\x00\x00\x01\x06\x0f\xa1",
		"\x01\x41\x36\x3c" + strings.Repeat("a", 60) + "\x06\x0f\xa1",
		"\x00", "",
	} {
		f.Add([]byte(list))
	}
	good, _ := testDescriptor(f)
	head := good.encode()[sizeHeader : minDescriptor-sizeSignature-1]
	f.Fuzz(func(t *testing.T, list []byte) {
		d := &Descriptor{Expires: good.Expires}
		got := d.read(cryptobyte.String(append(bytes.Clone(head), list...))) && d.check() == nil
		if want := plainAddrs(list); got != want {
			t.Fatalf("%x: read as %v, accepted: %v, by the words of the format: %v", list, d.Addrs, got, want)
		}
		if got && !bytes.HasSuffix(d.encode(), list) {
			t.Fatalf("%x is written again as %x", list, d.encode())
		}
	})
}

// plainAddrs reports whether list is that of a relay.
func plainAddrs(list []byte) bool {
	if len(list) == 0 || list[0] == 0 || list[0] > 4 || minDescriptor-1+len(list) > MaxDescriptor {
		return false
	}
	seen := make(map[string]bool)
	n, rest := int(list[0]), list[1:]
	for range n {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return false
		}
		a := string(rest[1 : 1+int(rest[0])])
		if rest = rest[1+len(a):]; len(a) > 64 || seen[a] || !plainAddr(a) {
			return false
		}
		seen[a] = true
	}
	return len(rest) == 0
}

// plainAddr reads: a host, then 6 and a port, or 273 (91 02), a port and 461 (cd 03).
func plainAddr(a string) bool {
	var host, rest string
	switch {
	case len(a) > 5 && a[0] == 4:
		host, rest = a[1:5], a[5:]
		if host == "\x00\x00\x00\x00" || host == "\xff\xff\xff\xff" || host[0]>>4 == 0xe {
			return false
		}
	case len(a) > 17 && a[0] == 41:
		host, rest = a[1:17], a[17:]
		if host == strings.Repeat("\x00", 16) || host[0] == 0xff || host[0] == 0xfe && host[1]>>6 == 2 ||
			strings.HasPrefix(host, strings.Repeat("\x00", 10)+"\xff\xff") {
			return false
		}
	case len(a) > 2 && (a[0] == 54 || a[0] == 55) && len(a) > 2+int(a[1]):
		host, rest = a[2:2+int(a[1])], a[2+int(a[1]):]
		name := regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
		if !name.MatchString(host) || regexp.MustCompile(`(^|\.)[0-9]+$`).MatchString(host) {
			return false
		}
	default:
		return false
	}
	switch {
	case len(rest) == 3 && rest[0] == 6:
		return rest[1:] != "\x00\x00"
	case len(rest) == 6 && rest[:2] == "\x91\x02" && rest[4:] == "\xcd\x03":
		return rest[2:4] != "\x00\x00"
	}
	return false
}

// FuzzValidator offers the table four values under one key (two good but for
// their sequence and expiry, a damaged one, and any bytes) and holds Select
// against a plain search.
func FuzzValidator(f *testing.F) {
	all := kinds(f)
	records := [][]byte{sign(f, all[0]), sign(f, all[1])}
	_, keyOfPerson := all[0].make(f)
	_, keyOfNode := all[1].make(f)
	keys := []ed25519.PrivateKey{keyOfPerson, keyOfNode}
	now := uint64(testNow().Unix())
	for i, kind := range all {
		f.Add([]byte(kind.key), records[i], now, now+60, now+1, now+120, uint16(200), i == 0)
		f.Add([]byte(kind.key), records[1-i], now, now+60, now, now+60, uint16(1), i == 0)
		f.Add([]byte(kind.key[:len(kind.key)-1]), []byte{}, now, now, now+90_000, now+60, uint16(0), i == 0)
		f.Add([]byte(kind.key), []byte{version}, uint64(1<<64-1), uint64(1<<64-1), uint64(0), uint64(0), uint16(40), i == 0)
	}
	f.Add([]byte(keySpace+"\x02"+strings.Repeat("k", 32)), []byte{}, now, now, now, now, uint16(0), true)
	v := Validator{Network: testNetwork(), Now: testNow}
	f.Fuzz(func(t *testing.T, key, value []byte, seq1, exp1, seq2, exp2 uint64, flip uint16, person bool) {
		kind, private, signed := all[1], keys[1], records[1]
		if person {
			kind, private, signed = all[0], keys[0], records[0]
		}
		dated := func(sequence, expires uint64) []byte {
			return resign(kind, private, signed, func(b []byte) []byte {
				binary.BigEndian.PutUint64(b[33:], sequence)
				binary.BigEndian.PutUint64(b[41:], expires)
				return b
			})
		}
		values := [][]byte{dated(seq1, exp1), dated(seq2, exp2), bytes.Clone(signed), value}
		values[2][int(flip)%len(signed)] ^= 1 << (flip % 8)

		best := -1
		for i, value := range values {
			err := v.Validate(string(key), value)
			if _, _, ok := parseKey(string(key)); !ok && !IsForged(err) {
				t.Fatalf("under the malformed key %q: %v", key, err)
			}
			if err != nil {
				continue
			}
			if expires, ok := Expiry(string(key), value); !ok || !expires.After(testNow()) || expires.After(testNow().Add(KeyRecordLifetime+ClockSkew)) {
				t.Fatalf("value %d is valid and expires at %v, %v", i, expires, ok)
			}
			if i == 2 {
				t.Fatalf("a damaged record is valid: bit %d of byte %d", flip%8, int(flip)%len(signed))
			}
			if best < 0 || Newer(value, values[best]) {
				best = i
			}
		}
		if got, err := v.Select(string(key), values); (err == nil) != (best >= 0) || err == nil && !bytes.Equal(values[got], values[best]) {
			t.Fatalf("Select = %d, %v; want %d", got, err, best)
		}
	})
}

// FuzzDHTKey reads any string as a key of the table: each that is one is
// written again to the same bytes, and names one kind of record.
func FuzzDHTKey(f *testing.F) {
	hash := [32]byte(bytes.Repeat([]byte{7}, 32))
	salted := KeyRecordKeys(hashid.ID(hash))
	for _, key := range []string{
		salted[0], salted[1], DescriptorKey(hashid.NodeID(hash)), unlistedSpace + string(hash[:]), unlistedSpace + "\x00" + string(hash[:]),
		keySpace + "\x02" + string(hash[:]), keySpace + string(hash[:]), relaySpace + "\x00" + string(hash[:]), "/key", "relay/", "",
	} {
		f.Add([]byte(key))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		kind, hash, ok := parseKey(string(key))
		persons := KeyRecordKeys(hashid.ID(hash))
		isPerson := string(key) == persons[0] || string(key) == persons[1]
		isUnlisted := string(key) == unlistedSpace+string(hash[:])
		isRelay := string(key) == DescriptorKey(hashid.NodeID(hash))
		switch {
		case !ok && (kind != 0 || hash != [32]byte{}):
			t.Fatalf("%q is no key and read as %d, %x", key, kind, hash)
		case ok && (isPerson != (kind == kindKeyRecord) || isUnlisted != (kind == kindUnlisted) || isRelay != (kind == kindDescriptor)):
			t.Fatalf("%q is read as %d, %x", key, kind, hash)
		case ok && !isPerson && !isUnlisted && !isRelay:
			t.Fatalf("%q is read as %d, %x", key, kind, hash)
		}
		if at, ok := Expiry(string(key), make([]byte, sizeHeader)); ok {
			t.Fatalf("zeros expire at %v", at)
		}
		header := append([]byte{version}, make([]byte, sizeHeader-1)...)
		if at, expires := Expiry(string(key), header); expires != ok || ok && !at.Equal(time.Unix(0, 0)) {
			t.Fatalf("%q: Expiry = %v, %v", key, at, expires)
		}
	})
}
