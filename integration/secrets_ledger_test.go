package integration

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
)

// ledger collects what must stay secret.
type ledger struct {
	t       *testing.T
	secrets []secret
}

func (l *ledger) text(what string, texts ...string) {
	for _, text := range texts {
		l.secrets = append(l.secrets, newTextSecret(what, text))
	}
}

// key adds a value that looks random. Half of it would be enough of it.
func (l *ledger) key(what string, raw []byte) {
	l.secrets = append(l.secrets,
		newSecret(what+", its beginning", raw[:8]), newSecret(what+", its end", raw[len(raw)-8:]))
}

func (l *ledger) person(text string) {
	l.t.Helper()
	id, err := hashid.Parse(text)
	if err != nil {
		l.t.Fatal(err)
	}
	l.key("a hashid", id[:])
	l.text("the beginning of a hashid", text[:10])
	l.text("the end of a hashid", text[len(text)-10:])
}

// hexadecimal adds a node id, or a text's id.
func (l *ledger) hexadecimal(what, text string) {
	l.t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		l.t.Fatal(err)
	}
	l.key(what, raw)
}

// address adds an address and, if it names one, the node there.
func (l *ledger) address(text string) {
	l.t.Helper()
	addr, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		l.t.Fatal(err)
	}
	at, id := peer.SplitAddr(addr)
	port, err := at.ValueForProtocol(multiaddr.P_TCP)
	if err != nil {
		l.t.Fatal(err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		l.t.Fatal(err)
	}
	l.text("an address", at.String(), "127.0.0.1:"+port)
	// As records carry it, and as a socket's address.
	l.secrets = append(l.secrets, newSecret("an address in bytes", at.Bytes()),
		newSecret("an address and port in bytes", binary.BigEndian.AppendUint16([]byte{127, 0, 0, 1}, uint16(n))))
	if id == "" {
		return
	}
	l.text("libp2p's id of a node", id.String()[len(id.String())-shortestForm:])
	key, err := id.ExtractPublicKey()
	if err != nil {
		l.t.Fatal(err)
	}
	raw, err := key.Raw()
	if err != nil {
		l.t.Fatal(err)
	}
	l.key("a node's key", raw)
}

// invite adds what opens a network, and where its nodes are.
func (l *ledger) invite(text string) *network.Network {
	l.t.Helper()
	invite, err := network.ParseInvite(text)
	if err != nil {
		l.t.Fatal(err)
	}
	net := invite.Network
	id := net.ID()
	l.key("the network's id", id[:16])
	l.key("the network's key", net.PSK[:])
	l.key("the network's nonce", net.Nonce[:])
	l.text("the network's name", net.Name)
	l.text("an invite", text)
	if !invite.Link.IsZero() {
		l.key("a link key", invite.Link[:])
	}
	for _, a := range net.Bootstrap {
		l.address(a.String())
	}
	return net
}

// all adds what a run of the program has told of itself: its ids, its addresses,
// and the ids of texts.
func (l *ledger) all(p *process) {
	l.t.Helper()
	ids := make(map[string]bool)
	for _, e := range p.all() {
		if e["event"] == "ready" {
			l.person(e["hashid"].(string))
			l.hexadecimal("a node id", e["node"].(string))
			for _, a := range e["listen"].([]any) {
				l.address(a.(string))
			}
		}
		if id, ok := e["id"].(string); ok && !ids[id] {
			ids[id] = true
			l.hexadecimal("a text's id", id)
		}
	}
}

// check fails the test where something secret, or what looks like it, lies in what
// is called name.
func (l *ledger) check(name string, b []byte) {
	l.t.Helper()
	for _, found := range finds(b, l.secrets) {
		l.t.Errorf("%s (%d bytes) holds %s", name, len(b), found)
	}
}
