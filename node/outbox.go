package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
	"chatnt/overlay"
	"chatnt/overlay/path"
)

const (
	// window is how many messages of a conversation are under way at once; the
	// receiver holds back as many that arrive before their turn.
	window = 32

	repeatFirst = 2 * time.Second // without a receipt of what is fast, over another path ...
	repeatMost  = 5               // ... after ever longer waits, up to so many times the first ...
	repeatLast  = repeatMost * repeatFirst
	repeatAsk   = 5 * time.Minute        // a request or a rejection that was taken: people take their time; and what is stale
	holdWait    = 250 * time.Millisecond // while nothing can go out
	answerWait  = 10 * time.Second       // for the end node's answer to one attempt
	giveUpAfter = 14 * 24 * time.Hour

	// giveUpUptime is how long the node must have run before it gives up anything:
	// a clock that is wrong at the start has been set by then.
	giveUpUptime = time.Hour

	// refreshAfter is how often somebody repeats what the receipts confirm that it is sent, before
	// its key record is suspect of being out of date.
	refreshAfter = 3

	serviceMailboxPut = "mailbox.put"
)

// The answers of mailbox.put, one byte.
const (
	putStored  = 1
	putUnknown = 2 // no such mailbox here
	putFull    = 3
)

// outgoing is one message that has not been acknowledged. The fields with tags
// are stored.
type outgoing struct {
	To    hashid.ID      `json:"to"`
	Place uint64         `json:"place"` // in the outbox
	Kind  message.Kind   `json:"kind"`
	ID    message.ID     `json:"id"`
	At    time.Time      `json:"at"`
	TTL   time.Duration  `json:"ttl,omitempty"`
	Part  uint8          `json:"part"`
	Parts uint8          `json:"parts"`
	Nick  string         `json:"nick,omitempty"`
	Text  []byte         `json:"text,omitempty"`
	Link  record.LinkKey `json:"link,omitzero"`
	Told  bool           `json:"told,omitempty"` // last part: the person has been told that all parts are sent

	Latency overlay.Latency `json:"latency,omitempty"` // of each attempt, and of what answers it

	// Sealed for the current talk, and stored so: a repeat is the same frame. See sealing.go.
	sequence uint64
	frame    []byte // nil: it is sealed before it goes out
	acked    bool   // and kept until all parts of its text are
	out      bool   // it may have gone out, if only in another session or an earlier run

	attempts int
	due      time.Time
	sent     bool   // the recipient's node has it, as far as this run knows
	taken    int    // attempts that the recipient's node has taken
	reason   string // why it does not go out, as last told
}

func (o *outgoing) key() string { return fmt.Sprintf("%s %016x", o.To, o.Place) }

func (o *outgoing) last() bool { return o.Part == o.Parts-1 }

// unheard holds for what the recipient's node has taken so often, without a receipt,
// that its person cannot open it.
func (o *outgoing) unheard() bool { return o.taken >= renewAfter && !o.acked && !o.patient() }

// old holds for what nobody acknowledged for two weeks.
func (o *outgoing) old(now time.Time) bool { return now.Sub(o.At) > giveUpAfter }

// past holds for a text whose time to be forgotten has come.
func (o *outgoing) past(now time.Time) bool { return o.TTL != 0 && now.Sub(o.At) > o.TTL }

// patient holds for what may stay without a receipt for long though it arrived:
// strangers get none, and who was rejected need not send one.
func (o *outgoing) patient() bool { return o.Kind == message.Request || o.Kind == message.Reject }

// wake starts the conversation's sender, or makes it look again. Called with mu held.
func (m *messenger) wake(c *conversation) {
	if m.ctx == nil || m.ctx.Err() != nil {
		return
	}
	if c.running {
		nudge(c.kick)
		return
	}
	c.running = true
	m.wg.Go(func() { m.sender(m.ctx, c) })
}

// sender sends and repeats what a conversation has waiting, until nothing is or
// ctx ends.
func (m *messenger) sender(ctx context.Context, c *conversation) {
	end := m.announced(c.with)
	m.mu.Lock()
	c.end, c.caller = end, m.overlay.Caller()
	m.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := m.relays.Changed()
		due, receipts, next, idle := m.takeDue(c)
		if idle || ctx.Err() != nil {
			return
		}
		if len(due) > 0 || len(receipts) > 0 {
			next = min(next, m.sendAll(ctx, c, due, receipts))
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
		case <-c.kick:
		case <-timer.C:
		case <-changed:
			m.hurry(c)
		}
	}
}

// hurry makes a conversation's messages due when the recipient's node has come
// back since the last attempts: it has announced itself anew. Those that it had
// before are too, as it may have ended before it took them in.
func (m *messenger) hurry(c *conversation) {
	now := m.announced(c.with)
	m.mu.Lock()
	defer m.mu.Unlock()
	if now == 0 || now == c.end {
		return
	}
	c.end = now
	for _, item := range c.outbox {
		item.attempts, item.taken, item.due = 0, 0, time.Time{}
	}
}

// retry has every message that waits go out now.
func (m *messenger) retry() {
	m.people.retry()
	m.ends.retry()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conversations {
		for _, item := range c.outbox {
			item.attempts, item.taken, item.due = 0, 0, time.Time{}
		}
		if len(c.outbox) > 0 {
			m.wake(c)
		}
	}
}

// announced returns the sequence of the descriptor of a person's node; 0 if none
// is known or the node has left.
func (m *messenger) announced(peer hashid.ID) uint64 {
	to := m.people.known(peer)
	if to == nil {
		return 0
	}
	desc, ok := m.relays.Lookup(to.Inbox.Node)
	if !ok || desc.Flags&record.FlagWithdrawn != 0 {
		return 0
	}
	return desc.Sequence
}

// takeDue returns what is to be sent now: messages within the window, and talks of
// which a receipt is due; and when to look again, or that the sender may end.
func (m *messenger) takeDue(c *conversation) (due []*outgoing, receipts []*talk, next time.Duration, idle bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.giveUp(c, m.now())
	if slices.ContainsFunc(c.outbox, (*outgoing).unheard) && m.renew(c) && c.renewals == 1 { // told once, until something is acknowledged
		m.warnRenewed(c, "%s does not confirm what its node has taken, as when its profile was restored from a copy")
	}
	for _, t := range c.talks {
		if t.receiptDue {
			t.receiptDue = false
			receipts = append(receipts, t)
		}
	}
	next = repeatLast
	accepted := false
	if who, ok := m.book.Contact(c.Peer); ok {
		accepted = who.State == contact.Accepted
	}
	for i, item := range c.outbox {
		if i >= window || !accepted && (item.Kind == message.Text || item.Kind == message.Link) {
			break
		}
		if item.acked {
			continue
		}
		if wait := item.due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		due = append(due, item)
	}
	if len(c.outbox) == 0 && len(receipts) == 0 {
		c.running = false
		return nil, nil, 0, true
	}
	return due, receipts, next, false
}

// giveUp drops messages that nobody acknowledged for two weeks, or before they are to be forgotten, and
// those that waited for such a request. What is lasting stays. Called with mu held.
func (m *messenger) giveUp(c *conversation, now time.Time) {
	// At once: what is to be forgotten does not go out late.
	m.giveUpAll(c, "not acknowledged before its time was up", func(item *outgoing) bool { return item.past(now) })
	if time.Since(m.started) < giveUpUptime { // whatever the clock on the wall says
		return
	}
	m.giveUpAll(c, "not acknowledged for two weeks", func(item *outgoing) bool { return item.old(now) && !m.lasting(item) })
	if who, _ := m.book.Contact(c.Peer); m.unasked(who) {
		m.giveUpAll(c, "the request was not answered for two weeks", func(*outgoing) bool { return true })
	}
}

// lasting holds for what says where this person is to be found, as long as that is so: a contact who was away, for
// however long, has no other way to learn of it.
func (m *messenger) lasting(item *outgoing) bool {
	return item.Kind == message.Link && item.Link == m.profile.listing.now().linkKey()
}

// stale holds for what is lasting and waits for somebody who may never come back: it is tried now and
// then, and as soon as the node of that person is heard of. Called with mu held.
func (m *messenger) stale(item *outgoing) bool { return item.old(m.now()) && m.lasting(item) }

func (m *messenger) giveUpAll(c *conversation, reason string, over func(*outgoing) bool) {
	var old []*outgoing
	for _, item := range c.outbox {
		if over(item) {
			old = append(old, item)
		}
	}
	if len(old) > 0 {
		m.settle(c, old, control.Failed, reason)
	}
}

// sendAll makes one attempt for each message and for the receipts. It returns
// when the first of them is to be repeated, or tried again if it could not go out.
func (m *messenger) sendAll(ctx context.Context, c *conversation, due []*outgoing, receipts []*talk) time.Duration {
	who, suspect := m.aim(c)
	at := whereabouts(who, m.now())
	to, err := m.people.current(at, suspect)
	if err != nil {
		return m.hold(c, due, receipts, notFound(who, err))
	}
	if m.otherKey(c, to) {
		return max(repeatLast, m.hold(c, due, receipts, reasonKey))
	}
	paths := make([]*overlay.Path, len(due)+len(receipts))
	for i := range paths {
		latency := m.profile.latency.get()
		if i < len(due) {
			latency = due[i].Latency
		}
		if paths[i], err = m.draw(to.Inbox.Node, latency); err != nil {
			if errors.Is(err, discovery.ErrNoDescriptor) {
				m.missing(to.Inbox.Node)
				if !who.Offered.IsZero() { // another came with another key: whose the record is now, is to be known
					_, _ = m.people.current(at, true)
				}
			}
			return m.hold(c, due, receipts, err.Error())
		}
	}
	m.mu.Lock()
	sealed, err := m.sealAll(c, to, due, receipts)
	m.report("messages could not be sealed and stored", err)
	if err != nil {
		m.mu.Unlock()
		return max(repeatFirst, m.hold(c, due, receipts, "the message could not be sealed and stored"))
	}
	next := repeatLast
	for i, item := range due {
		if !slices.Contains(c.outbox, item) { // its receipt came meanwhile
			continue
		}
		item.reason = ""
		item.attempts++
		wait := item.repeatAfter(m.receiptWithin(item.Latency))
		if m.stale(item) {
			wait = repeatAsk
		}
		item.due, next = time.Now().Add(wait), min(next, wait)
		path, frame := paths[i], item.frame
		if item.Kind == message.Text {
			m.lastPath = sentPath(item.ID, path)
		}
		m.attempt(ctx, c.caller, to, path, frame, func() { m.stored(c, item, frame) })
	}
	m.mu.Unlock()
	paths = paths[len(due):]
	for _, frame := range sealed {
		m.attempt(ctx, c.caller, to, paths[0], frame, func() {})
		paths = paths[1:]
	}
	return next
}

// aim returns the recipient, and whether its key record may be out of date.
func (m *messenger) aim(c *conversation) (to contact.Contact, suspect bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	to, _ = m.book.Contact(c.Peer)
	to.Hashid = c.Peer
	return to, m.suspect(c)
}

// suspect tells whether the recipient's record may be out of date, as that person goes on repeating what
// it was sent receipts for; or another's. That what is sent does not arrive is no reason: who keeps
// the record would see that something is sent. Who moves says so, or is found when contacts are looked up
// anyway. Called with mu held.
func (m *messenger) suspect(c *conversation) bool {
	if c.repeats >= refreshAfter {
		c.repeats = 0
		return true
	}
	return c.doubted
}

// notFound says to a person what a message waits for; "" if that is nothing to speak of.
func notFound(to contact.Contact, err error) string {
	short := new(discovery.ShortageError)
	switch {
	case errors.Is(err, errLooking):
		return ""
	case errors.Is(err, record.ErrWithdrawn), errors.As(err, &short), errors.Is(err, path.ErrWaits), errors.Is(err, path.ErrNoGuard):
		return err.Error()
	case to.State == contact.Requested && to.Link.IsZero():
		return "the recipient's key record is not to be found yet: who is not listed is found with an invite only"
	}
	return "the recipient's key record is not to be found yet"
}

// repeatAfter is how long to wait for a receipt, by the attempts made; first is how long
// after the first.
func (o *outgoing) repeatAfter(first time.Duration) time.Duration {
	if o.patient() && o.sent {
		return repeatAsk
	}
	wait, last := first, repeatMost*first
	for range o.attempts - 1 {
		wait = min(wait*3/2, last)
	}
	return wait
}

// hold tells once of each message why it waits, and keeps the receipts for the next try.
func (m *messenger) hold(c *conversation, due []*outgoing, receipts []*talk, reason string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range receipts {
		t.receiptDue = true
	}
	for _, item := range due {
		if m.stale(item) {
			item.due = time.Now().Add(repeatAsk)
		}
		asked := item.Kind == message.Text && item.last() || item.Kind == message.Request
		waits := !item.sent && !item.Told && slices.Contains(c.outbox, item) // its receipt may have come meanwhile
		if asked && waits && reason != "" && item.reason != reason {
			item.reason = reason
			m.feed.emit(control.StatusChanged{ID: item.ID.String(), To: c.Peer.String(), State: control.Queued, Reason: reason})
		}
	}
	if len(due) == 0 {
		return repeatLast // only a receipt: whoever waits for it asks again
	}
	return holdWait
}

// attempt sends one frame over one path in the background and calls stored if
// the end node answers that it has it.
func (m *messenger) attempt(ctx context.Context, caller *overlay.Caller, to *record.KeyRecord, path *overlay.Path, frame []byte, stored func()) {
	m.wg.Go(func() {
		mailbox := to.Hashid()
		ctx, cancel := context.WithTimeout(ctx, max(answerWait, m.receiptWithin(path.Latency)))
		defer cancel()
		answer, err := caller.Try(ctx, path, serviceMailboxPut, append(mailbox[:], frame...))
		switch {
		case err != nil:
			if !errors.Is(err, overlay.ErrNoAnswer) {
				m.log.Debug("an attempt failed", "error", err)
			}
		case len(answer) == 1 && answer[0] == putStored:
			stored()
		}
	})
}

// stored notes that the recipient's node has taken a message, sealed as frame.
func (m *messenger) stored(c *conversation, item *outgoing, frame []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(item.frame) == 0 || &frame[0] != &item.frame[0] {
		return // it was sealed anew since
	}
	item.taken++
	if item.sent {
		return
	}
	item.sent = true
	if item.patient() {
		item.due = time.Now().Add(repeatAsk)
	}
	if item.Kind != message.Text || !slices.Contains(c.outbox, item) {
		return
	}
	var last *outgoing
	for _, other := range c.outbox {
		if other.ID != item.ID {
			continue
		}
		if !other.sent {
			return // other parts are still under way
		}
		last = other
	}
	if last.last() && !last.Told {
		last.Told = true
		err := m.profile.vault.Update(func(tx *vault.Tx) error { return store(tx, bucketOutbox, last.key(), last) })
		if err != nil {
			m.log.Error("the outbox could not be stored", "error", err) // then it is told again after the next start
		}
		m.feed.emit(control.StatusChanged{ID: item.ID.String(), To: c.Peer.String(), State: control.Sent})
	}
}

func sentPath(id message.ID, path *overlay.Path) *control.Path {
	p := &control.Path{ID: id.String(), End: path.End.String()}
	for _, r := range path.Relays {
		p.Relays = append(p.Relays, r.String())
	}
	return p
}
