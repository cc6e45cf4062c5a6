package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
	"chatnt/overlay"
)

// maxUnacknowledged is how many messages to one contact may wait for receipts.
const maxUnacknowledged = 1000

var (
	errOwn         = errors.New("this hashid is your own")
	errNotAccepted = errors.New("this contact has said no: /add asks again")
	errOutboxFull  = fmt.Errorf("%d messages wait for this contact already: nothing more is taken until some are delivered", maxUnacknowledged)
)

// messenger owns who is known and what is said: contacts, requests, outbox and
// the order of messages. Everything is stored in the vault before it counts.
//
//	commands ─► outbox of the conversation ─► its sender (outbox.go) ─► overlay
//	overlay  ─► inbox ─► receive (receive.go) ─► vault ─► events, receipt
type messenger struct {
	profile *Profile
	now     func() time.Time // the wall clock
	feed    *feed
	log     *slog.Logger
	network [32]byte
	people  *people // key records of others
	ends    *ends   // their nodes
	overlay *overlay.Overlay
	relays  *discovery.Directory

	inbox   chan []byte   // sealed frames that came for this person
	aged    chan struct{} // capacity 1: a text was kept that is to be forgotten
	started time.Time     // by the monotonic clock too
	wg      sync.WaitGroup

	mu            sync.Mutex
	ctx           context.Context             // guarded by mu; nil until run
	book          *contact.Book               // guarded by mu
	conversations map[hashid.ID]*conversation // guarded by mu
	recent        []*conversation             // guarded by mu: all, those first in which something came last
	hellos        hellos                      // guarded by mu
	lastPath      *control.Path               // guarded by mu
	unshown       []unshown                   // guarded by mu: left from the last run, until run tells it
	lastUnshown   uint64                      // guarded by mu: number of the last text in bucketUnshown
	failure       string                      // guarded by mu: of the last change of the vault, as logged; "" if it succeeded
	endings       []control.StatusChanged     // guarded by mu: of the texts that were last delivered or given up
}

// maxInbox is how many sealed frames may wait to be opened.
const maxInbox = 256

func newMessenger(p *Profile, now func() time.Time, f *feed, log *slog.Logger, who *people, where *ends, o *overlay.Overlay, relays *discovery.Directory) (*messenger, error) {
	m := &messenger{
		profile: p, now: now, feed: f, log: log, network: p.network.ID(), people: who, ends: where, overlay: o, relays: relays,
		inbox: make(chan []byte, maxInbox), aged: make(chan struct{}, 1), started: time.Now(),
		conversations: make(map[hashid.ID]*conversation),
	}
	if err := p.vault.View(m.load); err != nil {
		return nil, fmt.Errorf("reading contacts and messages: %w", err)
	}
	f.forget = m.forget
	return m, nil
}

// run sends and receives until ctx ends.
func (m *messenger) run(ctx context.Context) {
	m.mu.Lock()
	m.tellUnshown()
	m.ctx = ctx
	for _, c := range m.conversations {
		m.wake(c)
	}
	m.wg.Go(func() { m.forgetful(ctx) })
	m.wg.Go(func() { m.people.run(ctx, m.followed, m.relays.Changed, m.brought) })
	m.wg.Go(func() { m.ends.run(ctx) })
	m.mu.Unlock()
	m.tellLinks()
	m.receive(ctx)
	// wake starts no sender once ctx has ended, but one may be starting now.
	m.mu.Lock()
	m.mu.Unlock() //nolint:staticcheck // the empty section waits for it
	m.wg.Wait()
}

// The vault's buckets of the messenger.
const (
	bucketContacts      = "contacts"      // hashid: contact.Contact
	bucketRequests      = "requests"      // hashid: contact.Request
	bucketConversations = "conversations" // hashid: ledger
	bucketTalks         = "talks"         // hashid and session: talk
	bucketEarly         = "early"         // hashid, session and number: message
	bucketSeen          = "seen"          // hashid and chunk: ids of texts
	bucketHellos        = "hellos"        // session: hello
	bucketOutbox        = "outbox"        // hashid and place: outgoing
	bucketFrames        = "frames"        // the same: sealed
	bucketUnshown       = "unshown"       // number, in the order of arrival: unshown
)

func (m *messenger) load(tx *vault.Tx) error {
	contacts, err := loadAll[contact.Contact](tx, bucketContacts)
	if err != nil {
		return err
	}
	requests, err := loadAll[contact.Request](tx, bucketRequests)
	if err != nil {
		return err
	}
	m.book = contact.New(contacts, requests)
	if err := m.loadConversations(tx); err != nil {
		return err
	}
	if m.hellos, err = loadHellos(tx); err != nil {
		return err
	}
	m.unshown, err = loadAll[unshown](tx, bucketUnshown)
	if n := len(m.unshown); n > 0 {
		m.lastUnshown = m.unshown[n-1].Number
	}
	return err
}

// loadConversations reads the conversations with their talks and what waits in them.
func (m *messenger) loadConversations(tx *vault.Tx) error {
	ledgers, err := loadAll[ledger](tx, bucketConversations)
	if err != nil {
		return err
	}
	for _, l := range ledgers {
		m.enter(newConversation(l))
	}
	if err := m.loadTalks(tx); err != nil {
		return err
	}
	items, err := loadAll[outgoing](tx, bucketOutbox) // in the order of hashid, then place
	if err != nil {
		return err
	}
	for _, item := range items {
		c := m.conversations[item.To]
		if c == nil {
			return errors.New("an unsent message belongs to no conversation")
		}
		item.out = true
		c.outbox = append(c.outbox, &item)
		raw, err := tx.Get(bucketFrames, item.key())
		if errors.Is(err, vault.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		id, s, err := parseSealed(raw)
		if err != nil {
			return err
		}
		if t := c.current(); t != nil && t.session.ID() == id { // else it is sealed anew
			item.sequence, item.frame = s.sequence, s.frame
		}
	}
	return nil
}

// loadTalks reads the talks, and what came early in them.
func (m *messenger) loadTalks(tx *vault.Tx) error {
	byKey := make(map[string]*talk)
	err := tx.ForEach(bucketTalks, func(key string, raw []byte) error {
		defer clear(raw)
		peer, t, err := parseTalk(key, raw)
		if err != nil {
			return err
		}
		c := m.conversations[peer]
		if c == nil {
			return errors.New("a stored session belongs to no conversation")
		}
		byKey[key] = t
		c.talks = append(c.talks, t)
		return nil
	})
	if err != nil {
		return err
	}
	return tx.ForEach(bucketEarly, func(key string, raw []byte) error {
		at := strings.LastIndexByte(key, ' ')
		if at < 0 || byKey[key[:at]] == nil {
			return errors.New("a message that came early belongs to no session")
		}
		msg, err := message.Parse(raw)
		if err != nil {
			return fmt.Errorf("a message that came early is damaged: %w", err)
		}
		byKey[key[:at]].early[msg.Sequence] = msg
		return nil
	})
}

func loadAll[T any](tx *vault.Tx, bucket string) ([]T, error) {
	var all []T
	err := forEach(tx, bucket, func(_ string, one T) error { all = append(all, one); return nil })
	return all, err
}

// forEach calls fn for what store has put into a bucket, in the order of the keys.
func forEach[T any](tx *vault.Tx, bucket string, fn func(key string, one T) error) error {
	return tx.ForEach(bucket, func(key string, raw []byte) error {
		one, err := parse[T](bucket, raw)
		if err != nil {
			return err
		}
		return fn(key, one)
	})
}

// load reads what store has put under a key.
func load[T any](tx *vault.Tx, bucket, key string) (T, error) {
	raw, err := tx.Get(bucket, key)
	if err != nil {
		var none T
		return none, err
	}
	return parse[T](bucket, raw)
}

func parse[T any](bucket string, raw []byte) (one T, err error) {
	defer clear(raw)
	if err := json.Unmarshal(raw, &one); err != nil {
		what, _, _ := strings.Cut(bucket, " ")
		return one, fmt.Errorf("an entry of %s is damaged: %w", what, err)
	}
	return one, nil
}

func store(tx *vault.Tx, bucket, key string, value any) error {
	raw, err := encode(value)
	if err != nil {
		return err
	}
	return tx.Put(bucket, key, raw)
}

// encode is what store puts.
func encode(value any) ([]byte, error) { return json.Marshal(value) }

// send queues a text to a contact and returns its id once it is stored.
func (m *messenger) send(name, text string) (message.ID, error) {
	return m.sendAs(name, text, control.How{})
}

// sendAs does the same as it is told.
func (m *messenger) sendAs(name, text string, how control.How) (message.ID, error) {
	parts, err := message.Split(text)
	if err != nil {
		return message.ID{}, err
	}
	latency, err := m.profile.ofText(how)
	if err != nil {
		return message.ID{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	to, err := m.book.Named(name)
	if err != nil {
		return message.ID{}, err
	}
	switch {
	case to.State == contact.Rejected:
		return message.ID{}, errNotAccepted
	case to.State == contact.Blocked:
		return message.ID{}, errBlocked
	case !to.Offered.IsZero():
		return message.ID{}, fmt.Errorf("%s: %w", m.called(to.Hashid), contact.ErrKeyChanged)
	case how.Verified && !m.verified(to):
		return message.ID{}, fmt.Errorf("%s: %w", m.called(to.Hashid), contact.ErrUnverified)
	}
	c := m.conversation(to.Hashid)
	if len(c.outbox)+len(parts) > maxUnacknowledged {
		return message.ID{}, errOutboxFull
	}
	id := message.NewID()
	var items []*outgoing
	for i, part := range parts {
		items = append(items, &outgoing{
			Kind: message.Text, ID: id, TTL: c.TTL, Part: uint8(i), Parts: uint8(len(parts)), Text: part, Latency: latency,
		})
	}
	own := said{ID: id, Own: true, Text: text, At: m.now()}
	err = m.queue(c, items, func(tx *vault.Tx, next *ledger) error { return next.keep(tx, own, c.TTL, own.At) })
	if err != nil {
		return message.ID{}, err
	}
	nudge(m.aged)
	m.feed.emit(control.StatusChanged{ID: id.String(), To: to.Hashid.String(), State: control.Queued, Reason: m.waitsFor(to)})
	return id, nil
}

// queue gives items the next places, but for those that have one, stores them in one transaction with what also does,
// and wakes the conversation's sender. Called with mu held.
func (m *messenger) queue(c *conversation, items []*outgoing, also func(*vault.Tx, *ledger) error) error {
	next, now := c.ledger, m.now() // one time for all parts of a text: they are given up together
	for _, item := range items {
		item.To, item.At = next.Peer, now
		if item.Kind != message.Text { // which may have one of its own
			item.Latency = m.profile.latency.get()
		}
		if item.Place == 0 {
			item.Place = next.Next
			next.Next++
		}
	}
	err := m.profile.vault.Update(func(tx *vault.Tx) error {
		if also != nil {
			if err := also(tx, &next); err != nil {
				return err
			}
		}
		for _, item := range items {
			if err := store(tx, bucketOutbox, item.key(), item); err != nil {
				return err
			}
		}
		return c.put(tx, next)
	})
	if err != nil {
		return fmt.Errorf("the message could not be stored: %w", err)
	}
	c.ledger = next
	c.outbox = append(c.outbox, items...)
	m.wake(c)
	return nil
}

// conversation returns the conversation with a person, new if there was none.
// Called with mu held.
func (m *messenger) conversation(peer hashid.ID) *conversation {
	c := m.conversations[peer]
	if c == nil {
		c = newConversation(ledger{Peer: peer, Next: 1})
		m.enter(c)
	}
	return c
}

// enter takes a conversation among the others. Called with mu held.
func (m *messenger) enter(c *conversation) {
	if m.conversations[c.Peer] == nil {
		m.recent = append(m.recent, c)
	}
	m.conversations[c.Peer] = c
}

// queued is how many messages wait for receipts.
func (m *messenger) queued() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, c := range m.conversations {
		n += len(c.outbox)
	}
	return n
}
