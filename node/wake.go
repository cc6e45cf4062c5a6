package node

import (
	"context"
	"slices"
	"sync"
	"time"

	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
)

const (
	watchEvery = time.Second // the clock and the addresses are looked at

	// jumpAfter is how far the clock must have jumped for the node to start over.
	// Shorter pauses do not break a connection: a neighbour that hears nothing
	// gives it up after a minute or so (keepAlive).
	jumpAfter = 30 * time.Second

	// sleptAfter is how far it must have jumped ahead for all connections to be
	// taken for dead. What is less may be a clock that was set right.
	sleptAfter = 2 * time.Minute

	closeWait = 500 * time.Millisecond // for dead connections to close
)

// pulse tells that the clock on the wall went further, or less far, than time
// did: this machine has slept, this process was stopped, or somebody has set the
// clock. While a machine sleeps timers stand still, and so does what most systems
// call monotonic time; while a process is stopped it goes on.
type pulse struct{ wall, mono time.Time }

// beat takes a reading of the wall clock and one of monotonic time, to be called
// every watchEvery, and returns by how much they are ahead of where they should be.
func (p *pulse) beat(wall, mono time.Time) (jump, stopped time.Duration) {
	wall = wall.Round(0) // the wall clock's reading alone
	last := *p
	p.wall, p.mono = wall, mono
	if last.wall.IsZero() {
		return 0, 0
	}
	return wall.Sub(last.wall) - watchEvery, mono.Sub(last.mono) - watchEvery
}

// slept reports whether connections are dead after such a beat. A clock that was
// set back, or forward by as much as clocks go wrong, breaks none. One that was
// set forward further cannot be told from a sleep, and costs connections once.
func slept(jump, stopped time.Duration) bool { return jump >= sleptAfter || stopped >= jumpAfter }

// watch has the node start over when the clock has jumped, or when an address of
// this machine that was in use is gone, until ctx ends.
func (n *Node) watch(ctx context.Context) {
	var (
		pulse pulse
		moves pace
		moved bool // addresses came or went, and nothing was done about it yet
		wg    sync.WaitGroup
	)
	defer wg.Wait()
	endMeeting := func() {}
	defer func() { endMeeting() }()
	startOver := func(dead []libp2pnetwork.Conn) {
		endMeeting()
		var meeting context.Context
		meeting, endMeeting = context.WithCancel(ctx)
		n.startOver(&wg, dead)
		wg.Go(func() { n.meetStored(meeting) }) // what has expired meanwhile is not known any more
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	n.local.look()
	pulse.beat(n.now(), time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		jump, stopped := pulse.beat(n.now(), now)
		if n.local.look() {
			moved = true
			moves.changed(now)
		}
		switch {
		case jump.Abs() >= jumpAfter || stopped >= jumpAfter:
			moved = false
			dead := n.host.Network().Conns()
			if !slept(jump, stopped) {
				dead = slices.DeleteFunc(dead, n.alive)
			}
			n.log.Info("the clock jumped: starting over", "seconds", int(jump.Seconds()), "connections", len(dead))
			startOver(dead)
		case moved && moves.due(now):
			moved = false
			conns := n.host.Network().Conns()
			dead := slices.DeleteFunc(slices.Clone(conns), n.alive)
			if len(dead) == 0 && len(conns) > 0 {
				n.renewIfMoved()
				continue
			}
			n.log.Info("this machine's addresses changed: starting over", "connections", len(dead))
			startOver(dead)
		}
	}
}

// alive reports whether this machine still has the address of a connection.
func (n *Node) alive(c libp2pnetwork.Conn) bool {
	return !n.local.lost(c.LocalMultiaddr(), c.RemoteMultiaddr(), c.Stat().Opened)
}

// renewIfMoved publishes the node's record anew if the addresses that others are told of
// have changed. That of its person names none.
func (n *Node) renewIfMoved() {
	if n.local.tell(texts(n.published())) {
		n.publisher.Renew()
	}
}

// startOver closes connections that are dead, though no one has said so, and
// has every part of the node do at once what it would do later: find others,
// dial relays, publish, send. What they know of who can be reached, and how long
// to leave it alone, is from before.
func (n *Node) startOver(wg *sync.WaitGroup, dead []libp2pnetwork.Conn) {
	n.local.tell(texts(n.published()))
	var closing sync.WaitGroup
	for _, c := range dead {
		closing.Go(func() { _ = c.Close() }) // nobody is there to be told
	}
	closed := make(chan struct{})
	wg.Go(func() {
		closing.Wait()
		close(closed)
	})
	select {
	case <-closed:
	case <-time.After(closeWait): // they are out of the way: the host has forgotten them
	}
	n.table.Retry()
	n.directory.Redial(n.paths.Keeps()...)
	n.finder.Retry()
	n.publisher.Renew()
	n.apart.startOver(time.Now())
	n.personal.Renew()
	n.messenger.retry()
	n.clocks.retry()
}

const (
	paceFirst = watchEvery  // from one to the next that is acted on ...
	paceLast  = time.Minute // ... doubling up to this, and from the start after so much quiet
)

// pace slows down what is done about addresses that keep changing, as where the
// reception is bad. The first change is acted on at once, and the last one always.
type pace struct {
	last time.Time // when something changed
	next time.Time // not before this is it acted on
	gap  time.Duration
}

// changed notes a change.
func (p *pace) changed(now time.Time) {
	if now.Sub(p.last) > paceLast {
		p.gap = 0
	}
	p.last = now
}

// due reports whether it may be acted on now, and takes it that it is.
func (p *pace) due(now time.Time) bool {
	if now.Before(p.next) {
		return false
	}
	p.gap = min(max(paceFirst, 2*p.gap), paceLast)
	p.next = now.Add(p.gap)
	return true
}
