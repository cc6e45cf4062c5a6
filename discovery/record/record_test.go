package record

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"

	"github.com/multiformats/go-multiaddr"
)

// What the tests build is fixed, keys included, so that the golden bytes are.

func testNetwork() [32]byte { return [32]byte(networkBytes()) }

func networkBytes() []byte { return bytes.Repeat([]byte{0xcc}, 32) }

func testNow() time.Time { return time.Unix(1_800_000_000, 0).UTC() }

func testKey(b byte) (private ed25519.PrivateKey, public [32]byte) {
	private = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
	return private, [32]byte(private[32:])
}

func testX25519(t testing.TB, b byte) [32]byte {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{b}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(key.PublicKey().Bytes())
}

func testKeyRecord(t testing.TB) (*KeyRecord, ed25519.PrivateKey) {
	t.Helper()
	private, public := testKey(1)
	kem, err := mlkem.NewDecapsulationKey768(bytes.Repeat([]byte{4}, mlkem.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return &KeyRecord{
		Identity:  public,
		Agreement: testX25519(t, 2),
		Prekey:    Prekey{ID: 0x01020304, Key: testX25519(t, 3)},
		KEMPrekey: KEMPrekey{ID: 0x05060708, Key: [1184]byte(kem.EncapsulationKey().Bytes())},
		Inbox:     Inbox{Node: hashid.NodeID(bytes.Repeat([]byte{0xaa}, 32))},
		Sequence:  uint64(testNow().Unix()),
		Expires:   testNow().Add(KeyRecordLifetime),
	}, private
}

func testDescriptor(t testing.TB) (*Descriptor, ed25519.PrivateKey) {
	t.Helper()
	private, public := testKey(5)
	d := &Descriptor{
		Node:       public,
		FirstEpoch: Epoch(testNow()),
		Addrs: []multiaddr.Multiaddr{
			testAddr(t, "/ip4/20.0.0.1/tcp/4001"),
			testAddr(t, "/ip6/2001:db8::1/udp/4001/quic-v1"),
			testAddr(t, "/dns4/relay.example.org/tcp/443"),
		},
		Flags:    FlagRelay,
		Sequence: uint64(testNow().Unix()),
		Expires:  testNow().Add(DescriptorLifetime),
	}
	for i := range d.Keys {
		d.Keys[i] = testX25519(t, byte(10+i))
	}
	return d, private
}

func testAddr(t testing.TB, s string) multiaddr.Multiaddr {
	t.Helper()
	a, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// golden compares bytes with a file of hexadecimal digits.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the encoding differs from testdata/%s:\n%x", name, got)
	}
}

// signer is what both kinds have; parse reads one back.
type signer interface {
	Sign(network [32]byte, key ed25519.PrivateKey) ([]byte, error)
	CheckTime(now time.Time) error
}

type kindUnderTest struct {
	name   string
	domain string
	limit  int
	make   func(t testing.TB) (signer, ed25519.PrivateKey)
	parse  func(network [32]byte, b []byte) (signer, error)
	key    string // DHT key of what make returns
}

func kinds(t testing.TB) []kindUnderTest {
	t.Helper()
	r, _ := testKeyRecord(t)
	d, _ := testDescriptor(t)
	return []kindUnderTest{
		{
			name: "key record", domain: keyRecordDomain, limit: MaxKeyRecord,
			make:  func(t testing.TB) (signer, ed25519.PrivateKey) { return testKeyRecord(t) },
			parse: func(network [32]byte, b []byte) (signer, error) { return ParseKeyRecord(network, b) },
			key:   KeyRecordKeys(r.Hashid())[0],
		},
		{
			name: "descriptor", domain: descriptorDomain, limit: MaxDescriptor,
			make:  func(t testing.TB) (signer, ed25519.PrivateKey) { return testDescriptor(t) },
			parse: func(network [32]byte, b []byte) (signer, error) { return ParseDescriptor(network, b) },
			key:   DescriptorKey(d.ID()),
		},
	}
}

// eachKind runs a test on a signed record of each kind.
func eachKind(t *testing.T, test func(t *testing.T, kind kindUnderTest, signed []byte)) {
	for _, kind := range kinds(t) {
		t.Run(kind.name, func(t *testing.T) {
			test(t, kind, sign(t, kind))
		})
	}
}

func sign(t testing.TB, kind kindUnderTest) []byte {
	t.Helper()
	r, key := kind.make(t)
	signed, err := r.Sign(testNetwork(), key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// resign signs changed bytes anew, so that a test reaches what comes after the
// signature.
func resign(kind kindUnderTest, key ed25519.PrivateKey, record []byte, change func(body []byte) []byte) []byte {
	body := change(bytes.Clone(record[:len(record)-sizeSignature]))
	return seal(kind.domain, networkBytes(), body, key)
}
