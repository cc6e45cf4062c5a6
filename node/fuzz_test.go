package node

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"
	"github.com/pelletier/go-toml/v2"

	"chatnt/discovery"
	"chatnt/discovery/gossip"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// FuzzGossip judges what neighbours pass on: a descriptor that is good and new is
// accepted and known from then on, once; only what no honest node passes on is
// rejected, and everything else ignored.
func FuzzGossip(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	made := func(sequence uint64, expires time.Time, flags record.Flags, port uint16) []byte {
		d := &record.Descriptor{
			Node: [32]byte(private.Public().(ed25519.PublicKey)), FirstEpoch: record.Epoch(now), Flags: flags,
			Sequence: sequence, Expires: expires,
		}
		for i := range d.Keys {
			d.Keys[i] = [32]byte{9}
		}
		if port != 0 {
			a, err := multiaddr.NewMultiaddr("/ip4/127.0.0.1/tcp/" + strconv.Itoa(int(port)))
			if err != nil {
				f.Fatal(err)
			}
			d.Addrs = []multiaddr.Multiaddr{a}
		}
		raw, err := d.Sign([32]byte{}, private)
		if err != nil {
			f.Fatal(err)
		}
		return raw
	}
	at := uint64(now.Unix())
	good := made(at, now.Add(time.Hour), record.FlagRelay, 4001)
	for _, second := range [][]byte{
		good,
		{},
		{1},
		{2},
		bytes.Repeat([]byte{1}, record.MaxDescriptor+1), good[:len(good)-1],
		made(at+1, now.Add(time.Hour), record.FlagRelay, 4002),
		made(at-1, now.Add(time.Hour), 0, 0), // older
		made(at+2, now.Add(time.Hour), record.FlagWithdrawn, 0),
		made(at+3, now, record.FlagRelay, 1),                              // expired
		made(at+4, now.Add(6*time.Hour+time.Second), record.FlagRelay, 1), // good, the clocks differ
		made(at+90_000, now.Add(time.Hour), record.FlagRelay, 1),          // dated far ahead
	} {
		f.Add(good, second, false)
		f.Add(second, good, true)
	}
	f.Fuzz(func(t *testing.T, first, second []byte, resign bool) {
		n := &Node{directory: discovery.NewDirectory(hashid.NodeID{}, [32]byte{}, func() time.Time { return now }, slog.New(slog.DiscardHandler))}
		for i, data := range [][]byte{first, second, first, second} {
			if resign && len(data) > 33+ed25519.SignatureSize {
				body := bytes.Clone(data[:len(data)-ed25519.SignatureSize])
				copy(body[1:], private.Public().(ed25519.PublicKey))
				data = append(body, ed25519.Sign(private, append([]byte("chatnt relay descriptor\x00"+string(make([]byte, 32))), body...))...)
			}
			d, err := record.ParseDescriptor([32]byte{}, data)
			verdict := n.judge(data)
			if (verdict == gossip.Reject) != record.IsForged(err) {
				t.Fatalf("message %d: verdict %d, and %v", i, verdict, err)
			}
			if verdict != gossip.Accept {
				continue
			}
			known, ok := n.directory.Lookup(d.ID())
			if i > 1 || d.CheckTime(now) != nil || !ok || known.Sequence != d.Sequence {
				t.Fatalf("message %d: accepted; it is good: %v; known from it: %v", i, d.CheckTime(now), known)
			}
		}
	})
}

// FuzzListen reads any text as an address to listen on. What is accepted is an IP
// address and a port, and is written again as what it was read as.
func FuzzListen(f *testing.F) {
	for _, s := range []string{
		"/ip4/0.0.0.0/tcp/0", "/ip6/::/udp/4001/quic-v1", "/ip6/2001:db8::1/tcp/65535", "/ip4/127.0.0.1/tcp/4001/", "//ip4/127.0.0.1/tcp/1",
		"/ip4/127.0.0.1/tcp/65536", "/ip4/127.0.0.1/tcp/-1", "/ip4/127.0.0.1/tcp/080", "/ip4/127.0.0.1/udp/1", "/ip4/127.0.0.1/tcp/1/ws",
		"/ip4/127.0.0.01/tcp/1", "/dns4/localhost/tcp/1", "/ip6/::ffff:1.2.3.4/tcp/1", "/ip6zone/lo/ip6/fe80::1/tcp/1", "/ip6/fe80::1%lo/tcp/1",
		"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWFZUHujAaTFWkGamZhzUSWCggEpvkH6SBTH1oLHxpQG92", "/unix/tmp/x", "/", "", "\xff", "/ip4/1.2.3.4/tcp/１",
		"/ip4/127.0.0.1/tcp/" + strings.Repeat("0", 200) + "1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseListen(s)
		if err != nil {
			if message := err.Error(); len(message) > 5*maxListen+100 || strings.ContainsAny(message, "\n\x1b") {
				t.Errorf("%q: the error is %q", s, message)
			}
			return
		}
		text := a.String()
		again, err := ParseListen(text)
		if err != nil || !again.Equal(a) || len(text) > 69 {
			t.Errorf("%q is written as %q and read again as %v, %v", s, text, again, err)
		}
		parts := strings.Split(text, "/")
		tcp := len(parts) == 5 && parts[3] == "tcp"
		quic := len(parts) == 6 && parts[3] == "udp" && parts[5] == "quic-v1"
		if !tcp && !quic {
			t.Fatalf("%q is taken for %q", s, text)
		}
		ip, err := netip.ParseAddr(parts[2])
		if err != nil || ip.Zone() != "" || (parts[1] == "ip4") == ip.Is6() {
			t.Errorf("%q names the host %v, %v", text, ip, err)
		}
		if _, err := strconv.ParseUint(parts[4], 10, 16); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := AnyPort([]string{s}); err != nil {
			t.Errorf("%q cannot be opened on another port: %v", s, err)
		}
	})
}

// FuzzConfig reads any bytes as config.toml. What is accepted is written again as
// what it was read as, and errors are one line.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"", "listen = []", "listen = ['/ip4/0.0.0.0/tcp/4001', \"/ip6/::/udp/1/quic-v1\"]\n", "# nothing\r\n", "listen = [\n'/ip4/0.0.0.0/tcp/1', # first\n]",
		"lissen = []", "listen = 1", "listen = [[]]", "listen = ['x']", "listen = []\nlisten = []", "[listen]\na = 1", "[[listen]]", "listen.a.b.c = 1",
		"LISTEN = []", "listen = [\"\\u001b[2J\"]", "listen = ['''/ip4/0.0.0.0/tcp/1''']", "\xff = 1", "\"\\u202e\" = 1", strings.Repeat("[", 5000),
		"a = " + strings.Repeat("{a=", 500), "listen = " + strings.Repeat("[", 5000),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseConfig(raw)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: the error is %q", raw, err)
			}
			return
		}
		if len(raw) > maxConfig {
			t.Fatalf("%d bytes were read", len(raw))
		}
		again, err := toml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseConfig(again); err != nil || !slices.Equal(back.Listen, c.Listen) {
			t.Errorf("%q is written as %q and read again as %v, %v", raw, again, back, err)
		}
	})
}

// FuzzIdentity reads any bytes as stored keys: whatever parses is written again
// to the same bytes.
func FuzzIdentity(f *testing.F) {
	good := append([]byte{identityVersion}, bytes.Repeat([]byte{7}, 64)...)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Add(append([]byte{identityVersion + 1}, good[1:]...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := parseIdentity(b)
		if (err == nil) != (len(b) == len(good) && b[0] == identityVersion) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err == nil && !bytes.Equal(id.append(nil), b) {
			t.Errorf("%x is written again as %x", b, id.append(nil))
		}
	})
}
