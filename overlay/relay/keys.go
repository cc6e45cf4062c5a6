package relay

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

// keyring holds a node's onion keys, one per epoch of an hour, each with the
// tags of the packets it has opened. A key is made when a descriptor first
// announces it, serves in its epoch and the one after (reply blocks are under
// way that long), and is then forgotten together with its tags. Nothing else
// has ever held it, so that packets recorded before cannot be opened any more.
// The zero value has no keys.
type keyring struct {
	mu   sync.RWMutex // guards keys
	keys map[uint32]*epochKey
}

type epochKey struct {
	private *onion.PrivateKey
	seen    onion.ReplaySet

	mu   sync.Mutex // guards held
	held shares     // tags in seen, by the neighbour they came from
}

// maxSharers is how many neighbours have a share of the tags each. The rest,
// more than ever are connected at once, have one together.
const maxSharers = 4096

// insert notes a tag that came from a neighbour. It reports whether the tag was
// new and the neighbour had room for it.
func (k *epochKey) insert(from hashid.NodeID, tag onion.Tag) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.held[from]; !known && len(k.held) >= maxSharers {
		from = hashid.NodeID{}
	}
	if !k.held.take(from, onion.MaxReplayTags-k.seen.Len()) {
		return false
	}
	if !k.seen.Insert(tag) {
		k.held.give(from)
		return false
	}
	return true
}

var errNoKey = errors.New("no onion key opens this packet")

// Keys returns the public keys of the epoch at now and the seven that follow,
// for this node's descriptor, and makes those it does not have yet. Only a
// failing source of randomness is an error.
func (r *Relay) Keys(now time.Time) (first uint32, keys [record.Epochs]onion.PublicKey, err error) {
	return r.keys.announce(now)
}

func (k *keyring) announce(now time.Time) (first uint32, keys [record.Epochs]onion.PublicKey, err error) {
	k.forget(now)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = make(map[uint32]*epochKey)
	}
	first = record.Epoch(now)
	for i := range keys {
		epoch := first + uint32(i)
		key := k.keys[epoch]
		if key == nil {
			private, err := onion.GenerateKey()
			if err != nil {
				return 0, keys, fmt.Errorf("making the keys of the coming hours: %w", err)
			}
			key = &epochKey{private: private}
			k.keys[epoch] = key
		}
		keys[i] = key.private.Public()
	}
	return first, keys, nil
}

// forget drops the keys of epochs before the last, and those that a clock once
// too far ahead has left.
func (k *keyring) forget(now time.Time) {
	epoch := record.Epoch(now)
	k.mu.Lock()
	defer k.mu.Unlock()
	for e := range k.keys {
		if e+1 < epoch || e > epoch+record.Epochs {
			delete(k.keys, e)
		}
	}
}

// open reads the header of p with the key it was made for, and returns that key
// too. The order is that of likelihood: this epoch's key, the
// last one's, and for senders whose clock is ahead the next one's, when that
// epoch is near.
func (k *keyring) open(now time.Time, p *onion.Packet) (onion.Header, *epochKey, error) {
	for _, key := range k.candidates(now) {
		if key == nil {
			continue
		}
		if h, err := key.private.Open(p); err == nil {
			return h, key, nil
		}
	}
	return onion.Header{}, nil, errNoKey
}

func (k *keyring) candidates(now time.Time) (keys [3]*epochKey) {
	epoch := record.Epoch(now)
	k.mu.RLock()
	defer k.mu.RUnlock()
	keys[0], keys[1] = k.keys[epoch], k.keys[epoch-1]
	if untilNextEpoch(now) <= record.ClockSkew {
		keys[2] = k.keys[epoch+1]
	}
	return keys
}

// untilNextEpoch is more than 0 and at most an epoch.
func untilNextEpoch(now time.Time) time.Duration {
	return now.Truncate(record.EpochLength).Add(record.EpochLength).Sub(now)
}
