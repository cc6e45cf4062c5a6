package integration

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
)

const (
	etherLatency = 10 * time.Millisecond // one way
	etherBuffer  = 4096                  // datagrams that may be under way to one end
)

// ether is a network of UDP sockets in memory. It is all that is not real under
// the hosts of the steady-state tests: in a bubble of testing/synctest a day
// passes on it in minutes. Every datagram takes etherLatency and none is
// reordered. The zero value is a network without sockets.
type ether struct {
	mu   sync.Mutex
	ends map[netip.AddrPort]*etherEnd // guarded by mu
	down bool                         // guarded by mu; nothing arrives
}

// etherEnd is one socket of an ether.
type etherEnd struct {
	ether  *ether
	addr   netip.AddrPort
	in     chan flight
	sent   atomic.Int64  // bytes, without IP and UDP headers
	cut    atomic.Bool   // neither sends nor receives any more
	closed chan struct{} // closed by Close, or by a read deadline
	once   sync.Once
}

// flight is a datagram under way.
type flight struct {
	from netip.AddrPort
	data []byte
	due  time.Time
}

// setDown takes the whole network away, or brings it back.
func (e *ether) setDown(down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = down
}

// listen opens a socket.
func (e *ether) listen(addr netip.AddrPort) *etherEnd {
	end := &etherEnd{ether: e, addr: addr, in: make(chan flight, etherBuffer), closed: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ends == nil {
		e.ends = make(map[netip.AddrPort]*etherEnd)
	}
	e.ends[addr] = end
	return end
}

func (e *etherEnd) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case d := <-e.in:
		time.Sleep(time.Until(d.due))
		return copy(p, d.data), net.UDPAddrFromAddrPort(d.from), nil
	case <-e.closed:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// WriteTo sends a datagram, which is lost if nobody listens there, its reader is
// too far behind, or the network is down.
func (e *etherEnd) WriteTo(p []byte, to net.Addr) (int, error) {
	addr := to.(*net.UDPAddr).AddrPort()
	e.ether.mu.Lock()
	there := e.ether.ends[netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())]
	down := e.ether.down
	e.ether.mu.Unlock()
	if e.cut.Load() {
		return len(p), nil
	}
	e.sent.Add(int64(len(p)))
	if there == nil || there.cut.Load() || down {
		return len(p), nil
	}
	select {
	case there.in <- flight{from: e.addr, data: append([]byte(nil), p...), due: time.Now().Add(etherLatency)}:
	default:
	}
	return len(p), nil
}

func (e *etherEnd) Close() error {
	e.stop()
	e.ether.mu.Lock()
	defer e.ether.mu.Unlock()
	if e.ether.ends[e.addr] == e {
		delete(e.ether.ends, e.addr)
	}
	return nil
}

func (e *etherEnd) stop() { e.once.Do(func() { close(e.closed) }) }

func (e *etherEnd) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(e.addr) }

// SetReadDeadline is what quic-go ends its reading with, and uses for nothing else.
func (e *etherEnd) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		e.stop()
	}
	return nil
}

func (e *etherEnd) SetDeadline(t time.Time) error    { return e.SetReadDeadline(t) }
func (e *etherEnd) SetWriteDeadline(time.Time) error { return nil }
func (e *etherEnd) SetReadBuffer(int) error          { return nil } // quic-go warns without the two
func (e *etherEnd) SetWriteBuffer(int) error         { return nil }

// option has a libp2p host listen on the wire, at an address of its own. What
// closed returns is to be called after the host has been closed, for a libp2p
// that was handed its QUIC sockets does not close them.
func (e *ether) option(addr netip.AddrPort) (opt libp2p.Option, end *etherEnd, closed func() error) {
	end = e.listen(addr)
	var sockets *quicreuse.ConnManager
	opt = libp2p.QUICReuse(quicreuse.NewConnManager,
		func(m *quicreuse.ConnManager) error { sockets = m; return nil },
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return sourceIP(addr), nil }),
		quicreuse.OverrideListenUDP(func(string, *net.UDPAddr) (net.PacketConn, error) { return end, nil }))
	return opt, end, func() error { return sockets.Close() }
}

// sourceIP is the address that a host sends from, whoever it sends to.
type sourceIP netip.AddrPort

func (s sourceIP) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return netip.AddrPort(s).Addr().AsSlice(), nil
}
