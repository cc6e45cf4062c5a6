package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"chatnt/node/control"
)

// A Runner runs the node of a profile: that of the identity in use, and when another
// is to be used, that of the other in its place. There are never two at a time. It
// is what a person or a program drives, as a control.Profile; its methods may be called
// from any goroutine, before and during Run.
type Runner struct {
	cfg   Config // Profile and Listen: of the identity that it begins with
	log   hush
	ended chan struct{} // closed when Run returns

	mu        sync.Mutex
	turn      *turn    // guarded by mu; the one that runs, or ran last
	telling   *turn    // guarded by mu; whose Ready was handed out last; nil for none
	next      *Profile // guarded by mu; whose turn is next, nil for none
	at        bool     // guarded by mu; at once
	destroyed bool     // guarded by mu
	failure   error    // guarded by mu; why not all could be destroyed
}

// turn is one identity's.
type turn struct {
	profile *Profile
	node    *Node
	over    context.Context // ends when the node is to
	end     context.CancelFunc
	shown   chan struct{} // closed when the node's Ready was shown
	handed  bool          // guarded by Runner.mu; the reader has Ready now
	after   chan struct{} // closed when the next turn has begun
}

var (
	errTurning = errors.New("another identity's node is being started: try again when it is ready")
	errEnded   = errors.New("the node has ended")
)

// NewRunner assembles the node of the profile's identity in use. Run must be called
// then, for it also releases what NewRunner made.
func NewRunner(cfg Config) (*Runner, error) {
	r := &Runner{cfg: cfg, log: newHush(cfg.Log), ended: make(chan struct{})}
	r.cfg.Log = slog.New(r.log)
	n, err := New(r.cfg)
	if err != nil {
		if who := cfg.Profile.shownName(); who != "" {
			err = fmt.Errorf("the node of the identity %q cannot start: %w", who, err)
		}
		return nil, err
	}
	r.begin(cfg.Profile, n)
	close(r.turn.shown) // who drives a node waits for the first Ready anyway
	return r, nil
}

// begin has the next turn begin.
func (r *Runner) begin(p *Profile, n *Node) *turn {
	t := &turn{profile: p, node: n, shown: make(chan struct{}), after: make(chan struct{})}
	t.over, t.end = context.WithCancel(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.turn != nil {
		close(r.turn.after)
	}
	r.turn, r.next = t, nil
	return t
}

func (r *Runner) current() *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turn
}

// Run runs one node after the other until ctx ends, the profile is destroyed or a node
// fails, and returns when the last has ended.
func (r *Runner) Run(ctx context.Context) error {
	defer close(r.ended)
	defer func() { r.current().end() }()
	for t := r.current(); ; {
		err := t.run(ctx)
		r.mu.Lock()
		next, at, destroyed, failure := r.next, r.at, r.destroyed, r.failure
		r.mu.Unlock()
		switch {
		case destroyed:
			return failure // what the node says of it is no news
		case err != nil || next == nil || ctx.Err() != nil:
			return err
		}
		if !at { // counted from here: the last has only now gone
			next.seen = Apart(r.now())
		}
		cfg := r.cfg
		if cfg.Profile, cfg.Listen, err = next, nil, nil; next.Hashid() == r.cfg.Profile.Hashid() { // names are given anew
			cfg.Listen = r.cfg.Listen
		} else {
			cfg.Listen, err = AnyPort(r.cfg.Listen) // at one port it would be seen to be the same person
		}
		var n *Node
		if err == nil {
			n, err = New(cfg)
		}
		if err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.destroyed { // meanwhile
				return r.failure
			}
			return fmt.Errorf("the node of the identity %q cannot start: %w", next.name, err)
		}
		t = r.begin(next, n)
	}
}

func (t *turn) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.over, cancel)()
	return t.node.Run(ctx)
}

// Next waits for the next event of the node that runs now. What an identity has not
// shown when its turn ends, it shows when it is used again.
func (r *Runner) Next(ctx context.Context) (control.Event, error) {
	for {
		r.mu.Lock()
		t := r.turn
		if t.handed { // to ask for the next is to say that it was shown
			t.handed = false
			close(t.shown)
		}
		r.mu.Unlock()
		if e, err := t.next(ctx); err == nil {
			if _, ok := e.(control.Ready); ok {
				r.ready(t)
			}
			return e, nil
		}
		select {
		case <-t.after:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.ended:
			return nil, errEnded
		}
	}
}

// next is Node's until the turn ends.
func (t *turn) next(ctx context.Context) (control.Event, error) {
	if t.over.Err() != nil {
		return nil, errEnded
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.over, cancel)()
	return t.node.Next(ctx)
}

// ready notes that a turn's Ready is being shown.
func (r *Runner) ready(t *turn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.telling = t
	select {
	case <-t.shown: // the first
	default:
		t.handed = true
	}
}

// Node returns the node that runs now. While one takes the place of another, it waits
// until the Ready of the new one was shown.
func (r *Runner) Node() control.Node {
	for {
		t := r.current()
		select {
		case <-t.shown:
		case <-r.ended:
			return t.node
		}
		if t.over.Err() == nil {
			return t.node
		}
		select {
		case <-t.after:
		case <-r.ended:
			return t.node
		}
	}
}

// Identities returns the identities of the profile, in the order in which they were made.
func (r *Runner) Identities() ([]control.Identity, error) { return r.current().profile.Identities() }

// NewIdentity makes an identity under a local name, to be used some other time, and never listed
// if it is not to be.
func (r *Runner) NewIdentity(name string, unlisted bool) (control.Identity, error) {
	if unlisted {
		return r.current().profile.AddUnlisted(name, r.now())
	}
	return r.current().profile.AddIdentity(name, r.now())
}

// now is the wall clock.
func (r *Runner) now() time.Time {
	if r.cfg.Now != nil {
		return r.cfg.Now()
	}
	return time.Now()
}

// UseIdentity stores that an identity is in use from now on, and has its node take the
// place of the one that runs, which ends in order first: after a while in which neither
// is seen, see Apart, or now.
func (r *Runner) UseIdentity(name string, now bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.next != nil:
		return errTurning
	case r.turn.over.Err() != nil:
		return errEnded
	}
	r.turn.node.saveRelays() // for one that knows none
	seen := r.now()
	if !now {
		seen = Apart(seen)
	}
	next, err := r.turn.profile.Use(name, seen)
	if err != nil {
		return err
	}
	if next.name == r.turn.profile.name {
		return fmt.Errorf("the identity %q is in use", next.name)
	}
	r.next, r.at = next, now
	r.turn.end()
	return nil
}

// DeleteIdentity deletes an identity that is not in use and all that is stored of it.
func (r *Runner) DeleteIdentity(name string) error { return r.current().profile.DeleteIdentity(name) }

// Visible says whether who knows this person's hashid can find this node.
func (r *Runner) Visible() control.Visible { return visible() }

// Told notes that the person was told so, as the Ready that was handed out last asks for: another identity
// may have taken the place of that one since.
func (r *Runner) Told() error {
	r.mu.Lock()
	t := r.telling
	r.mu.Unlock()
	if t == nil {
		return nil
	}
	return t.profile.setTold()
}

// SetVisible changes that, once it can be changed.
func (r *Runner) SetVisible(on bool) (control.Visible, error) { return setVisible(on) }

// Kept reports whether the profile is on the disk.
func (r *Runner) Kept() bool { return r.current().profile.dir != "" }

// Wipe destroys the profile, at once and for ever, and then ends the node: on return
// nothing opens it any more. The error says what of it is left.
func (r *Runner) Wipe() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.destroyed {
		return r.failure
	}
	r.log.off.Store(true)
	r.destroyed, r.failure = true, r.turn.profile.wipe()
	r.turn.end()
	return r.failure
}
