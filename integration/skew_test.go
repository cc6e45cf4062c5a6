package integration

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chatnt/node/control"
)

// wallClock is a clock that is off, and may be set while a node runs. What is
// real in these tests: nodes and sockets. What is not: the time of day.
type wallClock struct{ off atomic.Int64 }

func newWallClock(off time.Duration) *wallClock {
	c := new(wallClock)
	c.set(off)
	return c
}

func (c *wallClock) now() time.Time        { return time.Now().Add(time.Duration(c.off.Load())) }
func (c *wallClock) set(off time.Duration) { c.off.Store(int64(off)) }

// untilHour is how far to put clocks forward for the next hour to begin in d.
func untilHour(d time.Duration) time.Duration {
	now := time.Now()
	return now.Truncate(time.Hour).Add(time.Hour).Add(-d).Sub(now)
}

// TestClocksFiveMinutesOff has nodes whose clocks are right, five minutes ahead and
// five minutes behind talk all to all: far from a full hour, with the hour between
// them, so that they use the keys of different hours, and with the hour turning
// while they talk.
func TestClocksFiveMinutesOff(t *testing.T) {
	t.Parallel()
	for name, right := range map[string]time.Duration{ // by how much right clocks are ahead of this machine's
		"within an hour":       untilHour(30 * time.Minute),
		"before the hour":      untilHour(2 * time.Minute),
		"after the hour":       untilHour(-2 * time.Minute),
		"while the hour turns": untilHour(4 * time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			people := newPeople(t, newNetwork(t, false), count(6, 9))
			for i, p := range people {
				p.now = newWallClock(right + time.Duration(i%3-1)*5*time.Minute).now
			}
			introduce(t, people...)
			start(t, people, len(people)-1)
			defer stopAll(people)
			began := time.Now()
			for k := range count(2, 10) {
				if name == "while the hour turns" { // some go before, some after
					<-time.After(time.Until(began.Add(time.Duration(k) * 4 * time.Second)))
				}
				allToAll(people, fmt.Sprintf("round %d", k))
			}
			for _, p := range people {
				if banned := p.node.Status().Banned; banned != 0 {
					t.Errorf("%s has banned %d honest nodes", p.name, banned)
				}
			}
		})
	}
}

// allToAll has everybody send everybody a text, and waits until all have come and
// are known to have.
func allToAll(people []*person, text string) {
	ids := make(map[*person][]string)
	for _, from := range people {
		for _, to := range people {
			if from != to {
				ids[from] = append(ids[from], from.send(to, text))
			}
		}
	}
	for _, from := range people {
		for _, to := range people {
			if from != to {
				to.awaitText(from, text)
			}
		}
		for _, id := range ids[from] {
			from.awaitState(id, "delivered")
		}
	}
}

// TestClockHoursOff starts a node whose clock is hours off. No record is valid to
// it, and none of its own to others; it learns why, nobody is banned over it, and once
// the clock is set everything works without a new start.
func TestClockHoursOff(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]time.Duration{"ahead of": 26 * time.Hour, "behind": -26 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			people := newPeople(t, newNetwork(t, false), 7)
			introduce(t, people...)
			others, wrong := people[:6], people[6]
			start(t, others, len(others)-1)
			defer stopAll(people)
			clock := newWallClock(off)
			wrong.now = clock.now
			wrong.join(others[0].invited())
			wrong.start()
			warning := await(wrong, 0, "a warning that a clock is off", func(w control.Warning) bool {
				return w.About == "clock" && !w.Over && strings.Contains(w.Text, "hours "+name) && strings.Contains(w.Text, "et it right")
			})
			t.Log(warning.Text)
			if got := time.Duration(wrong.node.Status().ClockOff) * time.Second; (got - off).Abs() > 2*time.Minute {
				t.Errorf("/status says the clock is %v off, it is %v", got, off)
			}
			// The longer it is alone the more rarely it tries.
			<-time.After(time.Duration(count(0, 45)) * time.Second)
			early := wrong.send(others[0], "with a wrong clock")
			late := others[1].send(wrong, "to a wrong clock")

			mark := wrong.mark()
			clock.set(0)
			set := time.Now()
			others[0].awaitText(wrong, "with a wrong clock")
			wrong.awaitText(others[1], "to a wrong clock")
			wrong.awaitState(early, "delivered")
			others[1].awaitState(late, "delivered")
			await(wrong, mark, "five usable relays", func(e control.RelaysChanged) bool { return e.Usable >= 5 })
			await(wrong, mark, "the end of the warning", func(w control.Warning) bool { return w.About == "clock" && w.Over })
			took := time.Since(set)
			t.Logf("all is well %.1f s after the clock was set", took.Seconds())
			if took > 10*time.Second {
				t.Errorf("all is well only %v after the clock was set", took)
			}
			if off := wrong.node.Status().ClockOff; off != 0 {
				t.Errorf("/status still says that the clock is off, by %d s", off)
			}
			for _, p := range people {
				if banned := p.node.Status().Banned; banned != 0 {
					t.Errorf("%s has banned %d honest nodes", p.name, banned)
				}
				if p == wrong {
					continue
				}
				events, _ := p.since(0)
				for _, e := range events {
					if w, ok := e.(control.Warning); ok {
						t.Errorf("%s, whose clock is right, is told: %s", p.name, w.Text)
					}
				}
			}
		})
	}
}
