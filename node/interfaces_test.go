package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"chatnt/discovery/network"
)

func ips(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range texts {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func TestInterfaces(t *testing.T) {
	var i interfaces
	for _, step := range []struct {
		now     []netip.Addr
		changed bool
	}{
		{ips("127.0.0.1", "10.0.0.3"), false}, // the first look
		{ips("10.0.0.3", "127.0.0.1"), false},
		{ips("127.0.0.1", "10.0.0.3", "fd00::1"), true},
		{ips("127.0.0.1", "fd00::1"), true},
		{ips("127.0.0.1", "fd00::1", "10.0.0.4"), true},
		{ips("127.0.0.1", "10.0.0.5"), true},
	} {
		if changed := i.set(step.now, [2]netip.Addr{}, time.Now()); changed != step.changed {
			t.Errorf("%v: changed %v", step.now, changed)
		}
	}
	for a, stale := range map[string]bool{
		"/ip4/10.0.0.5/tcp/1":        false,
		"/ip4/10.0.0.3/tcp/1":        true,
		"/ip6/fd00::1/tcp/1":         true,
		"/ip4/1.2.3.4/tcp/1":         false, // as others see this machine
		"/ip4/0.0.0.0/udp/1/quic-v1": false,
	} {
		if got := i.stale(addrs(t, a)[0]); got != stale {
			t.Errorf("stale(%s) = %v", a, got)
		}
	}
	i.set(ips("10.0.0.3"), [2]netip.Addr{}, time.Now())
	if i.stale(addrs(t, "/ip4/10.0.0.3/tcp/1")[0]) {
		t.Error("an address that came back is stale")
	}
	for n := range byte(200) {
		i.set([]netip.Addr{netip.AddrFrom4([4]byte{10, 1, 1, n})}, [2]netip.Addr{}, time.Now())
	}
	if len(i.once) > maxOnce {
		t.Errorf("%d addresses of before are remembered", len(i.once))
	}
}

// A connection is lost with the address that it was opened from, and with no other.
func TestLostConnections(t *testing.T) {
	const (
		lan    = "192.168.1.5"
		bridge = "172.17.0.1" // of containers
		away   = "/ip4/1.2.3.4/udp/1/quic-v1"
		away6  = "/ip6/2606:4700::1/udp/1/quic-v1"
		quic   = "/ip4/0.0.0.0/udp/1/quic-v1"
		quic6  = "/ip6/::/udp/1/quic-v1"
	)
	type look struct {
		now  []netip.Addr
		main string // of IPv4
	}
	before := look{ips("127.0.0.1", "::1", lan, "fd00::1"), lan}
	for name, test := range map[string]struct {
		looks       []look
		here, there string
		lost        bool
	}{
		"nothing changed":                 {[]look{before, before}, quic, away, false},
		"a container starts":              {[]look{before, {append(ips(bridge), before.now...), lan}}, quic, away, false},
		"a container ends":                {[]look{{append(ips(bridge), before.now...), lan}, before}, quic, away, false},
		"... and had the connection":      {[]look{{append(ips(bridge), before.now...), lan}, before}, "/ip4/" + bridge + "/tcp/1", "/ip4/172.17.0.2/tcp/1", true},
		"another address came":            {[]look{before, {append(ips("10.0.0.9"), before.now...), "10.0.0.9"}}, quic, away, false},
		"another network, QUIC":           {[]look{before, {ips("127.0.0.1", "10.0.0.9"), "10.0.0.9"}}, quic, away, true},
		"another network, TCP":            {[]look{before, {ips("127.0.0.1", "10.0.0.9"), "10.0.0.9"}}, "/ip4/" + lan + "/tcp/1", "/ip4/1.2.3.4/tcp/1", true},
		"no network":                      {[]look{before, {ips("127.0.0.1"), ""}}, quic, away, true},
		"first the way, then the address": {[]look{before, {before.now, ""}, {ips("127.0.0.1", bridge, "fd00::1"), ""}}, quic, away, true},
		"no way beyond here":              {[]look{{ips("127.0.0.1", lan), ""}, {ips("127.0.0.1", "192.168.1.6"), ""}}, quic, away, true},
		"... and one address of two left": {[]look{{ips("127.0.0.1", lan, bridge), ""}, {ips("127.0.0.1", lan), ""}}, quic, away, false},
		"the other family":                {[]look{before, {ips("127.0.0.1", "fd00::1"), ""}}, quic6, away6, false},
		"within this machine":             {[]look{before, {ips("127.0.0.1"), ""}}, quic, "/ip4/127.0.0.1/udp/2/quic-v1", false},
		"on one cable":                    {[]look{before, {ips("127.0.0.1"), ""}}, "/ip6/fe80::1/tcp/1", "/ip6/fe80::2/tcp/1", false},
		"an address it never had":         {[]look{before, {ips("127.0.0.1"), ""}}, "/ip4/9.9.9.9/tcp/1", "/ip4/1.2.3.4/tcp/1", false},
	} {
		var i interfaces
		at := time.Now()
		opened := at
		for _, l := range test.looks {
			var main [2]netip.Addr
			if l.main != "" {
				main[0] = netip.MustParseAddr(l.main)
			}
			at = at.Add(time.Second)
			i.set(l.now, main, at)
		}
		here, there := addrs(t, test.here)[0], addrs(t, test.there)[0]
		if got := i.lost(here, there, opened); got != test.lost {
			t.Errorf("%s: lost %v", name, got)
		}
		if ip, _ := ipOf(here); ip.IsUnspecified() && i.lost(here, there, at.Add(time.Second)) {
			t.Errorf("%s: what was opened since is lost", name)
		}
	}
}

// What was dialled over QUIC has no address of its own, and stands when addresses
// that it does not use come and go.
func TestQUICOutlivesOtherAddresses(t *testing.T) {
	net, err := network.New("family", 3, true)
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{host: testHost(t, net, "/ip4/0.0.0.0/udp/0/quic-v1")}
	other := testHost(t, net, "/ip4/127.0.0.1/udp/0/quic-v1")
	if err := n.host.Connect(t.Context(), peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
		t.Fatal(err)
	}
	conns := n.host.Network().Conns()
	if len(conns) == 0 || conns[0].Stat().Opened.IsZero() {
		t.Fatalf("connections %v: none, or opened nobody knows when", conns)
	}
	n.local.look()
	now, main := slices.Clone(n.local.now), n.local.main
	n.local.set(append(now, ips("172.17.0.1")...), main, time.Now())
	n.local.set(now, main, time.Now())
	if slices.ContainsFunc(conns, func(c libp2pnetwork.Conn) bool { return !n.alive(c) }) {
		t.Error("a connection is taken for dead when a container has ended")
	}
}

// The addresses that others are told of come in one order, and so does what is
// left when there are too many.
func TestAddressesHaveAnOrder(t *testing.T) {
	net, err := network.New("family", 3, true)
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{host: testHost(t, net, "/ip4/0.0.0.0/tcp/0", "/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/127.0.0.1/udp/0/quic-v1")}
	told := func() []string { return texts(dialable(n.addrsNow(), false, 3)) }
	if first := told(); !n.local.tell(first) || len(first) == 0 {
		t.Fatalf("the first addresses are no news: %v", first)
	}
	for range 100 {
		if again := told(); n.local.tell(again) {
			t.Fatalf("the same addresses are news: %v", again)
		}
	}
}
