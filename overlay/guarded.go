package overlay

import (
	"bytes"
	"sync"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/path"
)

// saveAgain is how long what could not be stored is left before it is tried again.
const saveAgain = time.Minute

// Guarded are Paths through a directory's relays as a path.Chooser draws them: by
// guards, which are kept for months, and around relays that lose packets.
type Guarded struct {
	relays  *discovery.Directory
	chooser *path.Chooser
	now     func() time.Time // the wall clock
	save    func(state []byte) error

	mu     sync.Mutex // guards the fields below
	saved  []byte
	failed time.Time // when it could not be saved; zero: it was
}

// NewGuarded returns the Paths of a Chooser. Save stores the Chooser's state for the
// next start; it is called when the state has changed, before the first way that
// it changed for is used, and may be nil. Where it fails the ways are used all the
// same.
func NewGuarded(relays *discovery.Directory, chooser *path.Chooser, now func() time.Time, save func(state []byte) error) *Guarded {
	return &Guarded{relays: relays, chooser: chooser, now: now, save: save, saved: chooser.State()}
}

// Ready is Paths'.
func (g *Guarded) Ready() error {
	g.chooser.Reached(g.relays.Proved())
	return g.await(g.chooser.Ready(g.now(), g.relays.Usable()))
}

// Draw is Paths'.
func (g *Guarded) Draw(end *record.Descriptor) (*path.Way, error) {
	g.chooser.Reached(g.relays.Proved())
	way, err := g.chooser.Draw(g.now(), g.relays.Usable(), end)
	if err == nil {
		g.keep()
	}
	return way, g.await(err)
}

// await has the directory find out whether there is a network, where kept relays are
// missing, and dial these, and returns err.
func (g *Guarded) await(err error) error {
	if g.chooser.Missing() {
		g.relays.Prove(g.chooser.Keeps()...)
	}
	return err
}

// Back is Paths'.
func (g *Guarded) Back(end *record.Descriptor) ([]*record.Descriptor, error) {
	way, err := g.Draw(end)
	if err != nil {
		return nil, err
	}
	return way.Back, nil
}

// End draws a relay to be the end of a way: see [path.Chooser.End].
func (g *Guarded) End(apart []*record.Descriptor, without ...hashid.NodeID) (*record.Descriptor, error) {
	return g.chooser.End(g.relays.Usable(), apart, without...)
}

// Clash reports whether two ends are to count as one: see [path.Chooser.Clash].
func (g *Guarded) Clash(a, b *record.Descriptor) bool { return g.chooser.Clash(a, b) }

// Report is Paths'. An answer that comes late does not speak for the relays of its
// way: one of them has kept it for longer than its sender asked for.
func (g *Guarded) Report(way *path.Way, outcome Outcome) (doubt bool) {
	switch outcome {
	case Answered, Lost:
		return g.chooser.Report(g.now(), way, outcome == Answered)
	}
	return false
}

// Summary returns what is kept and known of paths.
func (g *Guarded) Summary() path.Summary { return g.chooser.Summary(g.now(), g.relays.Usable()) }

// Keeps returns the relays that are kept: guards, then those next to them. They are
// what a node is to know of at its next start.
func (g *Guarded) Keeps() []hashid.NodeID { return g.chooser.Keeps() }

// keep has the Chooser's state saved if it has changed.
func (g *Guarded) keep() {
	if g.save == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	state := g.chooser.State()
	if bytes.Equal(state, g.saved) || !g.failed.IsZero() && time.Since(g.failed) < saveAgain {
		return
	}
	if g.save(state) != nil {
		g.failed = time.Now()
		return
	}
	g.saved, g.failed = state, time.Time{}
}
