package path

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// count is few at everyday counts and many with CHATNT_LONG=1.
func count(few, many int) int {
	if os.Getenv("CHATNT_LONG") == "1" {
		return many
	}
	return few
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var self = hashid.NodeID{0xff}

func seeded(seed int) Source {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], uint64(seed))
	return rand.NewChaCha8(key)
}

// node makes a descriptor of node i at some addresses.
func node(t testing.TB, i int, addrs ...string) *record.Descriptor {
	t.Helper()
	d := &record.Descriptor{Flags: record.FlagRelay}
	binary.BigEndian.PutUint64(d.Node[:], uint64(i)+1)
	for _, a := range addrs {
		m, err := multiaddr.NewMultiaddr(a)
		if err == nil {
			err = record.CheckAddr(m)
		}
		if err != nil {
			t.Fatal(err)
		}
		d.Addrs = append(d.Addrs, m)
	}
	return d
}

// apartNodes makes n nodes, each in an IPv4 /16 of its own.
func apartNodes(t testing.TB, n int) []*record.Descriptor {
	nodes := make([]*record.Descriptor, n)
	for i := range nodes {
		nodes[i] = node(t, i, fmt.Sprintf("/ip4/%d.%d.0.1/tcp/4001", 20+i/250, i%250))
	}
	return nodes
}
