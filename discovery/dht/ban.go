package dht

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	banTime = time.Hour
	maxBans = 4096
)

// Bans refuses connections from and to nodes that served forged records, and on
// a public network to addresses that a stranger may not have this node dial. It
// is the host's connection gater. The zero value refuses nothing.
type Bans struct {
	mu      sync.Mutex                       // guards the fields below
	until   map[peer.ID]time.Time            // by whom
	mayDial func(a multiaddr.Multiaddr) bool // nil: every address
}

// Add bans p for an hour. When the list is full, the ban that ends first goes.
func (b *Bans) Add(p peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.until == nil {
		b.until = make(map[peer.ID]time.Time)
	}
	if len(b.until) >= maxBans {
		b.makeRoom(now)
	}
	b.until[p] = now.Add(banTime)
}

func (b *Bans) makeRoom(now time.Time) {
	var first peer.ID
	for p, end := range b.until {
		if now.After(end) {
			delete(b.until, p)
		} else if first == "" || end.Before(b.until[first]) {
			first = p
		}
	}
	if len(b.until) >= maxBans {
		delete(b.until, first)
	}
}

// Banned reports whether p is banned now.
func (b *Bans) Banned(p peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	end, ok := b.until[p]
	return ok && time.Now().Before(end)
}

// Len is the number of bans kept.
func (b *Bans) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.until)
}

// InterceptPeerDial refuses to dial a banned node.
func (b *Bans) InterceptPeerDial(p peer.ID) bool { return !b.Banned(p) }

// InterceptAddrDial refuses addresses that are not to be dialled, whoever named
// them.
func (b *Bans) InterceptAddrDial(_ peer.ID, a multiaddr.Multiaddr) bool {
	b.mu.Lock()
	mayDial := b.mayDial
	b.mu.Unlock()
	return mayDial == nil || mayDial(a)
}

// dialOnly has the host dial only addresses for which mayDial holds.
func (b *Bans) dialOnly(mayDial func(a multiaddr.Multiaddr) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mayDial = mayDial
}

// InterceptAccept allows every connection until it is known whose it is.
func (b *Bans) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured refuses a banned node once its key is proven.
func (b *Bans) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return !b.Banned(p)
}

// InterceptUpgraded allows what InterceptSecured allowed.
func (b *Bans) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
