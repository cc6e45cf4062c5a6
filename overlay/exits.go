package overlay

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

const (
	exitsAsked = 8 // at most, for one key
	exitsDrawn = 8 // at most, until a path leads to one

	maxLiars  = 64        // exits left alone, of one identity; the oldest give way
	liarsRest = time.Hour // for which they are
)

// session is one look-up, or one put with its confirmation. It knows the exits that
// it has asked, so that it asks others while there are any, also for another key of
// the same person.
type session struct {
	records *Records

	mu    sync.Mutex
	asked []hashid.NodeID // guarded by mu
}

// ask asks one exit after another, but for those that clash with one, if there is
// one, until judge has heard enough: the next when one has answered, or has not for a
// turn, while those before may still do so. If possible each is apart from all that
// have answered. One that seemed not to answer may be asked, and heard, twice. The error
// says why judge has not heard enough: ErrNoAnswer when ctx ended, or all were asked
// that may be.
func (s *session) ask(ctx context.Context, service string, body []byte, but *record.Descriptor, judge func(exit *record.Descriptor, answer []byte) bool) error {
	var (
		answers     = make(chan answer, exitsAsked)
		next        = time.NewTimer(s.records.turn())
		sent, heard []*record.Descriptor // whom attempts went to, and who has answered
	)
	defer next.Stop()
	for ctx.Err() == nil {
		if len(sent) < exitsAsked {
			wait := s.records.turn()
			path, exit, err := s.path(but, heard)
			switch {
			case err == nil:
				if _, err := s.records.caller.attempt(path, service, body, slowWithin, answers); err == nil {
					sent = append(sent, exit)
				} else {
					wait = heldFirst // the link, or the caller's share, is full
				}
			case len(sent) == 0:
				return err
			case len(sent) == len(heard):
				return ErrNoAnswer
			}
			next.Reset(wait)
		}
		select {
		case <-ctx.Done():
		case <-next.C:
		case a := <-answers:
			exit := sent[slices.IndexFunc(sent, func(exit *record.Descriptor) bool { return exit.ID() == a.end })]
			if judge(exit, a.body) {
				return nil
			}
			if heard = append(heard, exit); len(heard) == exitsAsked {
				return ErrNoAnswer
			}
		}
	}
	return ErrNoAnswer
}

// path draws a path to an exit, as ask wants it: where none leads to the one that was
// drawn, to another.
func (s *session) path(but *record.Descriptor, heard []*record.Descriptor) (*Path, *record.Descriptor, error) {
	var without []hashid.NodeID
	for _, exit := range heard {
		without = append(without, exit.ID())
	}
	var failed error
	for range exitsDrawn {
		exit, err := s.choose(but, heard, without)
		if err != nil {
			return nil, nil, cmp.Or(failed, err)
		}
		o := s.records.caller.overlay
		path, err := o.path(exit)
		if err == nil {
			path.Latency = s.records.latency()
			return path, exit, nil
		}
		failed = cmp.Or(failed, err)
		if o.cfg.Paths.Ready() != nil { // there is no way to any
			break
		}
		without = append(without, exit.ID())
	}
	return nil, nil, failed
}

// choose draws an exit other than those named, and apart from one: if there is such
// an exit, one apart from those that have answered; of these, one that was not asked
// yet; and one that lied lately only if there is no other.
func (s *session) choose(but *record.Descriptor, heard []*record.Descriptor, without []hashid.NodeID) (exit *record.Descriptor, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var must []*record.Descriptor
	if but != nil {
		must = append(must, but)
	}
	liars := s.records.liars.list()
	for _, apart := range [][]*record.Descriptor{slices.Concat(must, heard), must} {
		for _, also := range [][]hashid.NodeID{slices.Concat(liars, s.asked), liars, nil} {
			if exit, err = s.records.ends.End(apart, slices.Concat(without, also)...); err == nil {
				s.asked = append(s.asked, exit.ID())
				return exit, nil
			}
		}
	}
	return nil, err
}

// voices are exits that have said the same thing. One that has said it twice has one
// voice; and so have all relays in one prefix, where the network has a rule for these.
type voices struct {
	ends Ends
	all  []*record.Descriptor
}

// add adds one, and reports whether there are two now that do not clash.
func (v *voices) add(exit *record.Descriptor) (agree bool) {
	agree = slices.ContainsFunc(v.all, func(other *record.Descriptor) bool { return !v.ends.Clash(other, exit) })
	v.all = append(v.all, exit)
	return agree
}

// liars are exits that are left alone for a while. The zero value is none.
type liars struct {
	mu    sync.Mutex
	known []liar // guarded by mu; the oldest first
}

type liar struct {
	exit  hashid.NodeID
	until time.Time
}

func (l *liars) add(exit hashid.NodeID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = slices.DeleteFunc(l.known, func(k liar) bool { return k.exit == exit })
	if len(l.known) == maxLiars {
		l.known = slices.Delete(l.known, 0, 1)
	}
	l.known = append(l.known, liar{exit, time.Now().Add(liarsRest)})
}

func (l *liars) list() []hashid.NodeID {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.known = slices.DeleteFunc(l.known, func(k liar) bool { return !now.Before(k.until) })
	exits := make([]hashid.NodeID, 0, len(l.known))
	for _, k := range l.known {
		exits = append(exits, k.exit)
	}
	return exits
}
