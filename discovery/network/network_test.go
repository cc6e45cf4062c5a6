package network

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"

	"github.com/multiformats/go-multiaddr"
)

// The peer id is that of the Ed25519 public key of 32 bytes 0x55.
const testPeer = "/p2p/12D3KooWFZUHujAaTFWkGamZhzUSWCggEpvkH6SBTH1oLHxpQG92"

func testAddr(t testing.TB, s string) multiaddr.Multiaddr {
	t.Helper()
	a, err := multiaddr.NewMultiaddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// testPrivate and testPublic are fixed, for the golden texts.

func testPrivate(t testing.TB) *Network {
	t.Helper()
	return &Network{
		Name:  "Redaktion Süd",
		Hops:  3,
		PSK:   [32]byte(bytes.Repeat([]byte{0x11}, 32)),
		Nonce: [16]byte(bytes.Repeat([]byte{0x22}, 16)),
		Bootstrap: []multiaddr.Multiaddr{
			testAddr(t, "/ip4/20.0.0.1/tcp/4001"+testPeer),
			testAddr(t, "/dns6/node.example.org/udp/4001/quic-v1"+testPeer),
		},
		Expires: time.Unix(1_800_000_000, 0).UTC(),
	}
}

func testPublic() *Network {
	return &Network{Name: "commons", Hops: 3, Public: true, Nonce: [16]byte(bytes.Repeat([]byte{0x22}, 16))}
}

func testPerson() hashid.ID { return hashid.ID(bytes.Repeat([]byte{0x33}, 32)) }

func testLink() record.LinkKey {
	return record.LinkKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x77}, 32))[32:])
}

func TestGoldenID(t *testing.T) {
	for _, test := range []struct {
		network *Network
		id      string
	}{
		{testPrivate(t), "3ba35da76bb197bb8a022f6cadeb38a488eda419959cca34f4f97fc28bf7de65"},
		{testPublic(), "8ddeeec59506896690d1dc7f092932fffad8b580833dc62fc37f8cbef6d38cfb"},
	} {
		if got := test.network.ID().String(); got != test.id {
			t.Errorf("id of %q:\n%s\nwant\n%s", test.network.Name, got, test.id)
		}
		want := "/chatnt/" + test.id[:32] + "/onion/x25519/1"
		if got := test.network.Protocol("onion/x25519/1"); got != want {
			t.Errorf("Protocol = %s, want %s", got, want)
		}
	}
}

func TestIDCoversTheSettings(t *testing.T) {
	id := testPrivate(t).ID()
	for name, change := range map[string]func(*Network){
		"name":            func(n *Network) { n.Name = "Redaktion" },
		"hops":            func(n *Network) { n.Hops = 2 },
		"public":          func(n *Network) { n.Public = true },
		"nonce":           func(n *Network) { n.Nonce[15]++ },
		"pre-shared key":  func(n *Network) { n.PSK[31]++ },
		"name and length": func(n *Network) { n.Name += "\x03" },
	} {
		n := testPrivate(t)
		change(n)
		if n.ID() == id {
			t.Errorf("%s: the id does not depend on it", name)
		}
	}
	n := testPrivate(t)
	n.Bootstrap, n.Expires = nil, time.Time{}
	if n.ID() != id {
		t.Error("the id depends on bootstrap addresses or the expiry")
	}
}

func TestNew(t *testing.T) {
	a, err := New("home", 2, false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New("home", 2, false)
	if err != nil {
		t.Fatal(err)
	}
	if a.Name != "home" || a.Hops != 2 || a.Public || !a.Expires.IsZero() || a.Bootstrap != nil {
		t.Errorf("New(home, 2, false) = %+v", a)
	}
	if a.PSK == b.PSK || a.PSK == [32]byte{} || a.Nonce == b.Nonce || a.ID() == b.ID() {
		t.Error("two networks of one name are the same, or have no key")
	}
	public, err := New("commons", 3, true)
	if err != nil {
		t.Fatal(err)
	}
	if !public.Public || public.PSK != [32]byte{} || public.Nonce == [16]byte{} {
		t.Errorf("New(commons, 3, true) = %+v", public)
	}
	for _, test := range []struct {
		name   string
		hops   int
		public bool
		want   string
	}{
		{"home", 0, false, "1 to 3 hops, not 0"},
		{"home", 4, false, "1 to 3 hops, not 4"},
		{"home", -1, false, "1 to 3 hops, not -1"},
		{"home", 259, false, "1 to 3 hops, not 259"},
		{"commons", 2, true, "3 hops, not 2"},
		{"", 3, false, "name"},
	} {
		if n, err := New(test.name, test.hops, test.public); err == nil || n != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New(%q, %d, %v) = %v, %v; want an error with %q", test.name, test.hops, test.public, n, err, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{
		"a", "Our Network", "Süd", "Сеть", "ネット", "شبكة", "net-1_2.3", "🌍", "हिन्दी", strings.Repeat("a", 32),
	} {
		if err := checkName(name); err != nil {
			t.Errorf("checkName(%q) = %v", name, err)
		}
	}
	for what, name := range map[string]string{
		"empty":              "",
		"too long":           strings.Repeat("a", 33),
		"too long in bytes":  strings.Repeat("ü", 17),
		"not UTF-8":          "a\xff",
		"surrogate":          "\xed\xa0\x80",
		"newline":            "a\nb",
		"escape":             "a\x1b[2J",
		"delete":             "a\x7f",
		"C1":                 "a\u009bb",
		"direction override": "a\u202eb",
		"isolate":            "a\u2066b",
		"zero width space":   "a\u200bb",
		"zero width joiner":  "a\u200db",
		"byte order mark":    "\ufeffa",
		"soft hyphen":        "a\u00adb",
		"line separator":     "a\u2028b",
		"no-break space":     "a\u00a0b",
		"Hangul filler":      "\u3164",
		"variation selector": "a\ufe0f",
		"private use":        "\ue000",
		"unassigned":         "\u0378",
		"tag":                "a\U000e0041",
		"not normal":         "u\u0308",
		"lone mark":          "\u0308u",
		"leading space":      " a",
		"trailing space":     "a ",
		"only a space":       " ",
	} {
		if err := checkName(name); err == nil {
			t.Errorf("%s: checkName(%q) accepts it", what, name)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	addr := func(s string) func(*testing.T, *Network) {
		return func(t *testing.T, n *Network) { n.Bootstrap[0] = testAddr(t, s) }
	}
	const old = "/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N" // hash of an RSA key
	for _, test := range []struct {
		name   string
		change func(*testing.T, *Network)
		want   string
	}{
		{"name", func(_ *testing.T, n *Network) { n.Name = "\x1b" }, "name"},
		{"no hops", func(_ *testing.T, n *Network) { n.Hops = 0 }, "hops"},
		{"private without key", func(_ *testing.T, n *Network) { n.PSK = [32]byte{} }, "pre-shared key"},
		{"public with key", func(_ *testing.T, n *Network) { n.Public = true }, "pre-shared key"},
		{"expired before 1970", func(_ *testing.T, n *Network) { n.Expires = time.Unix(-1, 0) }, "expiry"},
		{"expires in 1970", func(_ *testing.T, n *Network) { n.Expires = time.Unix(0, 0) }, "expiry"},
		{"expires past all dates", func(_ *testing.T, n *Network) { n.Expires = time.Unix(1<<40, 0) }, "expiry"},
		{"too many addresses", func(_ *testing.T, n *Network) { n.Bootstrap = make([]multiaddr.Multiaddr, 9) }, "at most 8"},
		{"address twice", func(_ *testing.T, n *Network) { n.Bootstrap[1] = n.Bootstrap[0] }, "twice"},
		{"no address", func(_ *testing.T, n *Network) { n.Bootstrap[0] = nil }, "/p2p"},
		{"no host", addr(testPeer), "/p2p"},
		{"no peer", addr("/ip4/20.0.0.1/tcp/1"), "/p2p"},
		{"peer with another kind of key", addr("/ip4/20.0.0.1/tcp/1" + old), "Ed25519"},
		{"two peers", addr("/ip4/20.0.0.1/tcp/1" + testPeer + testPeer), "usable"},
		{"relayed", addr("/ip4/20.0.0.1/tcp/1" + testPeer + "/p2p-circuit" + testPeer), "usable"},
		{"no port", addr("/ip4/20.0.0.1/tcp/0" + testPeer), "port 0"},
		{"any host", addr("/ip4/0.0.0.0/tcp/1" + testPeer), "usable"},
		{"websocket", addr("/ip4/20.0.0.1/tcp/1/ws" + testPeer), "usable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := testPrivate(t)
			test.change(t, n)
			if b, err := n.Append([]byte("before")); err == nil || b != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Append = %x, %v; want an error with %q", b, err, test.want)
			}
			if text, err := (&Invite{Network: n}).Text(); err == nil || text != "" {
				t.Errorf("Text = %q, %v; want an error", text, err)
			}
		})
	}
}

func TestCheckTime(t *testing.T) {
	n := testPrivate(t)
	for _, test := range []struct {
		now  time.Time
		want error
	}{
		{n.Expires.Add(-time.Second), nil},
		{n.Expires, ErrExpired},
		{n.Expires.Add(time.Hour), ErrExpired},
	} {
		if err := n.CheckTime(test.now); !errors.Is(err, test.want) {
			t.Errorf("CheckTime(%v) = %v, want %v", test.now, err, test.want)
		}
	}
	if err := testPublic().CheckTime(time.Unix(1<<39, 0)); err != nil {
		t.Errorf("an invite without expiry: %v", err)
	}
}
