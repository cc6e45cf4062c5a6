package integration

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"chatnt/discovery/dht"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
)

// keeper is a node that does nothing but keep the records of others, and reads all that it is
// given: every version of it.
type keeper struct {
	t   testing.TB
	net [32]byte

	mu     sync.Mutex
	values map[string][][]byte // guarded by mu: by DHT key, the last one last
	more   chan struct{}       // guarded by mu; closed and replaced when one comes
}

// newKeeper joins a network with a keeper that runs until stop or the end of the test.
func newKeeper(t testing.TB, net *network.Network, now func() time.Time) (k *keeper, stop func()) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k = &keeper{t: t, net: net.ID(), values: make(map[string][][]byte), more: make(chan struct{})}
	bans := new(dht.Bans)
	host := newHost(t, key, net, libp2p.ConnectionGater(bans), libp2p.ListenAddrStrings(loopback))
	table, err := dht.New(dht.Config{
		Host: host, Bans: bans, Protocol: protocol.ID(net.Protocol("dht")), Log: slog.New(slog.DiscardHandler),
		Validator: record.Validator{Network: net.ID(), Now: now},
		Bootstrap: func() []peer.AddrInfo {
			infos, err := peer.AddrInfosFromP2pAddrs(net.Bootstrap...)
			if err != nil {
				panic(err) // the invite came from a node
			}
			return infos
		},
		Stored: k.store,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := table.Run(ctx); err != nil {
			t.Errorf("the keeper's table ended: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(host.Network().Close(), table.Close(), host.Close()); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	t.Cleanup(stop)
	return k, stop
}

func (k *keeper) store(key string, value []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values[key] = append(k.values[key], bytes.Clone(value))
	close(k.more)
	k.more = make(chan struct{})
}

// all returns what was given so far, and what is closed when there is more.
func (k *keeper) all() (map[string][][]byte, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.values), k.more
}

// await waits until the keeper has something, and returns all.
func (k *keeper) await(what string, ok func(map[string][][]byte) bool) map[string][][]byte {
	k.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		values, more := k.all()
		if ok(values) {
			return values
		}
		select {
		case <-more:
		case <-deadline.C:
			k.t.Fatalf("the keeper waited in vain for %s", what)
		}
	}
}

// awaitWithdrawal waits until a person's record is taken back.
func (k *keeper) awaitWithdrawal(who record.Locator) {
	k.t.Helper()
	k.await("a withdrawal", func(values map[string][][]byte) bool {
		for _, key := range record.KeyRecordKeys(who.Hashid) {
			versions := values[key]
			if len(versions) == 0 {
				return false
			}
			if _, err := who.Parse(k.net, versions[len(versions)-1]); !errors.Is(err, record.ErrWithdrawn) {
				return false
			}
		}
		return true
	})
}

// awaitUnlisted waits for both copies of somebody's unlisted record, and returns what is in them
// for who has the link key.
func (k *keeper) awaitUnlisted(who record.Locator, now time.Time) *record.KeyRecord {
	k.t.Helper()
	places, err := who.Places(k.net, now)
	if err != nil {
		k.t.Fatal(err)
	}
	keys := places[0]
	values := k.await("an unlisted record", func(values map[string][][]byte) bool {
		return len(values[keys[0]]) > 0 && len(values[keys[1]]) > 0
	})
	rec, err := who.Parse(k.net, values[keys[0]][0])
	if err != nil {
		k.t.Fatal(err)
	}
	return rec
}

// awaitListed waits for somebody's listed record, and returns it.
func (k *keeper) awaitListed(who record.Locator) *record.KeyRecord {
	k.t.Helper()
	key := record.KeyRecordKeys(who.Hashid)[0]
	values := k.await("a listed record", func(values map[string][][]byte) bool { return len(values[key]) > 0 })
	rec, err := who.Parse(k.net, values[key][0])
	if err != nil {
		k.t.Fatal(err)
	}
	return rec
}

// finds says where in all that it was given, but for relay descriptors, a keeper finds eight bytes in a row of
// what is in a person's record, of its hashid or of the link key; where something lies under the hashid;
// and what opens with all that one may know of the person who has not the link: its hashid and its keys.
func (k *keeper) finds(who record.Locator, rec *record.KeyRecord) (found []string) {
	secrets := map[string][]byte{
		"the hashid": who.Hashid[:], "the link key": who.Link[:], "the identity": rec.Identity[:], "the agreement key": rec.Agreement[:],
		"the prekey": rec.Prekey.Key[:], "the KEM prekey": rec.KEMPrekey.Key[:], "the node id": rec.Inbox.Node[:],
	}
	values, _ := k.all()
	for _, key := range record.KeyRecordKeys(who.Hashid) {
		if n := len(values[key]); n > 0 {
			found = append(found, fmt.Sprintf("%d records under the hashid", n))
		}
	}
	for key, versions := range values {
		if strings.HasPrefix(key, "/relay/") {
			continue // of nodes, this person's own among them
		}
		for _, guess := range []record.LinkKey{{}, record.LinkKey(who.Hashid), rec.Identity, rec.Agreement, record.LinkKey(rec.Inbox.Node)} {
			for _, b := range versions {
				if _, err := (record.Locator{Hashid: who.Hashid, Link: guess}).Parse(k.net, b); err == nil || errors.Is(err, record.ErrWithdrawn) {
					found = append(found, fmt.Sprintf("what opens with %.8x under %.10q", guess, key))
				}
			}
		}
		for _, b := range append([][]byte{[]byte(key)}, versions...) {
			for what, secret := range secrets {
				for at := range len(secret) - 7 {
					if bytes.Contains(b, secret[at:at+8]) {
						found = append(found, fmt.Sprintf("%s in %d bytes under %.10q", what, len(b), key))
						break
					}
				}
			}
		}
	}
	return found
}
