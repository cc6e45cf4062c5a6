package node

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// interfaces are the IP addresses of this machine that reach beyond a cable.
// libp2p looks at them once a minute, which is long for whoever waits for a message.
type interfaces struct {
	mu   sync.Mutex
	now  []netip.Addr  // guarded by mu
	once []netip.Addr  // guarded by mu: had before, the last ones
	main [2]netip.Addr // guarded by mu: what the system sends from, by IPv4 and IPv6; invalid if nothing
	left [2]time.Time  // guarded by mu: when what it sent from was last found gone
	told []string      // guarded by mu: what others are told of this node's addresses
}

// tell notes what others are told, and reports whether it is news.
func (i *interfaces) tell(addrs []string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	news := !slices.Equal(addrs, i.told)
	i.told = addrs
	return news
}

// maxOnce is how many addresses that this machine had before are remembered.
const maxOnce = 64

// look reads the addresses, and reports whether some came or went since it was
// last called.
func (i *interfaces) look() (changed bool) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false // as good as no news
	}
	var now []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			now = append(now, p.Addr().Unmap())
		}
	}
	// Addresses for documentation, which nobody has: only a default route leads there.
	return i.set(now, [2]netip.Addr{source("udp4", "192.0.2.1:9"), source("udp6", "[2001:db8::1]:9")}, time.Now())
}

// source returns the address that this machine would send from to another, or an
// invalid one if no way leads there. Nothing is sent.
func source(network, to string) netip.Addr {
	c, err := net.Dial(network, to) // a datagram socket: this does not wait
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = c.Close() }()
	from, _ := netip.ParseAddrPort(c.LocalAddr().String())
	return from.Addr().Unmap()
}

func (i *interfaces) set(now []netip.Addr, main [2]netip.Addr, at time.Time) (changed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	was := i.now
	for family := range i.left {
		if i.parted(was, now, family) {
			i.left[family] = at
		} else if old := i.main[family]; !main[family].IsValid() && slices.Contains(now, old) {
			main[family] = old // a way that is gone takes its address along, a moment later
		}
	}
	for _, a := range was {
		if !slices.Contains(now, a) {
			changed = true
			i.once = append(slices.DeleteFunc(i.once, func(b netip.Addr) bool { return b == a }), a)
		}
	}
	changed = changed || was != nil && slices.ContainsFunc(now, func(a netip.Addr) bool { return !slices.Contains(was, a) })
	i.once = i.once[max(0, len(i.once)-maxOnce):]
	i.now, i.main = now, main
	return changed
}

// parted reports whether what this machine sent from by one family of addresses is
// no longer its own: the one that it used, or if it used none, all. Called with mu held.
func (i *interfaces) parted(was, now []netip.Addr, family int) bool {
	if i.main[family].IsValid() {
		return slices.Contains(was, i.main[family]) && !slices.Contains(now, i.main[family])
	}
	had := slices.DeleteFunc(slices.Clone(was), func(a netip.Addr) bool { return familyOf(a) != family || a.IsLoopback() })
	return len(had) > 0 && !slices.ContainsFunc(had, func(a netip.Addr) bool { return slices.Contains(now, a) })
}

// familyOf is 0 for IPv4 and 1 for IPv6.
func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// lost reports whether a connection from here to there was opened from an address
// that this machine no longer has. One over QUIC that was dialled has none of its
// own here: it uses what the system sends from, and is lost with that, while the
// address of a container, say, may come and go.
func (i *interfaces) lost(here, there multiaddr.Multiaddr, opened time.Time) bool {
	ip, ok := ipOf(here)
	if !ok || ip.IsLoopback() || ip.IsLinkLocalUnicast() || manet.IsIPLoopback(there) {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if ip.IsUnspecified() {
		to, ok := ipOf(there)
		return ok && !opened.After(i.left[familyOf(to)])
	}
	return slices.Contains(i.once, ip) && !slices.Contains(i.now, ip)
}

// stale reports whether an address was one of this machine's and is no longer.
func (i *interfaces) stale(a multiaddr.Multiaddr) bool {
	ip, ok := ipOf(a)
	i.mu.Lock()
	defer i.mu.Unlock()
	return ok && slices.Contains(i.once, ip) && !slices.Contains(i.now, ip)
}

func ipOf(a multiaddr.Multiaddr) (netip.Addr, bool) {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

// addrsNow returns where this node listens, by the addresses that this machine has
// now, and what others see of it. The order is that of the interfaces: the library
// has none.
func (n *Node) addrsNow() []multiaddr.Multiaddr {
	seen := inOrder(n.host.Addrs())
	ifaces, err := manet.InterfaceMultiaddrs()
	if err != nil {
		return seen
	}
	var all []multiaddr.Multiaddr
	for _, l := range inOrder(n.host.Network().ListenAddresses()) {
		all = append(all, expand(l, ifaces)...)
	}
	for _, a := range seen {
		if !n.local.stale(a) && !slices.ContainsFunc(all, a.Equal) {
			all = append(all, a)
		}
	}
	return all
}

func inOrder(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return slices.SortedFunc(slices.Values(addrs), func(a, b multiaddr.Multiaddr) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
}
