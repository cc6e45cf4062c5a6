package path

import (
	"slices"
	"sync"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// Rules say what ways a node draws.
type Rules struct {
	Self   hashid.NodeID // this node, never a relay of its own
	Hops   int           // relays each way, 1 to 3
	Apart  bool          // public networks: no two nodes of one way share an IPv4 /16 or IPv6 /32
	Random Source        // nil: crypto/rand
}

// Chooser draws the ways of one node's packets and learns from how they went. Its
// methods may be called from any goroutine.
type Chooser struct {
	rules Rules
	dice  dice

	mu      sync.Mutex // guards the fields below
	index   index
	keeping keeping
	blame   blame
	out     map[hashid.NodeID]bool // relays that rest, of those in index
	growth  growth                 // of index
	missing missing                // kept relays that cannot be used
	proof   time.Time              // when another node was last reached for certain; zero: never
}

// New returns a Chooser that keeps no relay yet.
func New(rules Rules) *Chooser {
	if rules.Random == nil {
		rules.Random = system{}
	}
	return &Chooser{
		rules: rules, dice: dice{rules.Random},
		index: index{rules: rules}, blame: newBlame(rules.Self),
	}
}

// Way is how one request travels, and its answer. It is read-only.
type Way struct {
	Out  []*record.Descriptor // relays from this node to the end
	Back []*record.Descriptor // relays from the end to this node
	End  hashid.NodeID

	drawn time.Time
	out   []hashid.NodeID // of Out
	back  []hashid.NodeID // of Back
}

// IDs returns the relays from this node to the end, and those from there back.
func (w *Way) IDs() (out, back []hashid.NodeID) { return slices.Clone(w.out), slices.Clone(w.back) }

// Ready returns why no way can be drawn at present, whatever its end, or nil. Its
// errors are Draw's, but for those that have to do with the end.
func (c *Chooser) Ready(now time.Time, relays []*record.Descriptor) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(now, relays)
	if n := len(c.index.all); n < c.rules.Hops {
		return &discovery.ShortageError{Need: c.rules.Hops, Have: n}
	}
	return c.await(now)
}

// Draw draws the way of one request to the end node and of its answer, through
// relays that are usable now. The error is a *discovery.ShortageError, or a
// *PrefixError where the network has a prefix rule, when there is no such way.
//
// It is ErrWaits when kept relays begin to be missing: no guard is usable, or of the
// second relays one at the most. It is so for some seconds, once since the start, and
// until another node was reached, see Reached; not in small networks. A node that starts
// knows of no relay that it is usable, and learns of one after the other: it would use
// strangers for its first requests, and pick new relays to keep with each start. It is
// ErrNoGuard when others were picked in their place already, and are missing too.
//
// Relays is what discovery.Directory.Usable returns, and belongs to the Chooser
// from then on; drawing from the same slice again is cheapest. Time must not go
// backwards by much: the wall clock will do.
func (c *Chooser) Draw(now time.Time, relays []*record.Descriptor, end *record.Descriptor) (*Way, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look(now, relays)
	if err := c.await(now); err != nil {
		return nil, err
	}
	c.tend(now)
	out, back, err := c.draw(now, c.index.read(end))
	if err != nil {
		return nil, err
	}
	w := &Way{drawn: now, End: end.ID()}
	for _, r := range out {
		w.Out, w.out = append(w.Out, r.desc), append(w.out, r.id)
	}
	for _, r := range back {
		w.Back, w.back = append(w.Back, r.desc), append(w.back, r.id)
	}
	return w, nil
}

// Back draws a way from the end node to this one alone: for what the end is to
// send later, unasked. Its errors are Draw's.
func (c *Chooser) Back(now time.Time, relays []*record.Descriptor, end *record.Descriptor) ([]*record.Descriptor, error) {
	w, err := c.Draw(now, relays, end)
	if err != nil {
		return nil, err
	}
	return w.Back, nil
}

// Report says what a request that was sent on a way came to, once: whether its
// answer came, in time and undamaged. What was never sent, for want of a
// connection to the first relay, says nothing about a way and is not reported.
//
// It returns whether there is doubt about the relays of the way: nothing came, from an
// end that has answered shortly before. More requests would tell.
func (c *Chooser) Report(now time.Time, w *Way, ok bool) (doubt bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok {
		c.reached(now)
	}
	return c.blame.report(now, w, ok)
}

// look takes in the relays of now and who of them rests.
func (c *Chooser) look(now time.Time, relays []*record.Descriptor) {
	c.index.see(relays)
	if c.growth.see(now, len(c.index.all)) {
		c.missing.served = false
	}
	guards := c.keeping.guards
	if len(c.index.all) < few {
		guards = nil // any relay stands next to any other
	}
	c.blame.judge(now, len(c.index.all), guards)
	c.out = c.blame.excluded(now, &c.index)
}
