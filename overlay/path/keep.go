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

	// The relays next to a guard: Tor's vanguards-lite (vanguards specification,
	// "Vanguards-Lite", and proposal 333), where the lifetime is the greater of two
	// uniform draws as well. Most live long, and nobody knows which go soon.
	secondOnDuty  = 4
	maxSecond     = 16 // remembered
	secondLeast   = 2  // usable: with fewer, another is picked
	secondAtLeast = 1 * day
	secondAtMost  = 22 * day

	day = 24 * time.Hour
)

// pressedAfter is how long after the last guard was picked another may be, in place of
// n that are remembered and cannot be used: at once for one more than are on duty, then
// ever later. Who takes guards off the network is to find that it gets slower.
func pressedAfter(n int) time.Duration {
	switch {
	case n <= guardsOnDuty:
		return 0
	case n == guardsOnDuty+1:
		return 5 * time.Minute
	case n == guardsOnDuty+2:
		return time.Hour
	case n < maxGuards:
		return 4 * time.Hour
	}
	return day
}

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
	picked         time.Time // when a guard was last picked or, with none, its picking first put off; zero: never
}

// onDuty are the first n of a list that are usable.
func (x *index) onDuty(list []kept, n int) []*relay {
	usable := x.among(list)
	return usable[:min(n, len(usable))]
}

// expire forgets those whose time is over. A time further off than any lifetime
// comes from a clock that was ahead, and is brought back.
func (k *keeping) expire(now time.Time) {
	had := len(k.guards) > 0
	k.guards = expire(k.guards, now, guardAtMost)
	k.second = expire(k.second, now, secondAtMost)
	switch {
	case k.picked.After(now):
		k.picked = now.Truncate(time.Second)
	case had && len(k.guards) == 0:
		k.picked = time.Time{}
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

// tend picks what is to be picked at now, whatever paths it is for: who chooses
// where paths end has no say in it. Nothing is picked, but in place of relays that are
// missing for long enough, out of the first relays that a node learns of; and nothing is
// forgotten while there are few, as all are gone by a clock that is months ahead.
func (c *Chooser) tend(now time.Time) {
	k := &c.keeping
	if len(c.index.all) < few {
		return
	}
	k.expire(now)
	if len(k.guards) == 0 { // a new profile, or one that slept for months
		if c.putOff(now) {
			return
		}
		for range guardsOnDuty {
			c.pickGuard(now, nil)
		}
	}
	calm, pressed := c.growth.over(now), c.mayReplace(now)
	switch usable := len(c.index.among(k.guards)); {
	case usable == 0 && pressed:
		c.pickPressed(now, nil)
	case usable > 0 && calm && (len(k.guards) < guardsOnDuty || usable == 1):
		if now.Sub(k.picked) >= guardEvery {
			c.pickGuard(now, nil)
		}
	}
	for (calm || len(k.second) == 0) && len(k.second) < secondOnDuty && c.pickSecond(now) {
	}
	for (pressed || c.rules.Hops == 1) && len(c.index.among(k.second)) < secondLeast && c.pickSecond(now) {
	}
}

// putOff reports whether it is too soon to pick the first guards, because the number of
// relays grows. All runs of a node together put it off for no more than an hour.
func (c *Chooser) putOff(now time.Time) bool {
	k := &c.keeping
	if c.growth.over(now) {
		return false
	}
	if k.picked.IsZero() {
		k.picked = now.Truncate(time.Second)
	}
	return now.Sub(k.picked) < putOffLast
}

// pickPressed picks a guard because none is usable, apart from end if there is one, unless
// it is too soon. When the list is full the last one gives way, but not for an end.
func (c *Chooser) pickPressed(now time.Time, end *relay) *relay {
	k := &c.keeping
	if c.tooSoon(now) || end != nil && len(k.guards) >= maxGuards {
		return nil
	}
	if len(k.guards) >= maxGuards {
		k.guards = k.guards[:maxGuards-1]
	}
	return c.pickGuard(now, end)
}

func (c *Chooser) tooSoon(now time.Time) bool {
	return now.Sub(c.keeping.picked) < pressedAfter(len(c.keeping.guards))
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
