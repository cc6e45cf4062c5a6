package path

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery/hashid"
)

const (
	version  = 1
	sizeKept = 32 + 8 + 8

	// MaxState is the most bytes that State returns.
	MaxState = 1 + 8 + 1 + maxGuards*sizeKept + 1 + maxSecond*sizeKept

	// maxUnix keeps every time that parses far inside what time.Time can add and
	// compare; it is in the year 36812.
	maxUnix = 1<<40 - 1
)

// ErrState says that stored bytes are not what State has returned for this node: the
// caller begins anew, with new guards.
var ErrState = errors.New("the stored guards are damaged or of another version: new ones will be picked")

// State returns what a later start needs, to be stored sealed. It changes when
// relays are picked or their time is over, which is only while a way is drawn.
func (c *Chooser) State() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := cryptobyte.NewBuilder(make([]byte, 0, MaxState))
	b.AddUint8(version)
	addTime(b, c.keeping.picked)
	for _, list := range [][]kept{c.keeping.guards, c.keeping.second} {
		b.AddUint8(uint8(len(list)))
		for _, k := range list {
			b.AddBytes(k.id[:])
			addTime(b, k.since)
			addTime(b, k.until)
		}
	}
	return b.BytesOrPanic()
}

// Keeps returns the relays that are kept, usable or not: guards, then second relays.
func (c *Chooser) Keeps() []hashid.NodeID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []hashid.NodeID
	for _, k := range slices.Concat(c.keeping.guards, c.keeping.second) {
		ids = append(ids, k.id)
	}
	return ids
}

// addTime writes a time, before 1970 as 0.
func addTime(b *cryptobyte.Builder, t time.Time) { b.AddUint64(uint64(max(t.Unix(), 0))) }

// Restore returns a Chooser that keeps the relays of a state. The error is ErrState.
func Restore(rules Rules, state []byte) (*Chooser, error) {
	s := cryptobyte.String(state)
	var v uint8
	if len(state) > MaxState || !s.ReadUint8(&v) || v != version {
		return nil, ErrState
	}
	c := New(rules)
	k := &c.keeping
	ok := readTime(&s, &k.picked) &&
		readKept(&s, &k.guards, maxGuards, guardAtLeast, guardAtMost) &&
		readKept(&s, &k.second, maxSecond, secondAtLeast, secondAtMost)
	if !ok || !s.Empty() || !k.valid(rules.Self) {
		return nil, ErrState
	}
	return c, nil
}

func readTime(s *cryptobyte.String, t *time.Time) bool {
	var unix uint64
	if !s.ReadUint64(&unix) || unix > maxUnix {
		return false
	}
	if *t = (time.Time{}); unix > 0 {
		*t = time.Unix(int64(unix), 0).UTC()
	}
	return true
}

func readKept(s *cryptobyte.String, list *[]kept, most int, least, longest time.Duration) bool {
	var n uint8
	if !s.ReadUint8(&n) || int(n) > most {
		return false
	}
	for range n {
		var k kept
		if !s.CopyBytes(k.id[:]) || !readTime(s, &k.since) || !readTime(s, &k.until) {
			return false
		}
		if life := k.until.Sub(k.since); k.since.IsZero() || life < least || life > longest {
			return false
		}
		*list = append(*list, k)
	}
	return true
}

// valid reports whether a node may keep these relays: each once in a list, none of
// them itself or nobody.
func (k *keeping) valid(self hashid.NodeID) bool {
	for _, list := range [][]kept{k.guards, k.second} {
		for i, one := range list {
			if one.id.IsZero() || one.id == self || holds(list[:i], one.id) {
				return false
			}
		}
	}
	return len(k.guards) == 0 || !k.picked.IsZero()
}
