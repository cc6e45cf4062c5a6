package relay

import (
	"math"
	"sync"
	"time"

	"chatnt/discovery/hashid"
)

// Every packet that a relay opens leaves a tag, to be remembered for as long as
// its key serves: its own epoch, the next one, and before its own the time by
// which a sender's clock may be ahead, 2 [record.EpochLength] + [record.ClockSkew]
// in all. So a bound on tags remembered is a bound on the rate of packets opened.
// Tags that came within those 130 minutes number at most
//
//	tagBurst + tagRate * 7800 s = 4,112,288
//
// which is less than one [onion.ReplaySet] holds, and 50 MB in two or three of
// them. The rate is 2 MB a second each way for as long as anybody likes to send,
// 7 GB an hour, however fast the processor; faster for the first hours is a matter
// of the burst, 2 GB.
const (
	tagRate  = 460     // a second
	tagBurst = 1 << 19 // before the rate binds
)

// tagMemory is how long what a neighbour used counts against it, as the mean of an
// exponential average: long enough that a neighbour cannot save up, short enough
// that one that was busy is as good as new a minute or two later.
const tagMemory = time.Minute

// maxSharers is how many neighbours have a share each. The rest, more than ever
// are connected at once, have one together.
const maxSharers = 4096

// budget shares the tags that a relay may remember among the neighbours that
// packets come from. A neighbour may have used, lately, as many as are left for
// all (dynamic thresholds, as in shares, of what flows instead of what is held).
// While there is plenty nobody notices. When neighbours ask for more than the
// rate, each gets the same part of it, and those that ask for less get all they
// ask for: with n that flood, whoever sends less than tagRate/(n+1) a second
// loses nothing, during the flood and after it, and the flood leaves nothing
// behind that an epoch would have to end to clear.
//
// A part is a neighbour's, and neighbours can be had for nothing: against a hundred
// that flood, who sends twenty packets a second gets a quarter through.
//
// Who sends too much through an honest neighbour takes from that neighbour's
// part: nobody but the neighbour could tell its packets apart.
//
// The zero value is a full budget. It is safe for concurrent use.
type budget struct {
	mu     sync.Mutex // guards the fields below
	spent  float64    // tags, of tagBurst
	at     time.Time  // when spent was last brought up to date
	recent map[hashid.NodeID]usage
	swept  time.Time // when those that use nothing were last forgotten
}

// usage is what a neighbour has used lately, in tags, as of a time.
type usage struct {
	tags float64
	at   time.Time
}

func (u usage) now(now time.Time) float64 {
	return u.tags * math.Exp(-max(0, now.Sub(u.at)).Seconds()/tagMemory.Seconds())
}

// take gives a neighbour a tag, or reports that its part is used up.
func (b *budget) take(now time.Time, from hashid.NodeID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.After(b.at) {
		b.spent = max(0, b.spent-tagRate*now.Sub(b.at).Seconds())
		b.at = now
	}
	from = b.sharer(now, from)
	tags := b.recent[from].now(now)
	if tags+1 > tagBurst-b.spent {
		return false
	}
	b.spent++
	b.recent[from] = usage{tags + 1, now}
	return true
}

// giveBack returns a tag that was not used after all.
func (b *budget) giveBack(now time.Time, from hashid.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-1)
	from = b.sharer(now, from)
	b.recent[from] = usage{max(0, b.recent[from].now(now)-1), now}
}

// sharer returns under whose name a neighbour is counted: its own, while there is
// room. Called with mu held.
func (b *budget) sharer(now time.Time, from hashid.NodeID) hashid.NodeID {
	if b.recent == nil {
		b.recent = make(map[hashid.NodeID]usage)
	}
	if now.Sub(b.swept) > tagMemory { // nobody needs to be remembered for longer than counts
		b.swept = now
		for id, u := range b.recent {
			if u.now(now) < 1 {
				delete(b.recent, id)
			}
		}
	}
	if _, known := b.recent[from]; known || len(b.recent) < maxSharers {
		return from
	}
	return hashid.NodeID{}
}
