package path

import "time"

// How long kept relays are waited for before others stand in for them.
const (
	// keptWait is how long it is since they began to be missing. A node that starts, or
	// wakes, has dialled those that it knows within seconds, and then waits less: no
	// more than keptLess from when as many others are usable as are needed to pick some.
	keptWait = 15 * time.Second
	keptLess = 5 * time.Second

	// keptAgain is how long it is since another node was reached: what failed for want of
	// a network is dialled then, too. Later than at a start this is all.
	keptAgain = 2 * time.Second

	// In a network of fewer, of which as many have been seen, nobody is made to wait:
	// any relay stands first meanwhile. Guards are worth little there, as each relay is
	// on many paths anyway.
	small = 24
)

// missing is what is known of kept relays that cannot be used.
type missing struct {
	since  time.Time // when they began to be; zero: enough are usable
	others time.Time // when as many as few others were first usable; zero: not yet
	proved time.Time // when it was first known that another node was reached since; zero: not yet
	served bool      // they were waited for once, since growth began
}

// Reached says that some other node was reached at a time, for certain. Until one was,
// relays that cannot be used may be so because this machine has no network, and none is
// taken in place of those that are kept.
func (c *Chooser) Reached(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reached(at)
}

func (c *Chooser) reached(at time.Time) {
	if at.After(c.proof) {
		c.proof = at
	}
}

// Missing reports whether Reached would tell what is not known: kept relays are missing,
// and no other node was reached since they are.
func (c *Chooser) Missing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.missing.since.IsZero() && c.proof.Before(c.missing.since)
}

// await returns ErrWaits while it is too soon to do without the relays that are kept.
func (c *Chooser) await(now time.Time) error {
	k, m := &c.keeping, &c.missing
	guards, second := live(k.guards, now), live(k.second, now)
	lacks := len(guards) > 0 && len(c.index.among(guards)) == 0 ||
		c.rules.Hops > 1 && len(c.index.among(second)) < min(secondLeast, len(second))
	if !lacks {
		m.since = time.Time{}
		return nil
	}
	if m.since.IsZero() || now.Before(m.since.Add(-clockBack)) {
		*m = missing{since: now, served: m.served}
	}
	if m.others.IsZero() && len(c.index.all) >= few {
		m.others = now
	}
	if c.proof.After(now.Add(clockBack)) { // by a clock that was ahead
		c.proof = time.Time{}
	}
	if m.proved.IsZero() && !c.proof.Before(m.since) {
		m.proved = now
	}
	switch {
	case c.mayReplace(now):
		m.served = true
		return nil
	case c.isSmall(now):
		return nil
	}
	return ErrWaits
}

// mayReplace reports whether kept relays are missing, have been waited for, and another
// node was reached meanwhile.
func (c *Chooser) mayReplace(now time.Time) bool {
	m := &c.missing
	if m.since.IsZero() || m.proved.IsZero() || now.Sub(m.proved) < keptAgain {
		return false
	}
	return m.served || now.Sub(m.since) >= keptWait || !m.others.IsZero() && now.Sub(m.others) >= keptLess
}

// isSmall reports whether the network is known to be small, and it is not this machine's
// that fails.
func (c *Chooser) isSmall(now time.Time) bool {
	return c.growth.most < small && c.growth.over(now) && !c.proof.Before(c.growth.began)
}

// relaxed reports whether any relay may stand anywhere, where none of those that are
// kept can.
func (c *Chooser) relaxed(now time.Time) bool {
	k := &c.keeping
	return len(c.index.all) < few ||
		len(k.guards) == 0 && !c.growth.over(now) ||
		c.isSmall(now) && (len(c.index.among(k.guards)) == 0 || len(c.index.among(k.second)) == 0)
}

// live are those of a list whose time is not over.
func live(list []kept, now time.Time) []kept {
	var some []kept
	for _, k := range list {
		if now.Before(k.until) {
			some = append(some, k)
		}
	}
	return some
}
