package path

import (
	"slices"
	"time"

	"chatnt/discovery/hashid"
)

// How many relays are kept, and for how long.
const (
	few = 12 // usable relays; with fewer, none are picked to be kept

	guardsOnDuty = 3
	maxGuards    = 20 // remembered
	guardAtLeast = 60 * day
	guardAtMost  = 90 * day
	guardEvery   = 7 * day // between new ones, while another is usable
	guardPressed = day     // between new ones in place of another, while none is

	// The relays next to a guard: Tor's vanguards-lite (vanguards specification,
	// "Vanguards-Lite", and proposal 333), where the lifetime is the greater of two
	// uniform draws as well. Most live long, and nobody knows which go soon.
	secondOnDuty  = 4
	maxSecond     = 16 // remembered
	secondLeast   = 2  // usable: with fewer, another is picked
	secondAtLeast = 1 * day
	secondAtMost  = 22 * day

	// How long kept relays are waited for before others stand in for them. A node
	// that starts has dialled those that it knows within seconds.
	keptWait = 15 * time.Second

	day = 24 * time.Hour
)

// kept is a relay that is kept for long.
type kept struct {
	id           hashid.NodeID
	since, until time.Time // whole seconds
}

// keeping is what a node keeps: its guards and the relays next to them, each list
// in the order in which they were picked. The first that are usable are on duty:
// who was away and comes back is on duty again, before those that were picked in
// its absence (as in Tor's guard specification, section "primary guards"). Whoever
// wants a node to take its k-th guard must have the first k-1 off the network all
// at once, and for as long as the k-th is to serve.
type keeping struct {
	guards, second []kept
	picked         time.Time // when a guard was last picked; zero: never
}

// onDuty are the first n of a list that are usable.
func (x *index) onDuty(list []kept, n int) []*relay {
	usable := x.among(list)
	return usable[:min(n, len(usable))]
}

// expire forgets those whose time is over. A time further off than any lifetime
// comes from a clock that was ahead, and is brought back.
func (k *keeping) expire(now time.Time) {
	k.guards = expire(k.guards, now, guardAtMost)
	k.second = expire(k.second, now, secondAtMost)
	if k.picked.After(now) {
		k.picked = now.Truncate(time.Second)
	}
}

func expire(list []kept, now time.Time, atMost time.Duration) []kept {
	now = now.Truncate(time.Second)
	list = slices.DeleteFunc(list, func(k kept) bool { return !now.Before(k.until) })
	for i, k := range list {
		if k.since.After(now) {
			list[i].since, list[i].until = now, now.Add(min(k.until.Sub(k.since), atMost))
		}
	}
	return list
}

// await returns ErrWaits while it is too soon to do without the relays that are kept.
func (c *Chooser) await(now time.Time) error {
	k := &c.keeping
	k.expire(now)
	missing := len(k.guards) > 0 && len(c.index.among(k.guards)) == 0 ||
		c.rules.Hops > 1 && len(c.index.among(k.second)) < min(secondLeast, len(k.second))
	switch {
	case !missing:
		c.alone = time.Time{}
		return nil
	case c.alone.IsZero() || now.Before(c.alone):
		c.alone = now
	}
	if now.Sub(c.alone) < keptWait {
		return ErrWaits
	}
	return nil
}

// tend picks what is to be picked at now, whatever paths it is for: who chooses
// where paths end has no say in it.
func (c *Chooser) tend(now time.Time) {
	k := &c.keeping
	if len(c.index.all) < few {
		return
	}
	if len(k.guards) == 0 { // a new profile, or one that slept for months
		for range guardsOnDuty {
			c.pickGuard(now, nil)
		}
	}
	switch usable := len(c.index.among(k.guards)); {
	case usable == 0:
		c.pickPressed(now)
	case len(k.guards) < guardsOnDuty || usable == 1:
		if now.Sub(k.picked) >= guardEvery {
			c.pickGuard(now, nil)
		}
	}
	for len(k.second) < secondOnDuty && c.pickSecond(now) {
	}
	for len(c.index.among(k.second)) < secondLeast && c.pickSecond(now) {
	}
}

// pickPressed picks a guard at once because none is usable. When the list is full
// the last one gives way, once a day.
func (c *Chooser) pickPressed(now time.Time) {
	k := &c.keeping
	if len(k.guards) >= maxGuards {
		if now.Sub(k.picked) < guardPressed {
			return
		}
		k.guards = k.guards[:maxGuards-1]
	}
	c.pickGuard(now, nil)
}

// pickGuard picks a guard, apart from end if there is one.
func (c *Chooser) pickGuard(now time.Time, end *relay) *relay {
	k := &c.keeping
	r := c.pick(end, k.guards, k.second)
	if r == nil || len(k.guards) >= maxGuards {
		return nil
	}
	k.picked = now.Truncate(time.Second)
	k.guards = append(k.guards, c.keep(r, now, c.uniform(guardAtLeast, guardAtMost)))
	return r
}

// pickSecond picks a relay to stand next to the guards, and reports whether it
// could. When the list is full the last one gives way that is not usable.
func (c *Chooser) pickSecond(now time.Time) bool {
	k := &c.keeping
	r := c.pick(nil, k.second, k.guards)
	if r == nil {
		return false
	}
	for i := len(k.second) - 1; i >= 0 && len(k.second) >= maxSecond; i-- {
		if c.index.byID[k.second[i].id] == nil {
			k.second = slices.Delete(k.second, i, i+1)
		}
	}
	life := max(c.uniform(secondAtLeast, secondAtMost), c.uniform(secondAtLeast, secondAtMost))
	k.second = append(k.second, c.keep(r, now, life))
	return true
}

func (c *Chooser) keep(r *relay, now time.Time, life time.Duration) kept {
	now = now.Truncate(time.Second).UTC()
	return kept{r.id, now, now.Add(life)}
}

// uniform draws a time of whole seconds.
func (c *Chooser) uniform(least, most time.Duration) time.Duration {
	return least + time.Duration(c.dice.below(int((most-least)/time.Second)+1))*time.Second
}

// pick draws a relay for a list. As long as there are enough prefixes it has none
// in common with the others of its list, so that no end's prefix rules out all of
// them, nor with those of the other list, that share paths with it. One that is
// resting is not picked.
func (c *Chooser) pick(end *relay, own, others []kept) *relay {
	mine, theirs := c.index.among(own), c.index.among(others)
	free := func(r *relay) bool {
		return !holds(own, r.id) && !c.out[r.id] && (end == nil || !r.clash(end))
	}
	apart := func(r *relay, from []*relay) bool {
		return !slices.ContainsFunc(from, r.clash)
	}
	for _, fits := range []func(*relay) bool{
		func(r *relay) bool { return free(r) && apart(r, mine) && apart(r, theirs) },
		func(r *relay) bool { return free(r) && apart(r, mine) && !holds(others, r.id) },
		func(r *relay) bool { return free(r) && !holds(others, r.id) },
		free,
	} {
		if r := c.index.any(c.dice, fits); r != nil {
			return r
		}
	}
	return nil
}

func holds(list []kept, id hashid.NodeID) bool {
	return slices.ContainsFunc(list, func(k kept) bool { return k.id == id })
}
