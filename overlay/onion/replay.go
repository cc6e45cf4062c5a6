package onion

import "sync"

// MaxReplayTags is how many tags a ReplaySet holds, about 40 MB of them. It is
// 290 packets (1.2 MB) in every second of a one-hour epoch.
const MaxReplayTags = 1 << 20

// ReplaySet remembers the tags of the packets that one onion key has opened. A
// node keeps one beside each of its keys and drops both together: a set that
// forgets sooner lets an attacker send a packet again and see where it goes
// (Danezis and Goldberg, section 3.6). It is exact, because a false positive is
// a lost packet. Go's map keys its hash afresh for each set, so that senders,
// who know the tags of their own packets, cannot make it slow.
//
// The zero value is an empty set. It is safe for concurrent use.
type ReplaySet struct {
	mu   sync.Mutex // guards tags
	tags map[Tag]struct{}
}

// Insert adds tag and reports whether it was new. It reports false too when the
// set is full: a relay under such a load drops what it can no longer vouch for,
// and its memory stays bounded.
func (s *ReplaySet) Insert(tag Tag) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, seen := s.tags[tag]; seen || len(s.tags) >= MaxReplayTags {
		return false
	}
	if s.tags == nil {
		s.tags = make(map[Tag]struct{})
	}
	s.tags[tag] = struct{}{}
	return true
}

// Len returns the number of tags in the set.
func (s *ReplaySet) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tags)
}
