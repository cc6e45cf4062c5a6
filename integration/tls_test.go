package integration

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/salsa20"

	"chatnt/discovery/network"
)

// From TLS 1.3 (RFC 8446) and draft-ietf-tls-ecdhe-mlkem.
const (
	versionTLS13          = 0x0304
	groupX25519MLKEM768   = 0x11EC
	shareX25519MLKEM768   = 1088 + 32 // the server's: an ML-KEM ciphertext, an X25519 key
	recordHandshake       = 22
	handshakeServerHello  = 2
	extensionKeyShare     = 51
	extensionVersions     = 43
	quicVersion1          = 1
	quicLongInitial       = 0xC0 // of the first byte under 0xF0, header protection aside
	quicFrameCrypto       = 6
	quicServerInitialInfo = "server in"
)

// TestKeyExchange listens on the wire between two nodes and reads in the server's
// half of the TLS handshake which version and which key exchange they agreed on.
func TestKeyExchange(t *testing.T) {
	for _, tt := range []struct {
		name   string
		public bool
		listen string
		hello  func(net *network.Network, w *wire) ([]byte, error)
	}{
		{"private TCP", false, loopback, func(net *network.Network, w *wire) ([]byte, error) {
			plain, err := unshield(net.PSK, w.fromServer())
			if err != nil {
				return nil, err
			}
			return helloTCP(plain)
		}},
		{"public TCP", true, loopback, func(_ *network.Network, w *wire) ([]byte, error) {
			return helloTCP(w.fromServer())
		}},
		{"public QUIC", true, "/ip4/127.0.0.1/udp/0/quic-v1", func(_ *network.Network, w *wire) ([]byte, error) {
			return helloQUIC(w.datagrams())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			goHome(t)
			people := newPeople(t, newNetwork(t, tt.public), 2)
			server, client := people[0], people[1]
			server.startAt(tt.listen)
			joined := server.invited()
			w := newWire(t, joined.Bootstrap[0])
			joined.Bootstrap = []multiaddr.Multiaddr{w.addr}
			client.join(joined)
			client.startAt(tt.listen)
			client.awaitRelays(1)
			server.awaitRelays(1)

			hello, err := tt.hello(joined, w)
			if err != nil {
				t.Fatal(err)
			}
			version, group, share, err := parseServerHello(hello)
			if err != nil {
				t.Fatal(err)
			}
			if version != versionTLS13 {
				t.Errorf("the version is %#04x, want TLS 1.3, %#04x", version, versionTLS13)
			}
			if group != groupX25519MLKEM768 || share != shareX25519MLKEM768 {
				t.Errorf("the key exchange is group %#04x with a share of %d bytes, want X25519MLKEM768, %#04x with %d",
					group, share, groupX25519MLKEM768, shareX25519MLKEM768)
			}
		})
	}
}

// TestPrivateNetworkIsClosed knocks at a private network without its key.
func TestPrivateNetworkIsClosed(t *testing.T) {
	goHome(t)
	private := newNetwork(t, false)
	p := newPeople(t, private, 1)[0]
	p.start()
	at := p.invited().Bootstrap[0]

	const hello = "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n"
	names := []string{"multistream", "tls", "yamux", "chatnt", "noise", "/1.0.0", "na\n"}
	none := func(t *testing.T, what string, said []byte) {
		t.Helper()
		for _, name := range names {
			if bytes.Contains(said, []byte(name)) {
				t.Errorf("%s, the node says %q to whoever has no key", what, name)
			}
		}
	}
	t.Run("plain", func(t *testing.T) {
		said := knock(t, at, []byte(strings.Repeat(hello, 20)))
		none(t, "asked in plain", said)
		// So that this shows something: with the key, there are names in it.
		if plain, err := unshield(private.PSK, said); err != nil || !bytes.Contains(plain, []byte("multistream")) {
			t.Errorf("even with the key there is nothing to be read in %q (%v)", said, err)
		}
	})
	t.Run("wrong key", func(t *testing.T) {
		wrong := newNetwork(t, false).PSK
		said := knock(t, at, shield(wrong, []byte(strings.Repeat(hello, 20))))
		none(t, "asked under another key", said)
		plain, err := unshield(wrong, said)
		if err != nil {
			t.Fatal(err)
		}
		none(t, "asked under another key and read with it", plain)
	})
	t.Run("hosts", func(t *testing.T) {
		info, err := peer.AddrInfoFromP2pAddr(at)
		if err != nil {
			t.Fatal(err)
		}
		for what, net := range map[string]*network.Network{
			"no key": newNetwork(t, true), "another key": newNetwork(t, false), "the key": private,
		} {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			h := newHost(t, key, net, libp2p.NoListenAddrs)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			err = h.Connect(ctx, *info)
			cancel()
			if right := what == "the key"; (err == nil) != right {
				t.Errorf("connecting with %s: %v", what, err)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	if got := p.node.Status().Known; got != 0 {
		t.Errorf("the node took %d strangers for relays", got)
	}
}

// knock dials a node over TCP, says something and returns what it answers until
// it hangs up.
func knock(t *testing.T, at multiaddr.Multiaddr, say []byte) []byte {
	t.Helper()
	c, err := net.Dial("tcp", hostPort(t, at))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(say); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("the node did not hang up, after %d bytes", len(said))
	}
	return said // a reset is as good as an end
}

func hostPort(t testing.TB, at multiaddr.Multiaddr) string {
	t.Helper()
	bare, _ := multiaddr.SplitFunc(at, func(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_QUIC_V1 })
	bare = bare.Decapsulate(multiaddr.StringCast("/p2p/" + mustID(t, at)))
	addr, err := manet.ToNetAddr(bare)
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

func mustID(t testing.TB, at multiaddr.Multiaddr) string {
	t.Helper()
	id, err := at.ValueForProtocol(multiaddr.P_P2P)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// shield and unshield encrypt as libp2p does behind a pre-shared key: a nonce,
// then XSalsa20 over everything (libp2p specification, pnet/Private-Networks-PSK-V1.md).
func shield(psk [32]byte, plain []byte) []byte {
	said := make([]byte, 24+len(plain))
	rand.Read(said[:24])
	salsa20.XORKeyStream(said[24:], plain, said[:24], &psk)
	return said
}

func unshield(psk [32]byte, said []byte) ([]byte, error) {
	if len(said) < 24 {
		return nil, fmt.Errorf("%d bytes, which is no nonce", len(said))
	}
	out := make([]byte, len(said)-24)
	salsa20.XORKeyStream(out, said[24:], said[:24], &psk)
	return out, nil
}

// helloTCP returns the first handshake message of what a server says over TCP:
// lines of multistream-select in plain, then TLS.
func helloTCP(s cryptobyte.String) ([]byte, error) {
	for len(s) > 0 && s[0] != recordHandshake {
		var line cryptobyte.String
		if !s.ReadUint8LengthPrefixed(&line) || len(line) == 0 || line[len(line)-1] != '\n' {
			return nil, fmt.Errorf("neither multistream-select nor TLS: %q", []byte(s)[:min(len(s), 40)])
		}
	}
	var (
		kind    uint8
		version uint16
		record  cryptobyte.String
	)
	if !s.ReadUint8(&kind) || !s.ReadUint16(&version) || !s.ReadUint16LengthPrefixed(&record) {
		return nil, errors.New("no whole TLS record")
	}
	return record, nil
}

// parseServerHello reads the version, the group and the length of the key share
// that a server chose (RFC 8446, section 4.1.3).
func parseServerHello(b []byte) (version, group uint16, share int, err error) {
	var (
		s                      = cryptobyte.String(b)
		kind, compression      uint8
		hello, session, extens cryptobyte.String
		key                    cryptobyte.String
	)
	if !s.ReadUint8(&kind) || kind != handshakeServerHello || !s.ReadUint24LengthPrefixed(&hello) ||
		!hello.Skip(2+32) || !hello.ReadUint8LengthPrefixed(&session) || !hello.Skip(2) ||
		!hello.ReadUint8(&compression) || !hello.ReadUint16LengthPrefixed(&extens) {
		return 0, 0, 0, fmt.Errorf("no ServerHello: % x", b[:min(len(b), 60)])
	}
	for !extens.Empty() {
		var (
			id   uint16
			data cryptobyte.String
		)
		ok := extens.ReadUint16(&id) && extens.ReadUint16LengthPrefixed(&data)
		switch id {
		case extensionVersions:
			ok = ok && data.ReadUint16(&version)
		case extensionKeyShare:
			ok = ok && data.ReadUint16(&group) && data.ReadUint16LengthPrefixed(&key)
		}
		if !ok {
			return 0, 0, 0, errors.New("a malformed ServerHello")
		}
	}
	return version, group, len(key), nil
}

// helloQUIC returns the first handshake message of a server from its Initial
// packets, whose keys follow from what the client says in plain (RFC 9001, section 5.2).
func helloQUIC(all []datagram) ([]byte, error) {
	var keys *initialKeys
	var stream []byte // of CRYPTO frames
	for _, d := range all {
		rest := d.data
		for len(rest) > 0 {
			p, after, err := parseInitial(rest)
			if err != nil {
				break // the packets of a later stage, or padding
			}
			rest = after
			switch {
			case !d.fromServer && keys == nil:
				if keys, err = newInitialKeys(p.destination); err != nil {
					return nil, err
				}
			case d.fromServer && keys != nil:
				frames, err := keys.open(p)
				if err != nil {
					return nil, err
				}
				if stream, err = collectCrypto(stream, frames); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(stream) < 4 {
		return nil, fmt.Errorf("no handshake in %d datagrams", len(all))
	}
	return stream, nil
}

// initial is an Initial packet (RFC 9000, section 17.2.2).
type initial struct {
	destination []byte
	packet      []byte // from its first byte to its last
	number      int    // offset of the packet number
}

func parseInitial(b []byte) (p initial, rest []byte, err error) {
	var (
		s            = cryptobyte.String(b)
		first        uint8
		version      uint32
		source, dest cryptobyte.String
	)
	if !s.ReadUint8(&first) || first&0xF0 != quicLongInitial || !s.ReadUint32(&version) || version != quicVersion1 ||
		!s.ReadUint8LengthPrefixed(&dest) || !s.ReadUint8LengthPrefixed(&source) {
		return p, nil, errors.New("not an Initial packet")
	}
	token, ok := readVarint(&s)
	ok = ok && s.Skip(int(token))
	length, fits := readVarint(&s)
	if !ok || !fits || length > uint64(len(s)) {
		return p, nil, errors.New("a malformed Initial packet")
	}
	at := len(b) - len(s)
	end := at + int(length)
	return initial{destination: dest, packet: slices.Clone(b[:end]), number: at}, b[end:], nil
}

// readVarint reads an integer of variable length (RFC 9000, section 16).
func readVarint(s *cryptobyte.String) (uint64, bool) {
	if s.Empty() {
		return 0, false
	}
	var b []byte
	if !s.ReadBytes(&b, 1<<((*s)[0]>>6)) {
		return 0, false
	}
	v := uint64(b[0] & 0x3F)
	for _, c := range b[1:] {
		v = v<<8 | uint64(c)
	}
	return v, true
}

// initialKeys open a server's Initial packets.
type initialKeys struct {
	aead   cipher.AEAD
	iv     []byte
	header cipher.Block
}

func newInitialKeys(destination []byte) (*initialKeys, error) {
	salt := []byte("\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a")
	secret, err := hkdf.Extract(sha256.New, destination, salt)
	if err != nil {
		return nil, err
	}
	expand := func(from []byte, label string, n int) (out []byte) {
		var info cryptobyte.Builder
		info.AddUint16(uint16(n))
		info.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("tls13 " + label)) })
		info.AddUint8(0)
		if err == nil {
			out, err = hkdf.Expand(sha256.New, from, string(info.BytesOrPanic()), n)
		}
		return out
	}
	server := expand(secret, quicServerInitialInfo, sha256.Size)
	key, iv, header := expand(server, "quic key", 16), expand(server, "quic iv", 12), expand(server, "quic hp", 16)
	if err != nil {
		return nil, err
	}
	k := &initialKeys{iv: iv}
	if k.header, err = aes.NewCipher(header); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	k.aead, err = cipher.NewGCM(block)
	return k, err
}

// open takes the protection off a packet and returns its frames (RFC 9001,
// sections 5.3 and 5.4).
func (k *initialKeys) open(p initial) ([]byte, error) {
	b := p.packet
	if len(b) < p.number+4+16 {
		return nil, errors.New("a short Initial packet")
	}
	var mask [16]byte
	k.header.Encrypt(mask[:], b[p.number+4:p.number+20])
	b[0] ^= mask[0] & 0x0F
	n := int(b[0]&3) + 1
	var number [8]byte
	for i := range n {
		b[p.number+i] ^= mask[1+i]
		number[8-n+i] = b[p.number+i]
	}
	nonce := slices.Clone(k.iv)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^binary.BigEndian.Uint64(number[:]))
	frames, err := k.aead.Open(nil, nonce, b[p.number+n:], b[:p.number+n])
	if err != nil {
		return nil, fmt.Errorf("a server's Initial packet does not open: %w", err)
	}
	return frames, nil
}

// collectCrypto puts the CRYPTO frames among frames into their place in a stream
// (RFC 9000, section 19).
func collectCrypto(stream []byte, frames cryptobyte.String) ([]byte, error) {
	for !frames.Empty() {
		var kind uint8
		frames.ReadUint8(&kind)
		switch kind {
		case 0, 1: // PADDING, PING
		case 2, 3: // ACK
			if !skipACK(&frames, kind == 3) {
				return nil, errors.New("a malformed ACK frame")
			}
		case quicFrameCrypto:
			offset, ok := readVarint(&frames)
			length, fits := readVarint(&frames)
			var data []byte
			if !ok || !fits || offset > 1<<16 || !frames.ReadBytes(&data, int(length)) {
				return nil, errors.New("a malformed CRYPTO frame")
			}
			if end := int(offset) + len(data); end > len(stream) {
				stream = append(stream, make([]byte, end-len(stream))...)
			}
			copy(stream[offset:], data)
		default:
			return nil, fmt.Errorf("a frame of kind %d in an Initial packet", kind)
		}
	}
	return stream, nil
}

// skipACK passes over an ACK frame: the largest number, the delay, how many more
// ranges, the first one, those; and three counts if it carries ECN.
func skipACK(s *cryptobyte.String, ecn bool) bool {
	var more uint64
	for i := range 4 {
		v, ok := readVarint(s)
		if !ok {
			return false
		}
		if i == 2 {
			more = v
		}
	}
	rest := 2 * more
	if ecn {
		rest += 3
	}
	for range rest {
		if _, ok := readVarint(s); !ok {
			return false
		}
	}
	return true
}

// wire stands between a client and a node, carries everything and remembers it.
type wire struct {
	addr multiaddr.Multiaddr // to dial in the node's place

	mu  sync.Mutex
	all []datagram // guarded by mu
}

// datagram is something said at once; over TCP, a piece of the stream.
type datagram struct {
	fromServer bool
	data       []byte
}

func (w *wire) heard(fromServer bool, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, datagram{fromServer, slices.Clone(b)})
}

func (w *wire) datagrams() []datagram {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// fromServer is all that the node said.
func (w *wire) fromServer() []byte {
	var said []byte
	for _, d := range w.datagrams() {
		if d.fromServer {
			said = append(said, d.data...)
		}
	}
	return said
}

// newWire carries one TCP connection, or the datagrams of one client, to a node
// until the test ends.
func newWire(t *testing.T, to multiaddr.Multiaddr) *wire {
	t.Helper()
	w := new(wire)
	var wg sync.WaitGroup
	suffix := "/p2p/" + mustID(t, to)
	node := hostPort(t, to)
	if _, err := to.ValueForProtocol(multiaddr.P_UDP); err == nil {
		local, port := w.carryUDP(t, &wg, node)
		w.addr = multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1%s", port, suffix))
		t.Cleanup(func() { local(); wg.Wait() })
		return w
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { w.carryTCP(l, node) })
	w.addr = multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d%s", l.Addr().(*net.TCPAddr).Port, suffix))
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return w
}

func (w *wire) carryTCP(l net.Listener, node string) {
	client, err := l.Accept()
	if err != nil {
		return
	}
	defer client.Close()
	server, err := net.Dial("tcp", node)
	if err != nil {
		return
	}
	defer server.Close()
	var wg sync.WaitGroup
	wg.Go(func() { w.carry(client, server, false) })
	wg.Go(func() { w.carry(server, client, true) })
	wg.Wait() // both end when one does: the nodes are stopped before the wire
}

// carry copies from one connection to the other, and closes both at the end.
func (w *wire) carry(from, to net.Conn, fromServer bool) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		w.heard(fromServer, b[:n])
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (w *wire) carryUDP(t *testing.T, wg *sync.WaitGroup, node string) (stop func(), port int) {
	t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.Dial("udp", node)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var client *net.UDPAddr // guarded by mu
	wg.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, from, err := front.ReadFromUDP(b)
			if err != nil {
				return
			}
			mu.Lock()
			client = from
			mu.Unlock()
			w.heard(false, b[:n])
			_, _ = back.Write(b[:n]) // a datagram may be lost
		}
	})
	wg.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, err := back.Read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			mu.Lock()
			to := client
			mu.Unlock()
			if err == nil && to != nil {
				w.heard(true, b[:n])
				_, _ = front.WriteToUDP(b[:n], to)
			}
		}
	})
	return func() { front.Close(); back.Close() }, front.LocalAddr().(*net.UDPAddr).Port
}
