package dht

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	libp2precord "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio"
	"google.golang.org/protobuf/proto"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// said is a stream on which a peer has said everything it will say.
type said struct {
	network.Stream
	io.Reader
}

func (s said) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s said) Write(p []byte) (int, error) { return len(p), nil }
func (s said) CloseWrite() error           { return nil }

func (s said) SetReadDeadline(time.Time) error { return nil }

// fixedDescriptor returns a descriptor that is good at the time, and its key in
// the table; the same ones each time, so that what a fuzzer finds stays found.
func fixedDescriptor(t testing.TB, now time.Time) (key string, raw []byte) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	pub := [32]byte(private.Public().(ed25519.PublicKey))
	d := &record.Descriptor{
		Node: pub, FirstEpoch: record.Epoch(now), Sequence: uint64(now.Unix()), Expires: now.Add(record.DescriptorLifetime),
	}
	for i := range d.Keys {
		d.Keys[i] = [32]byte{9}
	}
	raw, err := d.Sign([32]byte{}, private)
	if err != nil {
		t.Fatal(err)
	}
	return record.DescriptorKey(hashid.OfNode(pub[:])), raw
}

func fixedPeer(t testing.TB, b byte) peer.ID {
	t.Helper()
	pub := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	key, err := crypto.UnmarshalEd25519PublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func marshalled(t testing.TB, m *pb.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzAnswer reads what a peer says, as a stream and as one whole frame of it:
// what is taken from an answer is bounded, a record in it is good, and only who
// serves a forged one is banned.
func FuzzAnswer(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	key, raw := fixedDescriptor(f, now)
	answer := func(kind pb.Message_MessageType, key string, value []byte, closer ...*pb.Message_Peer) []byte {
		m := pb.NewMessage(kind, []byte(key), 0)
		m.CloserPeers = closer
		if value != nil {
			m.Record = libp2precord.MakePutRecord(key, value)
		}
		return marshalled(f, m)
	}
	near := &pb.Message_Peer{Id: []byte(fixedPeer(f, 2)), Addrs: [][]byte{
		{4, 127, 0, 0, 1, 6, 15, 161}, bytes.Repeat([]byte{0x36}, 300), {}, {0xff},
	}}
	long := &pb.Message_Peer{Id: append([]byte(fixedPeer(f, 3)), 0x1a, 1, 'x')} // an unknown field behind the key
	long.Id[1] += 3
	crowd := make([]*pb.Message_Peer, maxCloser+3)
	for i := range crowd {
		crowd[i] = &pb.Message_Peer{Id: []byte(fixedPeer(f, byte(i))), Addrs: make([][]byte, maxAddrs+1)}
	}
	good, put := answer(pb.Message_GET_VALUE, key, raw, near), answer(pb.Message_PUT_VALUE, key, raw)
	for _, frame := range [][]byte{
		good, put, good[:len(good)-1],
		answer(pb.Message_GET_VALUE, key, raw[:len(raw)-1]), // forged
		answer(pb.Message_GET_VALUE, key[:7], raw),          // good, under another key
		answer(pb.Message_GET_VALUE, key, nil, near, long),
		answer(pb.Message_FIND_NODE, "", nil, crowd...),
		answer(pb.Message_FIND_NODE, "", nil, &pb.Message_Peer{Id: make([]byte, 5000)}, &pb.Message_Peer{}),
		{},
		{0xff},
		{0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		for _, late := range []uint32{0, 1 << 20} { // by then the record has expired
			f.Add(frame, true, late)
		}
		f.Add(binary.AppendUvarint(nil, uint64(len(frame)+1)), false, uint32(0)) // cut short
	}
	f.Add(binary.AppendUvarint(nil, maxAnswer+1), false, uint32(0))
	f.Add(bytes.Repeat([]byte{0xff}, 20), false, uint32(0)) // a length without end
	f.Fuzz(func(t *testing.T, in []byte, framed bool, late uint32) {
		if framed {
			in = append(binary.AppendUvarint(nil, uint64(len(in))), in...)
		}
		at := now.Add(time.Duration(late) * time.Second)
		validator := record.Validator{Now: func() time.Time { return at }}
		for _, kind := range []pb.Message_MessageType{pb.Message_GET_VALUE, pb.Message_PUT_VALUE, pb.Message_FIND_NODE} {
			req := pb.NewMessage(kind, []byte(key), 0)
			answer, err := roundTrip(said{Reader: bytes.NewReader(in)}, req)
			if err != nil {
				continue
			}
			got := answer.GetRecord()
			var fault error
			if got != nil {
				fault = validator.Validate(key, got.GetValue())
			}
			misfiled := got != nil && fault == nil && string(got.GetKey()) != key
			banned := 0
			r := &requests{validator: validator, ban: func(peer.ID) { banned++ }}
			err = r.judge("", req, answer)

			forged := kind == pb.Message_GET_VALUE && (record.IsForged(fault) || misfiled)
			if (banned == 1) != forged || errors.Is(err, errForged) != forged {
				t.Errorf("%v: banned %d times, %v; the record: %v", kind, banned, err, fault)
			}
			if kind == pb.Message_GET_VALUE && err == nil && answer.GetRecord() != nil && !bytes.Equal(answer.GetRecord().GetValue(), raw) {
				t.Errorf("another record under the key: %x", answer.GetRecord().GetValue())
			}
			if kind == pb.Message_PUT_VALUE && (err == nil) != (got != nil) {
				t.Errorf("a put without an echo: %v", err)
			}
			if len(answer.GetCloserPeers()) > maxCloser {
				t.Errorf("%d peers", len(answer.GetCloserPeers()))
			}
			for _, p := range pb.PBPeersToPeerInfos(answer.GetCloserPeers()) {
				if _, ok := NodeID(p.ID); !ok || len(p.ID) != 38 || len(p.Addrs) > maxAddrs {
					t.Errorf("%x: an id of %d bytes, %d addresses", string(p.ID), len(p.ID), len(p.Addrs))
				}
				for _, a := range p.Addrs {
					if len(a.Bytes()) > maxAddrSize {
						t.Errorf("an address of %d bytes", len(a.Bytes()))
					}
				}
			}
		}
	})
}

// FuzzRequest reads what somebody asks: one request, no longer than a request can
// be, is handed to the library as the library would have written it.
func FuzzRequest(f *testing.F) {
	for _, in := range [][]byte{
		{},
		{0},
		{3, 'a', 'b', 'c', 'd'},
		{3, 'a', 'b'},
		{0x83, 0, 'a', 'b', 'c'}, // a varint longer than it must be
		binary.AppendUvarint(nil, maxRequest), binary.AppendUvarint(nil, maxRequest+1), binary.AppendUvarint(nil, 1<<63),
		bytes.Repeat([]byte{0xff}, 20),
		append(binary.AppendUvarint(nil, 200), make([]byte, 200)...),
	} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		size, n := binary.Uvarint(in)
		whole := n > 0 && size <= maxRequest && uint64(len(in)-n) >= size
		got, err := readRequest(said{Reader: bytes.NewReader(in)})
		if (err == nil) != whole {
			t.Fatalf("%x: %v, and the request is whole: %v", in, err, whole)
		}
		if !whole {
			return
		}
		frame, err := msgio.NewVarintReaderSize(bytes.NewReader(got), maxRequest).ReadMsg()
		if err != nil || !bytes.Equal(frame, in[n:n+int(size)]) {
			t.Errorf("%x is handed on as %x, %v", in, got, err)
		}
	})
}

// FuzzNodeID reads any bytes as a peer id: at most one of them names a node.
func FuzzNodeID(f *testing.F) {
	good := []byte(fixedPeer(f, 2))
	f.Add(good)
	f.Add(append(bytes.Clone(good), 0))
	f.Add(append([]byte{0, 39}, append(bytes.Clone(good[2:]), 0x1a, 1, 'x')...)) // an unknown field
	f.Add(append([]byte{0, 40}, append(bytes.Clone(good[2:]), 8, 1, 8, 1)...))   // the type thrice
	f.Add(append([]byte{0, 0x80 | 36, 0}, good[2:]...))                          // a varint longer than it must be
	f.Add([]byte{0x12, 32})
	f.Fuzz(func(t *testing.T, id []byte) {
		node, ok := NodeID(peer.ID(id))
		if !ok {
			return
		}
		pub, want := id[len(id)-32:], "\x00\x24\x08\x01\x12\x20"
		if string(id[:len(id)-32]) != want || node != hashid.OfNode(pub) {
			t.Errorf("%x is taken for %v", id, node)
		}
	})
}

// FuzzStore puts any bytes into the store, and records of any date: what it keeps
// is bounded, expires, and comes back as it was.
func FuzzStore(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	key, raw := fixedDescriptor(f, now)
	f.Add([]byte(key), raw, []byte{}, int64(0))
	f.Add([]byte(key), raw, []byte{}, int64(record.DescriptorLifetime/time.Second))
	f.Add([]byte(key), raw[:48], []byte{}, int64(0))
	f.Add([]byte(key), make([]byte, record.MaxDescriptor+1), []byte{}, int64(0))
	f.Add([]byte(key[:8]), raw, []byte{}, int64(-1))
	f.Add([]byte("/unlisted/"+key[len(key)-32:]), append(bytes.Clone(raw), make([]byte, record.MaxKeyRecord-len(raw))...), []byte{}, int64(0))
	f.Add([]byte("/unlisted/"+key[len(key)-32:]), make([]byte, record.MaxKeyRecord+1), []byte{}, int64(0))
	f.Add([]byte{}, []byte{}, []byte{0x0a}, int64(0))
	f.Add([]byte{}, []byte{}, make([]byte, maxEntry+1), int64(0))
	f.Fuzz(func(t *testing.T, key, value, data []byte, late int64) {
		at := now.Add(time.Duration(late%(1<<32)) * time.Second)
		told := 0
		s := newStore("self", func() time.Time { return at }, func(string, []byte) { told++ })
		if len(data) == 0 {
			var err error
			if data, err = proto.Marshal(libp2precord.MakePutRecord(string(key), value)); err != nil {
				t.Fatal(err)
			}
		}
		place := storeKey(string(key))
		err := s.Put(t.Context(), place, data)
		n, size := s.held()
		if (err == nil) != (n == 1 && told == 1 && size == len(data)) || size > maxEntry {
			t.Fatalf("Put: %v; %d records of %d bytes are held, told %d times", err, n, size, told)
		}
		got, getErr := s.Get(t.Context(), place)
		if getErr == nil && (err != nil || !bytes.Equal(got, data)) {
			t.Fatalf("%x was put (%v) and %x is held", data, err, got)
		}
		if getErr != nil {
			if n, size := s.held(); n != 0 || size != 0 {
				t.Fatalf("%v, and %d records of %d bytes are held", getErr, n, size)
			}
		}
		at = at.Add(1 << 62) // nothing is kept for ever
		if s.dropExpired(); err == nil {
			expires, ok := record.Expiry(string(key), value)
			if n, _ := s.held(); len(key) > 0 && ok && (n == 0) != !at.Before(expires) {
				t.Fatalf("%d records are held at %v, one until %v", n, at, expires)
			}
		}
	})
}
