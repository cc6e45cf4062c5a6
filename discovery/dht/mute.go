package dht

import (
	"errors"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	maxMutes  = 4096
	muteFirst = 10 * time.Second // for which a peer that did not answer is left alone ...
	muteLast  = 10 * time.Minute // ... doubling up to this each time it does so again

	answersKept   = 32              // whose times say how fast this network answers
	answersNeeded = 8               // before that is believed
	slowness      = 10              // an answer may take so many times what half of them took, ...
	ownSlowness   = 4               // ... or what those of the same peer take, the round trip of a loss included, ...
	leastPatience = 1 * time.Second // ... but at least this, and at most requestTimeout
)

var errMute = errors.New("the peer did not answer lately")

// mutes remembers peers that let requests go unanswered. A look-up would meet
// them again and again, since others go on naming them, and lose a moment each
// time: it asks near peers first, tries them once more at its end, and a put
// asks them a third time. It is safe for concurrent use.
type mutes struct {
	now   func() time.Time // monotonic
	peers *lru.Cache[peer.ID, silence]

	mu    sync.Mutex
	heard time.Time                  // guarded by mu: when anybody answered last
	took  [answersKept]time.Duration // guarded by mu: a ring
	count int                        // guarded by mu: of answers ever
}

// silence is what is known of a peer that did not answer.
type silence struct {
	since time.Time // when it was noticed last
	until time.Time // it is asked again after this
	times int       // in a row
}

func newMutes() (*mutes, error) {
	peers, err := lru.New[peer.ID, silence](maxMutes)
	return &mutes{now: time.Now, peers: peers}, err
}

// has reports whether p is to be left alone now.
func (m *mutes) has(p peer.ID) bool {
	s, ok := m.peers.Get(p)
	return ok && m.now().Before(s.until)
}

// forget forgets all silence: it may have been this node that was away.
func (m *mutes) forget() { m.peers.Purge() }

// answered says that p answered a request after some time.
func (m *mutes) answered(p peer.ID, took time.Duration) {
	m.peers.Remove(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = m.now()
	m.took[m.count%answersKept] = took
	m.count++
}

// silent says that p let a request pass that was made at the given time. Unless
// somebody else has answered since, that may be this node's own fault: it was
// offline, or asleep.
func (m *mutes) silent(p peer.ID, asked time.Time) {
	m.mu.Lock()
	heard := m.heard
	m.mu.Unlock()
	if !heard.After(asked) {
		return
	}
	now := m.now()
	s, _ := m.peers.Get(p)
	if now.Before(s.until) {
		return // one of several requests made at once
	}
	s.since, s.until = now, now.Add(min(muteFirst<<min(s.times, 10), muteLast))
	s.times++
	m.peers.Add(p, s)
}

// returned says that p has just connected: it may have slept or moved. It is left
// alone no longer than after a first silence, but no less, or whoever connects again
// and again would hold up look-ups each time.
func (m *mutes) returned(p peer.ID) {
	s, ok := m.peers.Peek(p)
	if end := s.since.Add(muteFirst); ok && end.Before(s.until) {
		s.until = end
		m.peers.Add(p, s)
	}
}

// patience is how long a peer that is connected may take to answer, whose answers
// took own on average, zero if it gave none: two seconds where answers are slow,
// down to one where they are fast. The middle answer counts, so fewer than half of
// the peers cannot set it; and a far peer among near ones has its own.
func (m *mutes) patience(own time.Duration) time.Duration {
	m.mu.Lock()
	took, count := m.took, m.count
	m.mu.Unlock()
	if count < answersNeeded {
		return requestTimeout
	}
	latest := took[:min(count, answersKept)]
	slices.Sort(latest)
	return min(max(slowness*latest[len(latest)/2], ownSlowness*own, leastPatience), requestTimeout)
}
