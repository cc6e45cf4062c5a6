package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"chatnt/discovery/dht"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
)

// What one node may use of its machine. The library's own limits grow with the
// machine, to gigabytes.
const (
	hostFDs     = 1024
	hostConns   = 512 // in all, more than the manager lets stay: others come and go
	connsAtOnce = 128 // connections being opened
	connsAtOne  = 32  // connections of one address, on a public network
	connsLow    = 64  // connections kept when too many are open
	connsHigh   = 96
	connsGrace  = 30 * time.Second
	dialTimeout = 5 * time.Second

	// keepAlive is how often a silent connection is tried, from both ends: at the
	// library's half a minute this is a third of what a silent node sends.
	keepAlive = time.Minute

	// streamsOfOne is how many streams one node may have open to this one at a
	// time. One that has just joined a small network needs the most, for its
	// look-ups: 14 were seen. It bounds memory, too: see newResources.
	streamsOfOne = 24
)

// newHost makes the libp2p host of a profile's node, to listen on listen later: TLS 1.3
// on every connection, over TCP alone behind the pre-shared key of a private
// network, over QUIC and TCP on a public one. (QUIC has no pre-shared key.)
func newHost(p *Profile, bans *dht.Bans, listen []multiaddr.Multiaddr) (host.Host, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(p.nodeKey)
	if err != nil {
		return nil, err
	}
	resources, err := newResources(p.network.Public)
	if err != nil {
		return nil, err
	}
	connections, err := connmgr.NewConnManager(connsLow, connsHigh, connmgr.WithGracePeriod(connsGrace))
	if err != nil {
		return nil, err
	}
	opts := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.NoListenAddrs,
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Muxer(yamux.ID, muxer()),
		libp2p.ConnectionGater(bans),
		libp2p.ConnectionManager(connections),
		libp2p.ResourceManager(resources),
		libp2p.WithDialTimeout(dialTimeout),
		libp2p.DisableMetrics(),
		libp2p.Ping(false),
		libp2p.UserAgent("chatnt"),
		// After a hundred dials in vain over QUIC, or over IPv6, the library takes it
		// that this network has none and refuses 99 of the next 100: a node that was
		// cut off for some minutes would stay so. Those who dial here back off themselves.
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
	}
	if p.network.Public {
		opts = append(opts, libp2p.Transport(quic.NewTransport),
			libp2p.NonPublicAddrPublishing(!slices.ContainsFunc(listen, beyondThisMachine)))
	} else {
		opts = append(opts, libp2p.PrivateNetwork(p.network.PSK[:]))
	}
	return libp2p.New(opts...)
}

// muxer carries the streams of a TCP connection. A stream's window is how much
// its other end may send that nobody here reads: the library's grows to 16 MiB,
// for bulk data over long distances; the least it allows is 64 of our frames.
// Nobody needs the round trip time that windows would grow by, so it is not
// measured: the keep-alive alone, once a minute, tells whether a
// connection is dead. A stream too many is refused, and its connection stays.
func muxer() *yamux.Transport {
	m := *yamux.DefaultTransport
	m.MaxStreamWindowSize = m.InitialStreamWindowSize // 256 KiB
	m.MaxIncomingStreams = streamsOfOne
	m.AcceptBacklog = streamsOfOne
	m.MeasureRTTInterval = 24 * time.Hour
	m.KeepAliveInterval = keepAlive
	return &m
}

// beyondThisMachine reports whether others than this machine can reach an address.
func beyondThisMachine(a multiaddr.Multiaddr) bool { return !manet.IsIPLoopback(a) }

// newResources bounds what other nodes may use of this one: how many connections
// there are, and streams of one node. The library bounds, besides, what the streams
// of all nodes use together, so that a few can take it from everyone else:
//
//   - Of streams that have not said what they are for it allows 128.
//   - Of memory it counts a whole window for each stream before a byte has come
//     (muxer), and where there is none left, breaks the connection: forty neighbours
//     that opened streams and said nothing had those of all others broken. Bounded
//     instead is what a connection can hold, 6 MiB, a window for each of streamsOfOne
//     streams. A window holds what was sent and not read, and nobody here leaves
//     a stream unread for more than seconds, but for the one with packets: others
//     would have to send it all again and again.
//   - A connection over QUIC has one window for all its streams, of 768 KiB. The
//     library would let it grow to 15 MiB while there is memory; here it stays.
//
// Its limits for nodes that share an address, eight connections and one in five
// seconds, would keep out most of an office or a family behind one router; on a
// private network the key decides who may come, so there is none but the limit in all.
func newResources(public bool) (libp2pnetwork.ResourceManager, error) {
	opts := []rcmgr.Option{
		rcmgr.WithMetricsDisabled(), // nobody reads them
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: connsAtOne}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: connsAtOne}, {PrefixLength: 48, ConnCount: 2 * connsAtOne}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{ // this machine: no limit
				{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
			},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: connRate()}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: connRate()}},
				GracePeriod:      time.Minute,
			},
		}),
	}
	if !public {
		opts = []rcmgr.Option{
			rcmgr.WithMetricsDisabled(),
			rcmgr.WithLimitPerSubnet([]rcmgr.ConnLimitPerSubnet{}, []rcmgr.ConnLimitPerSubnet{}),
			rcmgr.WithConnRateLimiters(&rate.Limiter{}),
		}
	}
	all := rcmgr.ResourceLimits{Streams: rcmgr.Unlimited, StreamsInbound: rcmgr.Unlimited, StreamsOutbound: rcmgr.Unlimited, Memory: rcmgr.Unlimited64}
	system, opening, one := all, all, all
	system.Conns, system.ConnsInbound, system.ConnsOutbound, system.FD = hostConns, hostConns, hostConns, hostFDs
	opening.Conns, opening.ConnsInbound, opening.ConnsOutbound, opening.FD = connsAtOnce, connsAtOnce, connsAtOnce, hostFDs/4
	one.StreamsInbound = streamsOfOne
	limits := rcmgr.PartialLimitConfig{
		System: system, Transient: opening, PeerDefault: one, ServiceDefault: all, ProtocolDefault: all,
		Conn: rcmgr.ResourceLimits{Memory: rcmgr.BlockAllLimit64}, // by which QUIC's windows would grow
	}
	fixed := limits.Build(rcmgr.DefaultLimits.Scale(0, hostFDs))
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(fixed), opts...)
}

// connRate is how fast the nodes of one address may connect on a public network.
func connRate() rate.Limit { return rate.Limit{RPS: 2, Burst: connsAtOne} }

// DefaultListen is where a node of a network listens unless told otherwise:
// every interface, on ports that are free now. What this machine does not speak,
// such as IPv6, is left out.
func DefaultListen(n *network.Network) ([]multiaddr.Multiaddr, error) {
	addrs, err := listenAddrs(n, nil)
	if err != nil {
		return nil, err
	}
	var fixed []multiaddr.Multiaddr
	for _, a := range addrs {
		f, failed := FixPorts([]multiaddr.Multiaddr{a})
		if err = failed; err == nil {
			fixed = append(fixed, f...)
		}
	}
	if len(fixed) == 0 {
		return nil, err
	}
	return fixed, nil
}

// listenAddrs parses where to listen; nothing means the default.
func listenAddrs(n *network.Network, listen []string) ([]multiaddr.Multiaddr, error) {
	if len(listen) == 0 {
		listen = []string{"/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"}
		if n.Public {
			listen = append(listen, "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1")
		}
	}
	var addrs []multiaddr.Multiaddr
	for _, s := range listen {
		a, err := ParseListen(s)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, a)
	}
	return addrs, CheckListen(n, addrs)
}

// CheckListen tells why a node of a network cannot listen on the addresses, or nil.
func CheckListen(n *network.Network, addrs []multiaddr.Multiaddr) error {
	for _, a := range addrs {
		if _, err := a.ValueForProtocol(multiaddr.P_UDP); err == nil && !n.Public {
			return fmt.Errorf("%s: a private network uses TCP alone, such as /ip4/0.0.0.0/tcp/4001", a)
		}
	}
	return nil
}

// AnyPort returns addresses to listen on with their ports left open, for another
// node on the same interfaces.
func AnyPort(listen []string) ([]string, error) {
	var anyPort []string
	for _, s := range listen {
		a, err := ParseListen(s)
		if err != nil {
			return nil, err
		}
		var open multiaddr.Multiaddr
		for _, c := range a {
			if code := c.Protocol().Code; code == multiaddr.P_TCP || code == multiaddr.P_UDP {
				port, err := multiaddr.NewComponent(c.Protocol().Name, "0")
				if err != nil {
					return nil, err
				}
				c = *port
			}
			open = append(open, c)
		}
		anyPort = append(anyPort, open.String())
	}
	return anyPort, nil
}

// maxListen bounds the text of an address to listen on, in bytes: the longest that
// this program writes has 69.
const maxListen = 128

// ParseListen reads an address to listen on: /ip4 or /ip6, then /tcp or
// /udp/.../quic-v1. Port 0 means any free one.
func ParseListen(s string) (multiaddr.Multiaddr, error) {
	if len(s) > maxListen {
		return nil, fmt.Errorf("an address to listen on has at most %d bytes, this has %d", maxListen, len(s))
	}
	a, err := multiaddr.NewMultiaddr(s)
	if err == nil {
		err = checkListen(a)
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not an address to listen on, such as /ip4/0.0.0.0/tcp/4001", s)
	}
	return a, nil
}

func checkListen(a multiaddr.Multiaddr) error {
	protocols := a.Protocols()
	if len(protocols) < 2 || (protocols[0].Code != multiaddr.P_IP4 && protocols[0].Code != multiaddr.P_IP6) {
		return errors.New("no IP address")
	}
	switch {
	case len(protocols) == 2 && protocols[1].Code == multiaddr.P_TCP:
	case len(protocols) == 3 && protocols[1].Code == multiaddr.P_UDP && protocols[2].Code == multiaddr.P_QUIC_V1:
	default:
		return errors.New("neither tcp nor udp/quic-v1")
	}
	return nil
}

// listen opens the addresses. One that fails fails all if it was asked for; of
// the defaults, one that works is enough (a machine without IPv6).
func listen(h host.Host, addrs []multiaddr.Multiaddr, all bool) error {
	var failed error
	opened := 0
	for _, a := range addrs {
		if err := h.Network().Listen(a); err != nil {
			failed = fmt.Errorf("cannot listen on %s: %w", a, plainListenError(err))
			if all {
				return failed
			}
			continue
		}
		opened++
	}
	if opened == 0 {
		return failed
	}
	return nil
}

// plainListenError says what to do about an address that cannot be opened. The
// library nests the system's error in text, so that is what is looked at.
func plainListenError(err error) error {
	for reason, advice := range map[string]string{
		"address already in use":        "the port is taken by another program: choose another with --listen",
		"permission denied":             "this port needs more rights: choose one above 1023 with --listen",
		"cannot assign requested":       "this machine does not have the address: choose another with --listen",
		"address family not supported":  "this machine does not speak this kind of address: choose another with --listen",
		"no suitable address found":     "this machine does not have the address: choose another with --listen",
		"address not supported by prot": "this machine does not speak this kind of address: choose another with --listen",
	} {
		if strings.Contains(err.Error(), reason) {
			return errors.New(advice)
		}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// maxInviteAddrs is how many of its own addresses a node puts into an invite.
const maxInviteAddrs = 4

// FixPorts returns the addresses to listen on with every port 0 replaced by one
// that is free now, so that an invite can name it before the node runs.
func FixPorts(addrs []multiaddr.Multiaddr) ([]multiaddr.Multiaddr, error) {
	var fixed []multiaddr.Multiaddr
	for _, a := range addrs {
		f, err := fixPort(a)
		if err != nil {
			return nil, fmt.Errorf("no free port for %s: %w", a, err)
		}
		fixed = append(fixed, f)
	}
	return fixed, nil
}

func fixPort(a multiaddr.Multiaddr) (multiaddr.Multiaddr, error) {
	code := multiaddr.P_TCP
	port, err := a.ValueForProtocol(code)
	if err != nil {
		code = multiaddr.P_UDP
		if port, err = a.ValueForProtocol(code); err != nil {
			return nil, err
		}
	}
	if port != "0" {
		return a, nil
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return nil, err
	}
	var free int
	if code == multiaddr.P_TCP {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip})
		if err != nil {
			return nil, plainListenError(err)
		}
		free = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return nil, err
		}
	} else {
		l, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
		if err != nil {
			return nil, plainListenError(err)
		}
		free = l.LocalAddr().(*net.UDPAddr).Port
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	var fixed multiaddr.Multiaddr
	for _, c := range a {
		if c.Protocol().Code == code {
			part, err := multiaddr.NewComponent(c.Protocol().Name, strconv.Itoa(free))
			if err != nil {
				return nil, err
			}
			c = *part
		}
		fixed = append(fixed, c)
	}
	return fixed, nil
}

// BootstrapAddrs returns what an invite names for a node of this profile that
// will listen on addrs: dialable addresses followed by the node's peer id.
func (p *Profile) BootstrapAddrs(addrs []multiaddr.Multiaddr, public bool) ([]multiaddr.Multiaddr, error) {
	ifaces, err := manet.InterfaceMultiaddrs()
	if err != nil {
		return nil, err
	}
	var resolved []multiaddr.Multiaddr
	for _, a := range addrs {
		resolved = append(resolved, expand(a, ifaces)...)
	}
	return p.withPeerID(dialable(resolved, public, maxInviteAddrs))
}

func (p *Profile) withPeerID(addrs []multiaddr.Multiaddr) ([]multiaddr.Multiaddr, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(p.nodePublic())
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPublicKey(pub)
	if err != nil {
		return nil, err
	}
	suffix, err := multiaddr.NewComponent("p2p", id.String())
	if err != nil {
		return nil, err
	}
	var full []multiaddr.Multiaddr
	for _, a := range addrs {
		full = append(full, append(slices.Clone(a), *suffix))
	}
	return full, nil
}

// expand replaces an unspecified IP address by those of the interfaces.
func expand(a multiaddr.Multiaddr, ifaces []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	if !manet.IsIPUnspecified(a) {
		return []multiaddr.Multiaddr{a}
	}
	var expanded []multiaddr.Multiaddr
	for _, i := range ifaces {
		if len(i) > 0 && i[0].Protocol().Code == a[0].Protocol().Code && !manet.IsIP6LinkLocal(i) {
			expanded = append(expanded, append(multiaddr.Multiaddr{i[0]}, a[1:]...))
		}
	}
	return expanded
}

// dialable keeps at most limit of the addresses that others may be told of, the
// most useful first. On a public network that is public addresses; on a private
// one, every address that reaches beyond this machine. Addresses of this machine
// alone are told only if there are no others: then all of the network is here.
func dialable(addrs []multiaddr.Multiaddr, public bool, limit int) []multiaddr.Multiaddr {
	var wide, local []multiaddr.Multiaddr
	for _, a := range addrs {
		switch {
		case record.CheckAddr(a) != nil || manet.IsIP6LinkLocal(a):
		case manet.IsIPLoopback(a):
			local = append(local, a)
		case !public || manet.IsPublicAddr(a):
			wide = append(wide, a)
		}
	}
	if len(wide) == 0 && len(local) == len(addrs) {
		wide = local
	}
	slices.SortStableFunc(wide, func(a, b multiaddr.Multiaddr) int { return rank(a) - rank(b) })
	return wide[:min(len(wide), limit)]
}

// rank orders addresses by how likely they are to be reached: public before
// private, IPv4 before IPv6.
func rank(a multiaddr.Multiaddr) int {
	r := 0
	if !manet.IsPublicAddr(a) {
		r += 2
	}
	if len(a) > 0 && a[0].Protocol().Code == multiaddr.P_IP6 {
		r++
	}
	return r
}
