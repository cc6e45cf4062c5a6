package record

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/multiformats/go-multiaddr"
)

// CheckAddr tells whether an address may stand in a descriptor. It names one
// host and one port that any node can dial, over TCP or QUIC:
//
//	/ip4|ip6|dns4|dns6/HOST/tcp/PORT
//	/ip4|ip6|dns4|dns6/HOST/udp/PORT/quic-v1
//
// Everything else is refused, relayed addresses and peer ids among it: a
// descriptor must not be able to send its readers where they would not go.
func CheckAddr(a multiaddr.Multiaddr) error {
	if n := len(a.Bytes()); n > MaxAddr {
		return fmt.Errorf("an address is %d bytes long, more than %d", n, MaxAddr)
	}
	if !hasForm(a) {
		return errors.New("an address is neither a host and a TCP port nor a host, a UDP port and quic-v1")
	}
	if port := a[1].RawValue(); port[0] == 0 && port[1] == 0 {
		return errors.New("an address has port 0")
	}
	switch host := a[0]; host.Protocol().Code {
	case multiaddr.P_IP4, multiaddr.P_IP6:
		return checkIP(host.RawValue())
	default:
		return checkName(host.Value())
	}
}

func hasForm(a multiaddr.Multiaddr) bool {
	codes := make([]int, len(a))
	for i, c := range a {
		codes[i] = c.Protocol().Code
	}
	if len(codes) < 2 {
		return false
	}
	switch codes[0] {
	case multiaddr.P_IP4, multiaddr.P_IP6, multiaddr.P_DNS4, multiaddr.P_DNS6:
	default:
		return false
	}
	switch codes[1] {
	case multiaddr.P_TCP:
		return len(codes) == 2
	case multiaddr.P_UDP:
		return len(codes) == 3 && codes[2] == multiaddr.P_QUIC_V1
	}
	return false
}

// checkIP refuses addresses that nobody can dial from elsewhere. Loopback and
// private ones stay: whole networks live there.
func checkIP(raw []byte) error {
	ip, ok := netip.AddrFromSlice(raw)
	switch {
	case !ok || ip.IsUnspecified():
		return errors.New("an address names no host")
	case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return errors.New("an address names many hosts")
	case ip.Is4In6():
		return errors.New("an IPv4 address is written as an IPv6 one")
	case ip.Is6() && ip.IsLinkLocalUnicast():
		return errors.New("an IPv6 address is of use on one link only")
	}
	return nil
}

// checkName accepts host names as RFC 1123, section 2.1 has them, lower-case
// and without the final dot. A last label of digits alone would make the name
// an IPv4 address to many resolvers.
func checkName(name string) error {
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return errors.New("an address has a host name that is not valid")
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return errors.New("an address has an IP address where a host name belongs")
	}
	return nil
}

func isLabel(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
