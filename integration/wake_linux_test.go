package integration

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestWakes has a node sleep: its process is stopped and its cable pulled, so
// that its connections die without a word, and when it goes on hours have passed.
// The hours are not real: all clocks are put forward instead. The others notice that
// too, as if they had slept themselves, and have found together before the sleeper
// wakes. Stopped processes, with the cable in its place and out, are real.
func TestWakes(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	goHome(t)
	type sleep struct {
		name    string
		hours   int           // by which the clocks are put forward
		stopped time.Duration // for which the process does not run
		pulled  bool          // the cable
		late    time.Duration // after which the network is there, at a new address
	}
	sleeps := []sleep{
		{"three hours", 3, 0, true, 0},
		{"a night, in which all descriptors expire", 10, 0, true, 0},
	}
	if os.Getenv("CHATNT_LONG") == "1" {
		sleeps = append(sleeps,
			sleep{"three hours, and a network that takes its time", 3, 0, true, 6 * time.Second},
			sleep{"a fortnight", 14 * 24, 0, true, 0},
			sleep{"stopped for a minute", 0, time.Minute, false, 0},
			sleep{"stopped for a minute and unplugged", 0, time.Minute, true, 0})
	}
	s := newSpace(t, 7)
	contact, sleeper := s.nodes[1], s.nodes[6]
	ahead := 0 // seconds
	for _, sleep := range sleeps {
		if sleep.pulled {
			ip(t, "link set "+sleeper.cable+" down")
		}
		sleeper.signal(syscall.SIGSTOP)
		ahead += sleep.hours * 3600
		clock := fmt.Sprintf("!clock %d", ahead)
		for _, n := range s.nodes[:6] {
			n.do(clock)
		}
		early := contact.do("/msg n6 sent in the sleep of " + sleep.name)["id"]
		<-time.After(sleep.stopped) // this is the sleep itself
		if sleep.hours > 0 {
			meet(s.nodes[0], s.nodes[2], sleep.name)
		}

		if sleep.late > 0 {
			sleeper.write("!ip addr flush dev eth0")
		}
		began := time.Now()
		sleeper.write(clock)
		if sleep.pulled {
			ip(t, "link set "+sleeper.cable+" up")
		}
		sleeper.signal(syscall.SIGCONT)
		if sleep.late > 0 {
			<-time.After(sleep.late) // as long as it takes to join a wireless network
			began = time.Now()
			sleeper.do("!ip addr add 10.77.0.100/24 dev eth0")
		}
		sleeper.await(0, "message", has{"from": contact.hashid, "text": "sent in the sleep of " + sleep.name})
		contact.await(0, "status", has{"id": early, "state": "delivered"})
		exchange(contact, sleeper, "after "+sleep.name)
		sleeper.awaitUsable(5)
		took := time.Since(began)
		t.Logf("%s: sends, receives and has five usable relays after %.1f s", sleep.name, took.Seconds())
		if took > 10*time.Second {
			t.Errorf("%s: works again only after %v", sleep.name, took)
		}
	}
	s.quit()
}

// meet has two nodes that are awake exchange texts.
func meet(a, b *spaceNode, text string) {
	a.t.Helper()
	if len(a.texts(b.hashid)) == 0 {
		a.do("/add " + b.hashid + " " + b.name)
		b.await(0, "request", has{"from": a.hashid})
		b.do("/accept " + a.hashid + " " + a.name)
		a.await(0, "contact", has{"hashid": b.hashid, "state": "accepted"})
	}
	exchange(a, b, "while one sleeps, "+text)
}
