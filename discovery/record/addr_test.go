package record

import (
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

func TestCheckAddr(t *testing.T) {
	for _, s := range []string{
		"/ip4/20.0.0.1/tcp/1",
		"/ip4/20.0.0.1/udp/65535/quic-v1",
		"/ip4/127.0.0.1/tcp/4001",
		"/ip4/192.168.1.2/tcp/4001",
		"/ip4/169.254.1.1/tcp/4001",
		"/ip6/::1/tcp/4001",
		"/ip6/fd00::1/udp/4001/quic-v1",
		"/dns4/relay.example.org/tcp/443",
		"/dns6/localhost/udp/443/quic-v1",
		"/dns4/xn--bcher-kva.example/tcp/443",
		"/dns4/9.9.9.a/tcp/443",
		"/dns4/" + strings.Repeat("a", 59) + "/tcp/443",
	} {
		if err := CheckAddr(testAddr(t, s)); err != nil {
			t.Errorf("CheckAddr(%s) = %v", s, err)
		}
	}
	for s, want := range map[string]string{
		"/ip4/20.0.0.1":                                       "neither",
		"/ip4/20.0.0.1/udp/1":                                 "neither",
		"/ip4/20.0.0.1/udp/1/quic":                            "neither",
		"/ip4/20.0.0.1/tcp/1/ws":                              "neither",
		"/ip4/20.0.0.1/tcp/1/quic-v1":                         "neither",
		"/ip4/20.0.0.1/udp/1/quic-v1/webtransport":            "neither",
		"/ip4/20.0.0.1/udp/1/webrtc-direct":                   "neither",
		"/ip4/20.0.0.1/tcp/1/p2p-circuit":                     "neither",
		"/ip4/20.0.0.1/tcp/1/ip4/20.0.0.2/tcp/2":              "neither",
		"/ip4/20.0.0.1/sctp/1":                                "neither",
		"/tcp/1":                                              "neither",
		"/tcp/1/ip4/20.0.0.1":                                 "neither",
		"/dns/example.org/tcp/1":                              "neither",
		"/dnsaddr/example.org":                                "neither",
		"/unix/tmp/socket":                                    "neither",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1":                     "neither",
		"/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N": "neither",
		"/ip4/20.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N": "neither",
		"/ip4/20.0.0.1/tcp/0":                         "port 0",
		"/ip4/20.0.0.1/udp/0/quic-v1":                 "port 0",
		"/ip4/0.0.0.0/tcp/1":                          "names no host",
		"/ip6/::/tcp/1":                               "names no host",
		"/ip4/224.0.0.1/tcp/1":                        "many hosts",
		"/ip4/255.255.255.255/tcp/1":                  "many hosts",
		"/ip6/ff02::1/tcp/1":                          "many hosts",
		"/ip6/::ffff:20.0.0.1/tcp/1":                  "written as an IPv6",
		"/ip6/fe80::1/tcp/1":                          "one link",
		"/dns4/Example.org/tcp/1":                     "host name",
		"/dns4/example.org./tcp/1":                    "host name",
		"/dns4/.org/tcp/1":                            "host name",
		"/dns4/-a.org/tcp/1":                          "host name",
		"/dns4/a-.org/tcp/1":                          "host name",
		"/dns4/a_b.org/tcp/1":                         "host name",
		"/dns4/b\u00fccher.org/tcp/1":                 "host name",
		"/dns4/a\x1b[2J.org/tcp/1":                    "host name",
		"/dns4/20.0.0.1/tcp/1":                        "IP address where",
		"/dns4/1/tcp/1":                               "IP address where",
		"/dns4/" + strings.Repeat("a", 60) + "/tcp/1": "65 bytes",
	} {
		if err := CheckAddr(testAddr(t, s)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckAddr(%q) = %v; want an error with %q", s, err, want)
		}
	}
	for _, a := range []multiaddr.Multiaddr{nil, {}, {multiaddr.Component{}}} {
		if err := CheckAddr(a); err == nil {
			t.Errorf("CheckAddr accepts the empty address %#v", a)
		}
	}
}
