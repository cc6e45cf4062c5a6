package node

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/control"
	"chatnt/node/vault"
	"chatnt/overlay"
)

// How long relays hold what goes out (overlay.Latency) is a setting of the identity, and of
// each text when it is queued: it keeps that for all its attempts, there and back, and is
// repeated ever later as answers take longer. The setting is fast unless it was set: a
// conversation goes as quickly as the network does, and who fears those who compare times
// says so.

// latencies owns a profile's setting. It is safe for concurrent use.
type latencies struct{ now atomic.Uint32 }

func (l *latencies) get() overlay.Latency { return overlay.Latency(l.now.Load()) }

func (l *latencies) set(to overlay.Latency) { l.now.Store(uint32(to)) }

func loadLatency(tx *vault.Tx) (overlay.Latency, error) {
	raw, err := tx.Get(bucketProfile, keyLatency)
	if errors.Is(err, vault.ErrNotFound) {
		return overlay.Fast, nil
	}
	if err != nil {
		return 0, err
	}
	latency, err := overlay.ParseLatency(string(raw))
	if err != nil {
		return 0, errors.New("the stored latency is damaged")
	}
	return latency, nil
}

// SetLatency changes how long relays hold what this person sends from now on, and what
// answers it: fast, normal or slow.
func (n *Node) SetLatency(name string) error { return n.profile.setLatency(name) }

func (p *Profile) setLatency(name string) error {
	latency, err := overlay.ParseLatency(name)
	if err != nil {
		return err
	}
	err = p.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyLatency, []byte(latency.String())) })
	if err != nil {
		return fmt.Errorf("the latency could not be stored: %w", err)
	}
	p.latency.set(latency)
	return nil
}

// Latency returns what SetLatency has set.
func (n *Node) Latency() string { return n.profile.latency.get().String() }

// ofText is the latency of a text that is queued now.
func (p *Profile) ofText(how control.How) (overlay.Latency, error) {
	if how.Latency == "" {
		return p.latency.get(), nil
	}
	return overlay.ParseLatency(how.Latency)
}

// ofLookUps is that of requests for records. These go out at times drawn at random, and
// exits are waited for only so long.
func (p *Profile) ofLookUps() overlay.Latency { return min(p.latency.get(), overlay.Normal) }

// receiptWithin is how long the receipt of a message of some latency is waited for: it comes
// over as many relays as the message.
func (m *messenger) receiptWithin(latency overlay.Latency) time.Duration {
	return latency.Patience(2 * m.profile.network.Hops)
}

// draw draws a path of a latency.
func (m *messenger) draw(to hashid.NodeID, latency overlay.Latency) (*overlay.Path, error) {
	path, err := m.overlay.Draw(to)
	if err == nil {
		path.Latency = latency
	}
	return path, err
}
