package relay

import (
	"fmt"
	"sync"
	"time"

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
}

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

// candidates returns the keys that a packet may be made for, in the order of
// likelihood: this epoch's, the last one's, and for senders whose clock is ahead
// the next one's, when that epoch is near. Those that do not exist are nil.
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
