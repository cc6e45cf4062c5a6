package overlay

import (
	"context"
	"slices"
	"sync"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

const (
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

// ask asks one exit after another, but for those named, until judge has heard
// enough: the next when one has answered, or has not for a turn, while those before
// may still do so. Judge is called with one answer of each exit. The error says why
// it has not heard enough: ErrNoAnswer when ctx ended, or all were asked that may be.
func (s *session) ask(ctx context.Context, service string, body []byte, without []hashid.NodeID, judge func(exit hashid.NodeID, answer []byte) bool) error {
	var (
		answers     = make(chan answer, exitsAsked)
		next        = time.NewTimer(s.records.turn())
		sent, heard int // attempts, and answers to them
	)
	defer next.Stop()
	for ctx.Err() == nil {
		if sent < exitsAsked {
			wait := s.records.turn()
			path, err := s.path(without)
			switch {
			case err == nil:
				if _, err := s.records.caller.attempt(path, service, body, slowWithin, answers); err == nil {
					sent++
				} else {
					wait = heldFirst // the link, or the caller's share, is full
				}
			case sent == 0:
				return err
			case sent == heard:
				return ErrNoAnswer
			}
			next.Reset(wait)
		}
		select {
		case <-ctx.Done():
		case <-next.C:
		case a := <-answers:
			heard++
			// An exit that was asked twice, as it seemed not to answer, has one voice.
			if !slices.Contains(without, a.end) && judge(a.end, a.body) {
				return nil
			}
			without = append(slices.Clip(without), a.end)
			if heard == exitsAsked {
				return ErrNoAnswer
			}
		}
	}
	return ErrNoAnswer
}

// path draws a path to an exit, but for those named.
func (s *session) path(without []hashid.NodeID) (*Path, error) {
	exit, err := s.choose(without)
	if err != nil {
		return nil, err
	}
	path, err := s.records.caller.overlay.path(exit)
	if err != nil {
		return nil, err
	}
	path.Latency = s.records.latency()
	return path, nil
}

// choose draws an exit, but for those named: if there is one, one that was not
// asked yet; one that lied lately only if there is no other.
func (s *session) choose(without []hashid.NodeID) (exit *record.Descriptor, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records
	without = append(slices.Clip(without), r.caller.overlay.cfg.Self)
	liars := r.liars.list()
	for _, also := range [][]hashid.NodeID{slices.Concat(liars, s.asked), liars, nil} {
		var drawn []*record.Descriptor
		if drawn, err = r.exits.Draw(1, slices.Concat(without, also)...); err == nil {
			s.asked = append(s.asked, drawn[0].ID())
			return drawn[0], nil
		}
	}
	return nil, err
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
