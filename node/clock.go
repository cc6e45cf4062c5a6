package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/host"
	libp2pnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	clockPeers   = 5               // asked at once
	clockEnough  = 3               // answers that outweigh one liar
	clockTimeout = 2 * time.Second // for one answer

	clockEvery = time.Hour       // between two checks while all is well
	clockWrong = time.Minute     // ... and while this clock is off
	clockFirst = 2 * time.Second // ... and while few answer, doubling up to clockEvery

	// clockOff is from where on a clock is off: five minutes do no harm
	// (record.ClockSkew), and an answer is good to half a minute and its noise.
	clockOff = 5*time.Minute + clockUnit/2 + 2*clockNoise

	// Answers to one peer: so many at once, and then one in so long. Nobody whose
	// clock is off needs more (clockWrong).
	clockBurst  = 6
	clockPause  = clockWrong
	clockAskers = 1024 // peers remembered for that
)

// clocks compares this node's clock with those of its neighbours. Records do not
// come into it: to a node whose clock is hours off none is valid, and it would
// never learn why it stays alone. What the neighbours say is taken in whole minutes
// and by majority, so that fewer than half of those that answer can
// neither raise an alarm nor hide one.
//
// Nobody asks more often than it must: when a neighbour is there to be asked,
// hourly, and after the clock jumped.
type clocks struct {
	host     host.Host
	protocol protocol.ID
	now      func() time.Time // the wall clock
	told     func(off time.Duration, answers int)
	again    chan struct{} // capacity 1: check now
	askers   *lru.Cache[peer.ID, time.Time]

	mu      sync.Mutex
	off     time.Duration // guarded by mu: by how much this clock is ahead, 0 while that does no harm
	answers int           // guarded by mu: to the last check that got any
}

// newClocks answers neighbours from now on. told is called by run when this clock
// turns out to be off by another amount than before, or no longer off (0).
func newClocks(h host.Host, id protocol.ID, now func() time.Time, told func(off time.Duration, answers int)) (*clocks, error) {
	askers, err := lru.New[peer.ID, time.Time](clockAskers)
	if err != nil {
		return nil, err
	}
	c := &clocks{host: h, protocol: id, now: now, told: told, again: make(chan struct{}, 1), askers: askers}
	h.SetStreamHandler(id, c.answer)
	return c, nil
}

// run checks the clock until ctx ends.
func (c *clocks) run(ctx context.Context) {
	few := clockFirst
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.again:
			few = clockFirst
		case <-timer.C:
		}
		answers, off := c.check(ctx)
		next := clockEvery
		if answers < clockEnough {
			next, few = few, min(2*few, clockEvery)
		}
		if off != 0 {
			next = min(next, clockWrong)
		}
		timer.Reset(next)
	}
}

// retry has the clock checked now.
func (c *clocks) retry() { nudge(c.again) }

// grown has it checked now if too few could be asked before.
func (c *clocks) grown() {
	c.mu.Lock()
	few := c.answers < clockEnough
	c.mu.Unlock()
	if few {
		nudge(c.again)
	}
}

// ahead is by how much this clock is ahead of the others', behind if negative: in
// whole minutes, and 0 while it does no harm or nobody has said.
func (c *clocks) ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off
}

// check asks some neighbours and tells what is new.
func (c *clocks) check(ctx context.Context) (answers int, off time.Duration) {
	offs := c.ask(ctx)
	if len(offs) == 0 {
		return 0, c.ahead() // nobody said anything else
	}
	if off = majority(offs); off.Abs() <= clockOff {
		off = 0
	}
	off = off.Round(clockUnit)
	c.mu.Lock()
	// What comes from another minute of another neighbour is no news.
	news := (off == 0) != (c.off == 0) || (off-c.off).Abs() > 2*clockUnit
	c.off, c.answers = off, len(offs)
	c.mu.Unlock()
	if news {
		c.told(off, len(offs))
	}
	return len(offs), off
}

// ask returns by how much this clock is ahead of each of some neighbours'.
func (c *clocks) ask(ctx context.Context) []time.Duration {
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		offs []time.Duration
	)
	for _, p := range c.choose() {
		wg.Go(func() {
			theirs, err := c.read(ctx, p)
			if err != nil {
				return
			}
			off := c.now().Round(0).Sub(theirs)
			mu.Lock()
			offs = append(offs, off)
			mu.Unlock()
		})
	}
	wg.Wait()
	return offs
}

// choose draws the neighbours to be asked. Those that this node chose to connect
// to come first: anybody may come here with any number of nodes.
func (c *clocks) choose() []peer.ID {
	network := c.host.Network()
	peers := network.Peers()
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] }) //nolint:gosec // nobody gains from knowing who
	came := func(p peer.ID) int {
		if slices.ContainsFunc(network.ConnsToPeer(p), func(conn libp2pnetwork.Conn) bool {
			return conn.Stat().Direction == libp2pnetwork.DirOutbound
		}) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(peers, func(a, b peer.ID) int { return came(a) - came(b) })
	return peers[:min(len(peers), clockPeers)]
}

// read asks one neighbour.
func (c *clocks) read(ctx context.Context, p peer.ID) (time.Time, error) {
	s, err := c.host.NewStream(libp2pnetwork.WithNoDial(ctx, "clock"), p, c.protocol)
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = s.Reset() }() // nothing is left to lose
	deadline, _ := ctx.Deadline()
	if err := s.SetDeadline(deadline); err != nil {
		return time.Time{}, err
	}
	frame, err := io.ReadAll(io.LimitReader(s, clockFrame+1))
	if err != nil {
		return time.Time{}, err
	}
	return parseClock(frame)
}

// answer tells a neighbour this node's clock. Whoever asks all the time gets no answer.
func (c *clocks) answer(s libp2pnetwork.Stream) {
	if !c.mayAsk(s.Conn().RemotePeer()) || s.SetDeadline(time.Now().Add(clockTimeout)) != nil {
		_ = s.Reset()
		return
	}
	if _, err := s.Write(c.reading()); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close() // the answer is out
}

// reading is what to answer now.
func (c *clocks) reading() []byte { return appendClock(nil, c.now().Add(noise())) }

func (c *clocks) mayAsk(p peer.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	rested, known := c.askers.Get(p) // when its allowance is whole again
	if !known || rested.Before(now) {
		rested = now
	}
	if rested.Sub(now) > (clockBurst-1)*clockPause {
		return false
	}
	c.askers.Add(p, rested.Add(clockPause))
	return true
}

// majority returns what more than half of the clocks say that this one is ahead by
// at least, or behind: their median, and of two in the middle the one nearer to 0.
func majority(offs []time.Duration) time.Duration {
	offs = slices.Sorted(slices.Values(offs))
	low, high := offs[(len(offs)-1)/2], offs[len(offs)/2]
	switch {
	case low > 0:
		return low
	case high < 0:
		return high
	}
	return 0
}

// What a neighbour answers that is asked for its clock, and nothing behind it:
//
//	offset  size  field
//	0       8     minutes since 1970, big endian
//
// Seconds would tell too much: clocks drift each in its own way, with the heat of
// the machine, so that a fine one tells machines apart and how busy they are
// (Murdoch, "Hot or Not: Revealing Hidden Services by Their Clock Skew", CCS 2006).
// Whole minutes alone do not hide them: who asks around the turn of the minute
// has it to some milliseconds after a dozen questions. So each answer is read from
// a clock that is off by another random amount, rarely by much, for where the
// amounts ended sharply there would be a turn again. That makes it dear and not
// impossible: many answers average out. At one a minute (clockPause) a neighbour
// has a second after some 150 answers, and a hundredth in three years; a thousand
// neighbours have that in a day. (The sequence of a descriptor, too, tells the
// second that it was signed in, once in two hours.)
const (
	clockFrame = 8
	clockUnit  = time.Minute
	clockNoise = 10 * time.Second // the standard deviation; twice as much at most
	maxMinutes = 1 << 32          // in the year 10136: whatever is added to it is still a date
)

// noise is what to add to the clock for one answer.
func noise() time.Duration {
	for {
		if x := rand.NormFloat64(); x >= -2 && x <= 2 { //nolint:gosec // seeded by the system, and no key
			return time.Duration(x * float64(clockNoise))
		}
	}
}

var errClock = errors.New("this is no clock's reading")

func appendClock(dst []byte, now time.Time) []byte {
	minutes := max(now.Unix(), 0) / int64(clockUnit/time.Second)
	return binary.BigEndian.AppendUint64(dst, uint64(min(minutes, maxMinutes)))
}

// parseClock returns the middle of the minute in a frame.
func parseClock(frame []byte) (time.Time, error) {
	if len(frame) != clockFrame {
		return time.Time{}, errClock
	}
	minutes := binary.BigEndian.Uint64(frame)
	if minutes > maxMinutes {
		return time.Time{}, errClock
	}
	return time.Unix(int64(minutes)*int64(clockUnit/time.Second), 0).Add(clockUnit / 2), nil
}

// clockWarning says to a person that the clock is off, by the word of so many.
func clockWarning(off time.Duration, answers int) string {
	way := "ahead of"
	if off < 0 {
		way = "behind"
	}
	by := amount(off.Abs())
	if answers < clockEnough {
		return fmt.Sprintf("This machine's clock is %s %s those of the few nodes that could be asked: it is wrong, or the others' are. "+
			"If it is, set it right: messages may not come or go before.", by, way)
	}
	return fmt.Sprintf("This machine's clock is %s %s those of other nodes. Set it right: messages may not come or go before.", by, way)
}

const clockRight = "This machine's clock agrees with those of other nodes again."

func amount(d time.Duration) string {
	switch hours := d.Hours(); {
	case hours < 1.5:
		return fmt.Sprintf("%.0f minutes", d.Minutes())
	case hours < 48:
		return fmt.Sprintf("%.0f hours", hours)
	default:
		return fmt.Sprintf("%.0f days", hours/24)
	}
}
