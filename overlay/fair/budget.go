package fair

import (
	"math"
	"sync"
	"time"
)

// memory is how long what somebody used counts against it, as the mean of an
// exponential average: long enough that nobody can save up, short enough that
// who was busy is as good as new a minute or two later.
const memory = time.Minute

// maxSharers is how many have a share each. The rest, more than ever are there
// at once, have one together.
const maxSharers = 4096

// Budget shares tokens, of which there are a number to begin with and so many a
// second, among those that ask for them. One may have used, lately, as many as are
// left for all: Shares of what flows instead of what is held. While there is plenty
// nobody notices. When more are asked for than come, each who asks gets the same
// part of them, and those that ask for less get all they ask for: with n that
// flood, whoever asks for less than rate/(n+1) a second loses nothing, during the
// flood and after it.
//
// A part is somebody's, and names can be had for nothing: against a hundred that
// flood, who asks for a twenty-third of the rate gets a quarter of it.
//
// It is safe for concurrent use.
type Budget[K comparable] struct {
	rate, burst float64 // read-only: tokens a second, and before the rate binds

	mu     sync.Mutex // guards the fields below
	spent  float64    // tokens, of burst
	at     time.Time  // when spent was last brought up to date
	recent map[K]usage
	swept  time.Time // when those that use nothing were last forgotten
}

// usage is what somebody has used lately, in tokens, as of a time.
type usage struct {
	tokens float64
	at     time.Time
}

func (u usage) now(now time.Time) float64 {
	return u.tokens * math.Exp(-max(0, now.Sub(u.at)).Seconds()/memory.Seconds())
}

// NewBudget returns a full budget of burst tokens, to which so many come a second.
func NewBudget[K comparable](rate, burst float64) *Budget[K] {
	return &Budget[K]{rate: rate, burst: burst, recent: make(map[K]usage)}
}

// Take gives who a token, or reports that its part is used up.
func (b *Budget[K]) Take(now time.Time, who K) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.After(b.at) {
		b.spent = max(0, b.spent-b.rate*now.Sub(b.at).Seconds())
		b.at = now
	}
	who = b.sharer(now, who)
	tokens := b.recent[who].now(now)
	if tokens+1 > b.burst-b.spent {
		return false
	}
	b.spent++
	b.recent[who] = usage{tokens + 1, now}
	return true
}

// GiveBack returns a token that was not used after all.
func (b *Budget[K]) GiveBack(now time.Time, who K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-1)
	who = b.sharer(now, who)
	b.recent[who] = usage{max(0, b.recent[who].now(now)-1), now}
}

// sharer returns under whose name somebody is counted: its own, while there is
// room. Called with mu held.
func (b *Budget[K]) sharer(now time.Time, who K) K {
	if _, known := b.recent[who]; known || len(b.recent) < maxSharers {
		return who
	}
	if now.Sub(b.swept) > memory {
		b.swept = now
		for id, u := range b.recent {
			if u.now(now) < 1 {
				delete(b.recent, id)
			}
		}
		if len(b.recent) < maxSharers {
			return who
		}
	}
	var rest K
	return rest
}
