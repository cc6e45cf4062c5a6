package node

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	watchEvery = time.Second // the clock and the addresses are looked at

	// jumpAfter is how far the clock must have jumped for the node to start over.
	// Shorter pauses do not break a connection: a neighbour that hears nothing
	// gives it up after 30 to 40 seconds (yamux's keep-alive).
	jumpAfter = 30 * time.Second

	closeWait = 500 * time.Millisecond // for dead connections to close
)

// pulse tells that the clock on the wall went further, or less far, than time
// did. This machine has slept then, or this process was stopped, or somebody
// has set the clock. (While a machine sleeps timers stand still, and so does what
// the system calls monotonic time; while a process is stopped they do not. The
// wall clock goes on in both cases.)
type pulse struct{ last time.Time }

// beat takes a reading of the wall clock, to be called every watchEvery, and
// returns by how much it is ahead of where it should be.
func (p *pulse) beat(now time.Time) time.Duration {
	now = now.Round(0) // the wall clock's reading alone
	last := p.last
	p.last = now
	if last.IsZero() {
		return 0
	}
	return now.Sub(last) - watchEvery
}

// watch has the node start over when the clock has jumped, or when an address of
// this machine that was in use is gone, until ctx ends.
func (n *Node) watch(ctx context.Context) {
	var (
		pulse pulse
		wg    sync.WaitGroup
	)
	defer wg.Wait()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	n.local.look()
	pulse.beat(n.now())
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		jump := pulse.beat(n.now())
		came, gone := n.local.look()
		switch {
		case jump.Abs() >= jumpAfter:
			n.log.Info("the clock jumped: starting over", "seconds", int(jump.Seconds()))
			n.startOver(&wg, n.host.Network().Conns())
		case came || gone:
			conns := n.host.Network().Conns()
			dead := slices.DeleteFunc(slices.Clone(conns), func(c libp2pnetwork.Conn) bool {
				return n.local.has(c.LocalMultiaddr())
			})
			if len(dead) > 0 || len(conns) == 0 {
				n.log.Info("this machine's addresses changed: starting over", "connections", len(dead))
				n.startOver(&wg, dead)
			} else {
				n.renewIfMoved()
			}
		}
	}
}

// renewIfMoved publishes anew if the addresses that others are told of have changed.
func (n *Node) renewIfMoved() {
	if n.local.tell(texts(n.published())) {
		n.publisher.Renew()
	}
}

// startOver closes connections that are dead, though no one has said so, and
// has every part of the node do at once what it would do later: find others,
// dial relays, publish, send. What they know of who can be reached, and how long
// to leave it alone, is from before.
func (n *Node) startOver(wg *sync.WaitGroup, dead []libp2pnetwork.Conn) {
	n.local.tell(texts(n.published()))
	var closing sync.WaitGroup
	for _, c := range dead {
		closing.Go(func() { _ = c.Close() }) // nobody is there to be told
	}
	closed := make(chan struct{})
	wg.Go(func() {
		closing.Wait()
		close(closed)
	})
	select {
	case <-closed:
	case <-time.After(closeWait): // they are out of the way: the host has forgotten them
	}
	n.table.Retry()
	n.directory.Redial()
	n.finder.Retry()
	n.publisher.Renew()
	n.messenger.retry()
	n.clocks.retry()
}

// interfaces are the IP addresses of this machine. libp2p looks at them once a
// minute, which is long for whoever waits for a message.
type interfaces struct {
	mu   sync.Mutex
	now  []netip.Addr // guarded by mu
	once []netip.Addr // guarded by mu: had before, the last ones
	told []string     // guarded by mu: what others are told of this node's addresses
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

// look reads the addresses, and reports whether there are new ones and whether
// some are gone since it was last called.
func (i *interfaces) look() (came, gone bool) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false, false // as good as no news
	}
	var now []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			now = append(now, p.Addr().Unmap())
		}
	}
	return i.set(now)
}

func (i *interfaces) set(now []netip.Addr) (came, gone bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	was := i.now
	for _, a := range was {
		if !slices.Contains(now, a) {
			gone = true
			i.once = append(i.once, a)
		}
	}
	came = was != nil && slices.ContainsFunc(now, func(a netip.Addr) bool { return !slices.Contains(was, a) })
	i.once = i.once[max(0, len(i.once)-maxOnce):]
	i.now = now
	return came, gone
}

// has reports whether an address is one of this machine's now.
func (i *interfaces) has(a multiaddr.Multiaddr) bool {
	ip, ok := ipOf(a)
	i.mu.Lock()
	defer i.mu.Unlock()
	return ok && (ip.IsLoopback() || slices.Contains(i.now, ip))
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
// now, and what others see of it.
func (n *Node) addrsNow() []multiaddr.Multiaddr {
	ifaces, err := manet.InterfaceMultiaddrs()
	if err != nil {
		return n.host.Addrs()
	}
	var all []multiaddr.Multiaddr
	for _, l := range n.host.Network().ListenAddresses() {
		all = append(all, expand(l, ifaces)...)
	}
	for _, a := range n.host.Addrs() {
		if !n.local.stale(a) && !slices.ContainsFunc(all, a.Equal) {
			all = append(all, a)
		}
	}
	return all
}
