package overlay

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

const (
	// lookUpIn is what an exit's look-up may take before another is asked, too: most
	// take a tenth of that.
	lookUpIn = time.Second

	getTurns = 4 // a look-up takes as long as to ask so many exits in turn, at most,
	putTurns = 8 // a put and its confirmation as long as this

	putsTried = 3 // until one is confirmed
)

// ErrNotStored says that no exit stored a record so that another found it.
var ErrNotStored = errors.New("the record could not be stored now")

// Records is one identity's access to the hash table through exits: other nodes,
// reached over the overlay, that look up and publish on its behalf. It has the
// shape of the table, so that it can take its place; what is published are persons'
// records, what is looked up is also where nodes are. It is safe for concurrent use.
//
// Every question goes to an exit of its own, drawn from all usable relays: where the
// network has a prefix rule so that a thousand relays in one prefix are drawn as often
// as one in another, as they are for paths. An exit
// does not know who asks, but it sees what for; one that was kept, even for an
// hour, would see which keys are asked for together, and with them whose record is
// published from the same place: the list of somebody's contacts, and its owner.
// Of exits drawn anew, hostile ones see single questions that have nothing in
// common, at the price that over time they see more of them.
//
// An exit can refuse, and can say that there is nothing, but no more: what it
// brings is judged here. So a record counts when it is valid; that there is none
// counts when two exits say so for each key; and a put counts when what was stored
// through one exit is found through another. Two exits that share a prefix count as
// one there, where the network has a rule for these: relays in one are cheap. Exits
// that bring what they must know is forged, or what is no answer, or store what two
// others do not find, are left alone for an hour.
type Records struct {
	caller    *Caller
	ends      Ends
	validator record.Validator
	latency   func() Latency // safe for concurrent use
	liars     liars
}

// Records returns access to the hash table for one identity, through exits that ends
// chooses. Each request and its
// answer have the delays of what latency says then: Fast or Normal, as exits are not
// waited for so long that Slow ones could answer.
func (o *Overlay) Records(ends Ends, validator record.Validator, latency func() Latency) *Records {
	return &Records{caller: o.Caller(), ends: ends, validator: validator, latency: latency}
}

// turn is how long an exit has to answer before another is asked, too.
func (r *Records) turn() time.Duration { return r.latency().Patience(2*onion.Relays) + lookUpIn }

// Ready returns why no exit can be asked at present, or nil: a
// *discovery.ShortageError when there are fewer nodes than the relays of a path and
// an exit behind them. Nothing is looked up or stored then.
func (r *Records) Ready() error {
	if err := r.caller.overlay.cfg.Paths.Ready(); err != nil {
		return err
	}
	_, _, err := (&session{records: r}).path(nil, nil)
	return err
}

// Get looks one record up under all its keys at once, each through another exit,
// and returns the newest that is valid: record.ErrNone if two exits found none under
// each key, and another error if there were no answers. It takes four times as long
// as one answer is waited for, at most: 12 seconds if it is to be fast.
func (r *Records) Get(ctx context.Context, keys ...string) ([]byte, error) {
	for _, key := range keys {
		if !record.IsKey(key) {
			return nil, errors.New("only records are looked up through others")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, getTurns*r.turn())
	var (
		found   = make(chan []byte)
		failed  = make(chan error, len(keys))
		some    atomic.Bool // a record has been found
		session = &session{records: r}
		wg      sync.WaitGroup
	)
	for _, key := range keys {
		wg.Go(func() { failed <- r.look(ctx, session, key, &some, found) })
	}
	go func() { wg.Wait(); close(found) }()
	defer func() {
		cancel()
		for range found { // ends when the last look-up has: nothing is left behind
		}
	}()

	var best []byte
	var enough <-chan time.Time
	for {
		select {
		case value, ok := <-found:
			if !ok {
				return result(best, failed)
			}
			if best == nil || record.Newer(value, best) { // both are valid
				best = value
			}
			if enough == nil {
				enough = time.After(r.turn()) // for one under another key that is newer
			}
		case <-enough:
			return best, nil
		}
	}
}

// result is what all look-ups together have come to. That there is nothing is said
// only if that is what every one of them found.
func result(best []byte, failed <-chan error) ([]byte, error) {
	if best != nil {
		return best, nil
	}
	err := record.ErrNone
	for range cap(failed) {
		if e := <-failed; e != nil && !errors.Is(e, record.ErrNone) {
			err = e
		}
	}
	return nil, err
}

// look looks a record up under one key and hands it to found: record.ErrNone if there
// is none, or another one has been found.
func (r *Records) look(ctx context.Context, s *session, key string, some *atomic.Bool, found chan<- []byte) error {
	none, brought := voices{ends: r.ends}, false
	err := s.ask(ctx, serviceRecordGet, []byte(key), nil, func(exit *record.Descriptor, body []byte) (enough bool) {
		value, status := r.judge(exit, key, body)
		switch status {
		case recordGood:
			some.Store(true)
			brought = true
			select {
			case found <- value:
			case <-ctx.Done():
			}
			return true
		case recordNone:
			enough = none.add(exit)
		}
		return enough || len(none.all) > 0 && some.Load()
	})
	if err == nil && !brought {
		return record.ErrNone
	}
	return err
}

// judge reads what an exit answered to record.get. What is no answer, and what is
// not valid, is as good as a refusal.
func (r *Records) judge(exit *record.Descriptor, key string, body []byte) (value []byte, status byte) {
	status, value, ok := parseRecordAnswer(body, true)
	if !ok {
		r.liars.add(exit.ID())
		return nil, recordRefused
	}
	if status != recordGood {
		return nil, status
	}
	if err := r.validator.Validate(key, value); err != nil {
		if record.IsForged(err) {
			r.liars.add(exit.ID())
		}
		return nil, recordRefused
	}
	return value, recordGood
}

// Put stores a person's record under one key through an exit, and looks it up
// through others. It returns 1 when one of them found it, or a newer one, and an
// error otherwise: ErrNotStored if exits were there but none would do. It takes eight
// times as long as one answer is waited for, at most: 24 seconds if it is to be fast.
func (r *Records) Put(ctx context.Context, key string, value []byte) (stored int, err error) {
	if !record.IsPersonKey(key) {
		return 0, errors.New("only persons' records are published through others")
	}
	if err := r.validator.Validate(key, value); err != nil {
		return 0, err
	}
	body, err := appendRecordPut(nil, key, value)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, putTurns*r.turn())
	defer cancel()
	s := &session{records: r}
	for range putsTried {
		exit, err := r.put(ctx, s, body)
		if err != nil {
			return 0, err
		}
		confirmed, err := r.confirm(ctx, s, exit, key, value)
		if err != nil {
			return 0, err
		}
		if confirmed {
			return 1, nil
		}
		r.liars.add(exit.ID())
	}
	return 0, ErrNotStored
}

// put has a record stored and returns the exit that says that it was: ErrNotStored
// if two say that nobody takes it.
func (r *Records) put(ctx context.Context, s *session, body []byte) (exit *record.Descriptor, err error) {
	none := voices{ends: r.ends}
	err = s.ask(ctx, serviceRecordPut, body, nil, func(from *record.Descriptor, answer []byte) (enough bool) {
		switch status, _, ok := parseRecordAnswer(answer, false); {
		case !ok:
			r.liars.add(from.ID())
		case status == recordGood:
			exit = from
		case status == recordNone:
			enough = none.add(from)
		}
		return enough || exit != nil
	})
	if err == nil && exit == nil {
		err = ErrNotStored
	}
	return exit, err
}

// confirm reports whether an exit apart from the one that has stored a record finds
// it, or a newer one: it does not if two find none, or an older one. It is an error
// if too few answer to tell.
func (r *Records) confirm(ctx context.Context, s *session, by *record.Descriptor, key string, value []byte) (found bool, err error) {
	doubts := voices{ends: r.ends}
	err = s.ask(ctx, serviceRecordGet, []byte(key), by, func(exit *record.Descriptor, body []byte) (enough bool) {
		got, status := r.judge(exit, key, body)
		switch {
		case status == recordGood && !record.Newer(value, got):
			found = true
		case status != recordRefused: // none, or an older one
			enough = doubts.add(exit)
		}
		return enough || found
	})
	return found, err
}
