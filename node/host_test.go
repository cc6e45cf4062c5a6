package node

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

func addrs(t *testing.T, list string) []multiaddr.Multiaddr {
	t.Helper()
	var all []multiaddr.Multiaddr
	for s := range strings.FieldsSeq(list) {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func TestDialable(t *testing.T) {
	for _, test := range []struct {
		in     string
		public bool
		limit  int
		want   string
	}{
		{in: "", limit: 4, want: ""},
		// Loopback counts when there is nothing else.
		{in: "/ip4/127.0.0.1/tcp/1 /ip6/::1/tcp/1", limit: 4, want: "/ip4/127.0.0.1/tcp/1 /ip6/::1/tcp/1"},
		{in: "/ip4/127.0.0.1/tcp/1", public: true, limit: 4, want: "/ip4/127.0.0.1/tcp/1"},
		{in: "/ip4/127.0.0.1/tcp/1 /ip4/192.168.1.2/tcp/1", limit: 4, want: "/ip4/192.168.1.2/tcp/1"},
		{in: "/ip4/127.0.0.1/tcp/1 /ip4/192.168.1.2/tcp/1", public: true, limit: 4, want: ""},
		// A public network tells public addresses only.
		{in: "/ip4/10.0.0.1/tcp/1 /ip4/1.2.3.4/tcp/1", public: true, limit: 4, want: "/ip4/1.2.3.4/tcp/1"},
		// Public before private, IPv4 before IPv6, else as they come.
		{
			in:    "/ip6/fd00::1/tcp/1 /ip4/10.0.0.1/tcp/1 /ip6/2606:4700::1/tcp/1 /ip4/1.2.3.4/tcp/1 /ip4/1.2.3.4/udp/1/quic-v1",
			limit: 4, want: "/ip4/1.2.3.4/tcp/1 /ip4/1.2.3.4/udp/1/quic-v1 /ip6/2606:4700::1/tcp/1 /ip4/10.0.0.1/tcp/1",
		},
		// Link-local ones reach no further than a cable, and unspecified ones nobody.
		{in: "/ip6/fe80::1/tcp/1 /ip4/0.0.0.0/tcp/1 /ip4/10.0.0.1/tcp/1", limit: 4, want: "/ip4/10.0.0.1/tcp/1"},
		{in: "/ip4/10.0.0.1/tcp/0 /ip4/10.0.0.1/tcp/1", limit: 4, want: "/ip4/10.0.0.1/tcp/1"},
		{in: "/ip4/10.0.0.1/tcp/1 /ip4/10.0.0.2/tcp/1", limit: 1, want: "/ip4/10.0.0.1/tcp/1"},
	} {
		got := strings.Join(texts(dialable(addrs(t, test.in), test.public, test.limit)), " ")
		if got != test.want {
			t.Errorf("dialable(%s, public %v) = %s, want %s", test.in, test.public, got, test.want)
		}
	}
}

func TestExpand(t *testing.T) {
	ifaces := addrs(t, "/ip4/127.0.0.1 /ip4/10.0.0.1 /ip6/::1 /ip6/fe80::1 /ip6/fd00::1")
	for in, want := range map[string]string{
		"/ip4/1.2.3.4/tcp/5":           "/ip4/1.2.3.4/tcp/5",
		"/ip4/0.0.0.0/tcp/5":           "/ip4/127.0.0.1/tcp/5 /ip4/10.0.0.1/tcp/5",
		"/ip6/::/udp/5/quic-v1":        "/ip6/::1/udp/5/quic-v1 /ip6/fd00::1/udp/5/quic-v1",
		"/ip4/127.0.0.1/udp/5/quic-v1": "/ip4/127.0.0.1/udp/5/quic-v1",
	} {
		if got := strings.Join(texts(expand(addrs(t, in)[0], ifaces)), " "); got != want {
			t.Errorf("expand(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestParseListen(t *testing.T) {
	for _, good := range []string{"/ip4/127.0.0.1/tcp/0", "/ip6/::/tcp/4001", "/ip4/0.0.0.0/udp/0/quic-v1"} {
		if a, err := ParseListen(good); err != nil || a.String() != good {
			t.Errorf("ParseListen(%q): %v, %v", good, a, err)
		}
	}
	for _, bad := range []string{
		"", "x", "127.0.0.1:1", "/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/1", "/ip4/127.0.0.1/tcp/1/ws", "/dns4/a/tcp/1", "/tcp/1",
		"/ip4/127.0.0.1/tcp/65536", "/ip4/256.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo",
		"/unix/tmp", "/ip4/127.0.0.1/udp/1/quic-v1/webtransport",
	} {
		if a, err := ParseListen(bad); err == nil || !strings.Contains(err.Error(), "such as /ip4/0.0.0.0/tcp/4001") {
			t.Errorf("ParseListen(%q): %v, %v", bad, a, err)
		}
	}
}

// A port is chosen where any will do, and can be listened on.
func TestFixPorts(t *testing.T) {
	in := addrs(t, "/ip4/127.0.0.1/tcp/0 /ip4/127.0.0.1/udp/0/quic-v1 /ip4/127.0.0.1/tcp/4001")
	fixed, err := FixPorts(in)
	if err != nil || len(fixed) != 3 || !fixed[2].Equal(in[2]) {
		t.Fatalf("FixPorts: %v, %v", fixed, err)
	}
	for i, name := range []string{"tcp", "udp"} {
		port, err := fixed[i].ValueForProtocol(in[i][1].Protocol().Code)
		if n, _ := strconv.Atoi(port); err != nil || n <= 0 || len(fixed[i]) != len(in[i]) || !sameButPort(in[i], fixed[i]) {
			t.Errorf("%s became %s", in[i], fixed[i])
		}
		if name == "tcp" {
			l, err := net.Listen(name, "127.0.0.1:"+port)
			if err != nil {
				t.Errorf("the port is not free: %v", err)
				continue
			}
			l.Close()
		}
	}
	if _, err := FixPorts(addrs(t, "/ip4/192.0.2.1/tcp/0")); err == nil || !strings.Contains(err.Error(), "no free port for /ip4/192.0.2.1/tcp/0") {
		t.Errorf("on an address of nobody: %v", err)
	}
}

func TestSameButPort(t *testing.T) {
	for _, test := range []struct {
		asked, known string
		want         bool
	}{
		{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/5", true},
		{"/ip4/127.0.0.1/tcp/5", "/ip4/127.0.0.1/tcp/5", false}, // nothing is left open
		{"/ip4/127.0.0.1/tcp/6", "/ip4/127.0.0.1/tcp/5", false},
		{"/ip4/0.0.0.0/tcp/0", "/ip4/127.0.0.1/tcp/5", false},
		{"/ip6/::/tcp/0", "/ip4/0.0.0.0/tcp/5", false},
		{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/udp/5/quic-v1", true},
		{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/5", false},
		{"/ip4/127.0.0.1/udp/0", "/ip4/127.0.0.1/tcp/5", false},
	} {
		if got := sameButPort(addrs(t, test.asked)[0], addrs(t, test.known)[0]); got != test.want {
			t.Errorf("sameButPort(%s, %s) = %v", test.asked, test.known, got)
		}
	}
}

// A node asked to listen on any port takes the one that its invites name.
func TestListenWhereInvitesSay(t *testing.T) {
	stored := []string{"/ip4/127.0.0.1/tcp/4001", "/ip6/::1/tcp/4002"}
	for _, test := range []struct {
		asked []string
		want  string
	}{
		{nil, "/ip4/127.0.0.1/tcp/4001 /ip6/::1/tcp/4002"},
		{[]string{"/ip4/127.0.0.1/tcp/0"}, "/ip4/127.0.0.1/tcp/4001"},
		{[]string{"/ip4/127.0.0.1/tcp/5000", "/ip6/::1/tcp/0"}, "/ip4/127.0.0.1/tcp/5000 /ip6/::1/tcp/4002"},
		{[]string{"/ip4/0.0.0.0/tcp/0"}, "/ip4/0.0.0.0/tcp/0"},
	} {
		p, err := Ephemeral(testNetwork(t), stored)
		if err != nil {
			t.Fatal(err)
		}
		n := &Node{profile: p}
		if err := n.setListen(test.asked); err != nil || strings.Join(texts(n.addrs), " ") != test.want || !n.asked {
			t.Errorf("%v: %v, %v, %v", test.asked, n.addrs, n.asked, err)
		}
	}
	n := &Node{profile: testProfile(t)}
	if err := n.setListen(nil); err != nil || n.asked || len(n.addrs) != 2 {
		t.Errorf("by default: %v, %v, %v", n.addrs, n.asked, err)
	}
	if err := n.setListen([]string{"nowhere"}); err == nil {
		t.Error("nowhere was taken")
	}
}

// What an invite names can be dialled, and ends in the node's peer id.
func TestBootstrapAddrs(t *testing.T) {
	p := testProfile(t)
	got, err := p.BootstrapAddrs(addrs(t, "/ip4/127.0.0.1/tcp/4001"), false)
	if err != nil || len(got) != 1 || !strings.HasPrefix(got[0].String(), "/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo") {
		t.Errorf("BootstrapAddrs: %v, %v", got, err)
	}
	if got, err := p.BootstrapAddrs(addrs(t, "/ip4/127.0.0.1/tcp/0"), false); err != nil || len(got) != 0 {
		t.Errorf("without a port: %v, %v", got, err)
	}
}
