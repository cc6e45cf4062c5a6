package record

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGoldenKeyRecord(t *testing.T) {
	r, key := testKeyRecord(t)
	signed, err := r.Sign(testNetwork(), key)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "keyrecord.hex", signed)
	parsed, err := ParseKeyRecord(testNetwork(), signed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, parsed); diff != "" {
		t.Errorf("what was parsed differs from what was signed:\n%s", diff)
	}
}

func TestGoldenDescriptor(t *testing.T) {
	d, key := testDescriptor(t)
	signed, err := d.Sign(testNetwork(), key)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "descriptor.hex", signed)
	parsed, err := ParseDescriptor(testNetwork(), signed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, parsed); diff != "" {
		t.Errorf("what was parsed differs from what was signed:\n%s", diff)
	}
}

func TestParseSharesNoMemory(t *testing.T) {
	eachKind(t, func(t *testing.T, kind kindUnderTest, signed []byte) {
		want := bytes.Clone(signed)
		r, err := kind.parse(testNetwork(), signed)
		if err != nil {
			t.Fatal(err)
		}
		clear(signed)
		_, key := kind.make(t)
		if again, err := r.Sign(testNetwork(), key); err != nil || !bytes.Equal(again, want) {
			t.Errorf("the parsed record changed with the bytes it came from (%v)", err)
		}
	})
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, kind kindUnderTest, signed []byte) {
		for i := range signed {
			for bit := range 8 {
				signed[i] ^= 1 << bit
				_, err := kind.parse(testNetwork(), signed)
				if i == 0 && !errors.Is(err, ErrVersion) {
					t.Errorf("bit %d of the version: %v, want ErrVersion", bit, err)
				}
				if i > 0 && !IsForged(err) {
					t.Errorf("bit %d of byte %d: %v, want a forgery", bit, i, err)
				}
				signed[i] ^= 1 << bit
			}
		}
	})
}

func TestWrongLengthIsRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, kind kindUnderTest, signed []byte) {
		for n := range signed {
			if _, err := kind.parse(testNetwork(), signed[:n]); !IsForged(err) {
				t.Errorf("the first %d bytes: %v, want a forgery", n, err)
			}
		}
		for _, n := range []int{1, 64, kind.limit - len(signed) + 1, 1 << 20} {
			if _, err := kind.parse(testNetwork(), append(signed, make([]byte, n)...)); !IsForged(err) {
				t.Errorf("%d bytes after it: %v, want a forgery", n, err)
			}
		}
	})
}

func TestSignedTrailingBytesAreRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, kind kindUnderTest, signed []byte) {
		_, key := kind.make(t)
		for _, n := range []int{1, 32} {
			longer := resign(kind, key, signed, func(b []byte) []byte { return append(b, make([]byte, n)...) })
			if _, err := kind.parse(testNetwork(), longer); !IsForged(err) {
				t.Errorf("%d signed bytes after it: %v, want a forgery", n, err)
			}
		}
		shorter := resign(kind, key, signed, func(b []byte) []byte { return b[:len(b)-1] })
		if _, err := kind.parse(testNetwork(), shorter); !IsForged(err) {
			t.Errorf("signed, and a byte short: %v, want a forgery", err)
		}
	})
}

func TestOtherNetworkIsRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, kind kindUnderTest, signed []byte) {
		other := testNetwork()
		other[31] ^= 1
		if _, err := kind.parse(other, signed); !IsForged(err) {
			t.Errorf("record of another network: %v, want a forgery", err)
		}
	})
}

func TestOtherKeyCannotSign(t *testing.T) {
	eachKind(t, func(t *testing.T, kind kindUnderTest, signed []byte) {
		r, _ := kind.make(t)
		other, _ := testKey(9)
		if b, err := r.Sign(testNetwork(), other); err == nil || b != nil {
			t.Errorf("Sign with another's key = %x, %v; want an error", b, err)
		}
		if b, err := r.Sign(testNetwork(), nil); err == nil || b != nil {
			t.Errorf("Sign without a key = %x, %v; want an error", b, err)
		}
		if _, err := kind.parse(testNetwork(), resign(kind, other, signed, bytes.Clone)); !IsForged(err) {
			t.Errorf("record signed by another: %v, want a forgery", err)
		}
	})
}

func TestSignatureOfOneKindIsNoneOfTheOther(t *testing.T) {
	all := kinds(t)
	for i, kind := range all {
		signed := sign(t, kind)
		_, key := kind.make(t)
		kind.domain = all[1-i].domain
		if _, err := kind.parse(testNetwork(), resign(kind, key, signed, bytes.Clone)); !IsForged(err) {
			t.Errorf("%s signed as the other kind: %v, want a forgery", kind.name, err)
		}
	}
}

// refusedBothWays checks that Sign refuses a record, and that Parse refuses the
// same one from a signer who does not mind.
func refusedBothWays(t *testing.T, name string, signErr, parseErr error) {
	t.Helper()
	if signErr == nil {
		t.Errorf("%s: Sign accepts it", name)
	}
	if !IsForged(parseErr) {
		t.Errorf("%s: Parse says %v, want a forgery", name, parseErr)
	}
}

func TestKeyRecordRefuses(t *testing.T) {
	kind := kinds(t)[0]
	signed := sign(t, kind)
	for _, test := range []struct {
		name   string
		change func(*KeyRecord)
		offset int
		bytes  []byte
	}{
		{"no agreement key", func(r *KeyRecord) { r.Agreement = [32]byte{} }, 49, make([]byte, 32)},
		{"no prekey", func(r *KeyRecord) { r.Prekey.Key = [32]byte{} }, 85, make([]byte, 32)},
		{"prekey of small order", func(r *KeyRecord) { r.Prekey.Key = [32]byte([]byte(lowOrder8)) }, 85, []byte(lowOrder8)},
		{
			"KEM coefficients not reduced", // FIPS 203, section 7.2: the modulus check
			func(r *KeyRecord) { copy(r.KEMPrekey.Key[:], "\xff\xff\xff") },
			121,
			[]byte("\xff\xff\xff"),
		},
		{"no inbox", func(r *KeyRecord) { r.Inbox.Node = [32]byte{} }, 1308, make([]byte, 32)},
		{"expiry past all dates", func(r *KeyRecord) { r.Expires = time.Unix(1<<40, 0) }, 41, []byte{0, 0, 1, 0, 0, 0, 0, 0}},
	} {
		r, key := testKeyRecord(t)
		test.change(r)
		_, signErr := r.Sign(testNetwork(), key)
		_, parseErr := ParseKeyRecord(testNetwork(), resign(kind, key, signed, func(b []byte) []byte {
			copy(b[test.offset:], test.bytes)
			return b
		}))
		refusedBothWays(t, test.name, signErr, parseErr)
	}
}

func TestInboxIsStrict(t *testing.T) {
	kind := kinds(t)[0]
	signed := sign(t, kind)
	_, key := kind.make(t)
	node := strings.Repeat("n", 32)
	for name, inbox := range map[string]string{
		"empty":         "\x00\x00",
		"kind alone":    "\x00\x01\x01",
		"kind 0":        "\x00\x21\x00" + node,
		"unknown kind":  "\x00\x21\x02" + node,
		"long node id":  "\x00\x22\x01" + node + "n",
		"short node id": "\x00\x20\x01" + node[1:],
		"long length":   "\x00\x22\x01" + node,
		"short length":  "\x00\x20\x01" + node,
		"no length":     "",
	} {
		changed := resign(kind, key, signed, func(b []byte) []byte { return append(b[:1305], inbox...) })
		if _, err := ParseKeyRecord(testNetwork(), changed); !IsForged(err) {
			t.Errorf("%s: %v, want a forgery", name, err)
		}
	}
	same := resign(kind, key, signed, func(b []byte) []byte { return append(b[:1305], "\x00\x21\x01"+node...) })
	if _, err := ParseKeyRecord(testNetwork(), same); err != nil {
		t.Errorf("an inbox at a node: %v", err)
	}
}

func TestDescriptorRefuses(t *testing.T) {
	kind := kinds(t)[1]
	for _, test := range []struct {
		name   string
		change func(*testing.T, *Descriptor)
	}{
		{"key missing", func(_ *testing.T, d *Descriptor) { d.Keys[7] = [32]byte{} }},
		{"key of small order", func(_ *testing.T, d *Descriptor) { d.Keys[0] = [32]byte([]byte(lowOrder2)) }},
		{"unknown flag", func(_ *testing.T, d *Descriptor) { d.Flags |= 1 << 2 }},
		{"high flag", func(_ *testing.T, d *Descriptor) { d.Flags = 1 << 7 }},
		{"withdrawn, with addresses", func(_ *testing.T, d *Descriptor) { d.Flags = FlagWithdrawn }},
		{"withdrawn relay", func(_ *testing.T, d *Descriptor) { d.Flags, d.Addrs = FlagRelay|FlagWithdrawn, nil }},
		{"relay without address", func(_ *testing.T, d *Descriptor) { d.Addrs = nil }},
		{"address twice", func(_ *testing.T, d *Descriptor) { d.Addrs[2] = d.Addrs[0] }},
		{"relayed address", func(t *testing.T, d *Descriptor) { d.Addrs[0] = testAddr(t, "/p2p-circuit") }},
		{"too many addresses", func(t *testing.T, d *Descriptor) {
			for _, port := range []string{"1", "2"} {
				d.Addrs = append(d.Addrs, testAddr(t, "/ip4/20.0.0.1/tcp/"+port))
			}
		}},
		{"addresses too long together", func(t *testing.T, d *Descriptor) {
			for i, c := range []string{"a", "b", "c"} {
				d.Addrs[i] = testAddr(t, "/dns4/"+strings.Repeat(c, 45)+"/tcp/1")
			}
		}},
		{"outlives its keys", func(_ *testing.T, d *Descriptor) { d.FirstEpoch -= 3 }},
		{"first epoch past all dates", func(_ *testing.T, d *Descriptor) { d.FirstEpoch = 1<<32 - Epochs }},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, key := testDescriptor(t)
			test.change(t, d)
			_, signErr := d.Sign(testNetwork(), key)
			body := d.encode()
			_, parseErr := ParseDescriptor(testNetwork(), seal(kind.domain, networkBytes(), body, key))
			refusedBothWays(t, test.name, signErr, parseErr)
		})
	}
}

func TestDescriptorAtItsLimits(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*testing.T, *Descriptor)
		size   int
	}{
		{"no address", func(_ *testing.T, d *Descriptor) { d.Flags, d.Addrs = 0, nil }, minDescriptor},
		{"withdrawn", func(_ *testing.T, d *Descriptor) { d.Flags, d.Addrs = FlagWithdrawn, nil }, minDescriptor},
		{"four QUIC addresses", func(t *testing.T, d *Descriptor) {
			d.Addrs = nil
			for _, port := range []string{"1", "2", "3", "4"} {
				d.Addrs = append(d.Addrs, testAddr(t, "/ip6/2001:db8::1/udp/"+port+"/quic-v1"))
			}
		}, minDescriptor + 4*24},
		{"longest", func(t *testing.T, d *Descriptor) {
			for i, c := range []string{"a", "b", "c"} {
				d.Addrs[i] = testAddr(t, "/dns4/"+strings.Repeat(c, []int{39, 39, 41}[i])+"/tcp/1")
			}
		}, MaxDescriptor},
	} {
		d, key := testDescriptor(t)
		test.change(t, d)
		signed, err := d.Sign(testNetwork(), key)
		if err != nil || len(signed) != test.size {
			t.Errorf("%s: %d bytes, %v; want %d", test.name, len(signed), err, test.size)
		}
		if parsed, err := ParseDescriptor(testNetwork(), signed); err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if diff := cmp.Diff(d, parsed); diff != "" {
			t.Errorf("%s: what was parsed differs from what was signed:\n%s", test.name, diff)
		}
	}
}

func TestAddressBytesAreCanonical(t *testing.T) {
	kind := kinds(t)[1]
	signed := sign(t, kind)
	_, key := kind.make(t)
	for name, list := range map[string]string{
		"fine":                "\x01\x08\x04\x14\x00\x00\x01\x06\x0f\xa1",
		"no count":            "",
		"five":                "\x05" + strings.Repeat("\x08\x04\x14\x00\x00\x01\x06\x0f\xa1", 5),
		"one of two":          "\x02\x08\x04\x14\x00\x00\x01\x06\x0f\xa1",
		"empty address":       "\x01\x00",
		"length too long":     "\x01\x09\x04\x14\x00\x00\x01\x06\x0f\xa1",
		"length too short":    "\x01\x07\x04\x14\x00\x00\x01\x06\x0f\xa1",
		"code in two bytes":   "\x01\x09\x84\x00\x14\x00\x00\x01\x06\x0f\xa1",
		"unknown protocol":    "\x01\x08\x7f\x14\x00\x00\x01\x06\x0f\xa1",
		"name length in two":  "\x01\x0b\x36\x84\x00test\x06\x0f\xa1\x00",
		"65 bytes of address": "\x01\x41\x36\x3c" + strings.Repeat("a", 60) + "\x06\x0f\xa1",
	} {
		changed := resign(kind, key, signed, func(b []byte) []byte { return append(b[:310], list...) })
		_, err := ParseDescriptor(testNetwork(), changed)
		if name == "fine" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if !IsForged(err) {
			t.Errorf("%s: %v, want a forgery", name, err)
		}
	}
}

func TestKeyOfEpoch(t *testing.T) {
	d, _ := testDescriptor(t)
	for i := range uint32(Epochs) {
		if key, ok := d.Key(d.FirstEpoch + i); !ok || key != d.Keys[i] {
			t.Errorf("Key(first+%d) = %x, %v", i, key, ok)
		}
	}
	for _, epoch := range []uint32{0, d.FirstEpoch - 1, d.FirstEpoch + Epochs, 1<<32 - 1} {
		if key, ok := d.Key(epoch); ok || key != [32]byte{} {
			t.Errorf("Key(%d) = %x, %v; the descriptor begins at %d", epoch, key, ok, d.FirstEpoch)
		}
	}
}

func FuzzKeyRecord(f *testing.F) { fuzzKind(f, kinds(f)[0]) }

func FuzzDescriptor(f *testing.F) { fuzzKind(f, kinds(f)[1]) }

// fuzzKind parses bytes as they are and, since few have a good signature, signed
// anew. Whatever parses must be signed again to the same bytes.
func fuzzKind(f *testing.F, kind kindUnderTest) {
	signed := sign(f, kind)
	_, key := kind.make(f)
	f.Add(signed)
	f.Add(signed[:len(signed)-1])
	f.Add(make([]byte, kind.limit+1))
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, b []byte) {
		inputs := [][]byte{b}
		if len(b) >= sizeHeader+sizeSignature {
			inputs = append(inputs, resign(kind, key, b, func(body []byte) []byte {
				copy(body[1:33], key[32:])
				return body
			}))
		}
		for _, input := range inputs {
			r, err := kind.parse(testNetwork(), input)
			if err != nil {
				if !IsForged(err) && !errors.Is(err, ErrVersion) {
					t.Errorf("error of no known sort: %v", err)
				}
				continue
			}
			if again, err := r.Sign(testNetwork(), key); err != nil || !bytes.Equal(again, input) {
				t.Errorf("parsed and signed again: %x, %v; was %x", again, err, input)
			}
		}
	})
}
