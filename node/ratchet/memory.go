package ratchet

import (
	"slices"
	"time"
)

const (
	// MaxSkip is how many messages may be missing before one that is opened, in its chain and in
	// the one before, and how many keys of missing messages are kept. The oldest go first.
	MaxSkip = 256

	// SkippedLife is for how long the key of a missing message is kept.
	SkippedLife = 7 * 24 * time.Hour

	// The receiving chains before the current one that are remembered whether or not messages
	// of theirs are missing, and the frames, so as to know them when they come again.
	rememberedChains = 8
	rememberedFrames = 64
)

// appendWiping is append, but no copy is left behind where it has to move.
func appendWiping[T any](s []T, add ...T) []T {
	if len(s)+len(add) <= cap(s) {
		return append(s, add...)
	}
	grown := make([]T, 0, len(s)+len(add)+4)
	grown = append(append(grown, s...), add...)
	clear(s)
	return grown
}

// skip derives the message keys of a chain from number from up to, but without, to.
func skip(key *[32]byte, chain, from, to uint32, since int64) []skipped {
	if from >= to {
		return nil
	}
	keys := make([]skipped, 0, to-from)
	for n := from; n < to; n++ {
		keys = append(keys, skipped{chain: chain, n: n, since: since})
		step(key, &keys[len(keys)-1].key)
	}
	return keys
}

// keep remembers the keys of messages that are missing, and wipes its argument.
func (r *receiver) keep(keys []skipped) {
	r.skipped = appendWiping(r.skipped, keys...)
	clear(keys)
	if over := len(r.skipped) - MaxSkip; over > 0 {
		r.skipped = slices.Delete(r.skipped, 0, over) // which clears what it vacates
	}
}

// find returns the index of a missing message, or -1.
func (r *receiver) find(chain, n uint32) int {
	return slices.IndexFunc(r.skipped, func(k skipped) bool { return k.chain == chain && k.n == n })
}

// expire drops the keys that are too old, and tells whether there were any. A key from
// the future, of a clock that went wrong, is of now.
func (r *receiver) expire(now int64) bool {
	before := len(r.skipped)
	r.skipped = slices.DeleteFunc(r.skipped, func(k skipped) bool { return expired(k.since, now) })
	changed := len(r.skipped) != before
	for i := range r.skipped {
		if k := &r.skipped[i]; k.since > now {
			k.since, changed = now, true
		}
	}
	r.forget()
	return changed
}

func expired(since, now int64) bool { return now-since > int64(SkippedLife/time.Second) }

// remember takes down which frame used a number.
func (r *receiver) remember(o opened) {
	if len(r.opened) == rememberedFrames {
		r.opened = slices.Delete(r.opened, 0, 1)
	}
	r.opened = append(r.opened, o)
}

// used says what a frame is whose number was used.
func (r *receiver) used(o opened) error {
	for _, before := range r.opened {
		switch {
		case before.chain != o.chain || before.n != o.n:
		case before.tag == o.tag:
			return ErrDuplicate
		default:
			return ErrRolledBack
		}
	}
	return ErrSpent
}

// forget drops the chains that nothing is expected of any more: those of which no
// message is missing, but for the last few. Their frames are forgotten with them.
func (r *receiver) forget() {
	count := r.count()
	missing := r.skipped
	r.chains = slices.DeleteFunc(r.chains, func(c chain) bool {
		for len(missing) > 0 && missing[0].chain < c.number {
			missing = missing[1:]
		}
		return count-c.number > rememberedChains && (len(missing) == 0 || missing[0].chain != c.number)
	})
	r.opened = slices.DeleteFunc(r.opened, func(o opened) bool {
		return !slices.ContainsFunc(r.chains, func(c chain) bool { return c.number == o.chain })
	})
}

// drop wipes the key of a missing message.
func (r *receiver) drop(i int) { r.skipped = slices.Delete(r.skipped, i, i+1) }
