package node

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// side is one of two people who talk, each with a real messenger, by a wire that the
// test owns. Beside it stands what must come of it.
type side struct {
	t      *testing.T
	random *rand.Rand
	name   string
	peer   *side
	wire   *wire

	vault *vault.Vault
	m     *messenger        // of this run
	known *record.KeyRecord // of the peer, as last looked up
	until int               // how often the messenger may still ask for the time or its end before its vault fails; 0 for ever

	branch            // what the vault must know
	copied    *branch // what a copy of it, made earlier, knows
	ids       map[string]int
	shown     map[int]bool // texts of the peer, whatever became of the vault
	delivered map[int]bool // texts of its own, as it was told
	restarts  int
	rollbacks int
	begun     int // sessions
	warned    int
	unheard   int // warnings that the peer confirms nothing
}

// branch is one history of a vault: what happened later to one that was copied back is
// not in it.
type branch struct {
	vault   *vault.Vault // nil but in a copy
	said    []int        // texts that are or were in the outbox
	log     []int        // texts of the peer in the order they first came out
	orphans map[int]bool // texts of the peer that came out in a later history: they may be gone
}

func newSide(t *testing.T, random *rand.Rand, name string, p *Profile) *side {
	s := &side{
		t: t, random: random, name: name, vault: p.vault,
		ids: make(map[string]int), shown: make(map[int]bool), delivered: make(map[int]bool),
	}
	s.orphans = make(map[int]bool)
	s.start()
	return s
}

// start makes a messenger of what is in the vault, and of nothing else.
func (s *side) start() {
	s.t.Helper()
	p := &Profile{vault: s.vault}
	if err := p.load(); err != nil {
		s.t.Fatal(err)
	}
	s.m = messengerOf(s.t, p)
	s.m.now = func() time.Time { s.tick(); return time.Now() }
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.tellUnshown()
	s.m.ctx = probe{context.Background(), s} // ended: no sender starts by itself
}

// probe is a context that has ended, and has its side count how often that is asked.
type probe struct {
	context.Context
	side *side
}

func (p probe) Err() error {
	p.side.tick()
	return context.Canceled
}

// tick is called from within the messenger, between most of what it stores.
func (s *side) tick() {
	if s.until > 0 {
		if s.until--; s.until == 0 {
			s.m.profile.vault = closedVault()
		}
	}
}

func closedVault() *vault.Vault {
	v := vault.Memory()
	_ = v.Close()
	return v
}

// restart ends the messenger as kill -9 does.
func (s *side) restart() {
	s.restarts++
	s.until = 0
	s.start()
}

func (s *side) conversation() *conversation {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.m.conversation(s.peer.m.profile.Hashid())
}

// say queues the nth text, of up to three parts.
func (s *side) say(n int) {
	text := fmt.Sprintf("%d %s", n, strings.Repeat("x", s.random.IntN(2)*s.random.IntN(3*message.PartSize-10)))
	id, err := s.m.send(s.peer.name, text)
	if err != nil {
		return // its vault has failed: the person was told that nothing was taken
	}
	s.ids[id.String()] = n
	s.said = append(s.said, n)
}

// flush makes one attempt at all that is due, as the messenger's sender does.
func (s *side) flush(fresh bool) {
	c := s.conversation()
	due, receipts, _, _ := s.m.takeDue(c)
	if len(due)+len(receipts) == 0 {
		return
	}
	if fresh || s.known == nil || suspected(s.m, c) || s.random.IntN(4) == 0 {
		s.known = keyRecordOf(s.peer.m)
	}
	m := s.m
	m.mu.Lock()
	before, news := c.Current, len(receipts) > 0 || slices.ContainsFunc(due, func(item *outgoing) bool { return item.frame == nil })
	frames, err := m.sealAll(c, s.known, due, receipts)
	if err != nil {
		m.mu.Unlock()
		m.hold(c, due, receipts, "the message could not be sealed and stored")
		return
	}
	defer m.mu.Unlock()
	if c.Current != before {
		s.begun++
	}
	if news {
		s.checkStored(c)
	}
	for _, item := range due {
		if !slices.Contains(c.outbox, item) {
			continue
		}
		item.attempts++
		item.due = time.Now().Add(item.repeatAfter(repeatFirst))
		frame := item.frame
		s.wire.send(s, frame, func() { m.stored(c, item, frame) })
	}
	for _, frame := range frames {
		s.wire.send(s, frame, func() {})
	}
}

// checkStored compares the current talk with the vault: what goes out now is of no
// state that a restart would lose. Called with the messenger's lock held.
func (s *side) checkStored(c *conversation) {
	s.t.Helper()
	err := s.vault.View(func(tx *vault.Tx) error {
		t := c.current()
		raw, err := tx.Get(bucketTalks, t.key(c.Peer))
		if err != nil {
			return err
		}
		_, kept, err := parseTalk(t.key(c.Peer), raw)
		if err != nil {
			return err
		}
		if kept.next != t.next || !bytes.Equal(kept.session.Append(nil), t.session.Append(nil)) {
			s.t.Error("a frame goes out of a state that is not stored")
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
}

// read has the person read up to n events.
func (s *side) read(n int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for ; n > 0; n-- {
		s.m.feed.mu.Lock()
		empty := len(s.m.feed.events) == 0
		s.m.feed.mu.Unlock()
		if empty {
			return
		}
		e, err := s.m.feed.next(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		s.told(e)
	}
}

// readAll has the person read all, and the messenger note that they have.
func (s *side) readAll() {
	s.read(1 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.m.feed.next(ctx); err == nil {
		s.t.Error("there was more to read")
	}
}

// told checks an event.
func (s *side) told(e control.Event) {
	switch e := e.(type) {
	case control.MessageReceived:
		var n int
		if _, err := fmt.Sscanf(e.Text, "%d ", &n); err != nil {
			s.t.Fatalf("%s was shown %.20q", s.name, e.Text)
		}
		s.shownText(n, e.Again)
	case control.StatusChanged:
		n, ok := s.ids[e.ID]
		switch {
		case !ok:
			s.t.Errorf("%s is told of a text that nobody said", s.name)
		case e.State == control.Delivered:
			s.delivered[n] = true
		case e.State == control.Failed:
			s.t.Errorf("%s is told that text %d has failed: %s", s.name, n, e.Reason)
		}
	case control.Warning:
		s.warned++
		switch {
		case strings.Contains(e.Text, "was continued from an older copy"):
			if s.rollbacks+s.peer.rollbacks == 0 {
				s.t.Errorf("%s is warned of an older state, and there was none", s.name)
			}
		case strings.Contains(e.Text, "has begun the conversation anew"):
			if s.peer.begun == 0 && s.rollbacks+s.peer.rollbacks == 0 {
				s.t.Errorf("%s is warned of a new session, and there was none", s.name)
			}
		case strings.Contains(e.Text, "does not confirm what its node has taken"):
			s.unheard++
		default:
			s.t.Errorf("%s is told %q", s.name, e.Text)
		}
	}
}

// shownText checks that a text comes out once in every history of the vault, but for one
// that a crash has kept from being noted as shown, and that those that the sender
// knows of come in the order they were said.
func (s *side) shownText(n int, again bool) {
	s.shown[n] = true
	if slices.Contains(s.log, n) {
		if !again {
			s.t.Errorf("%s was shown text %d twice", s.name, n)
		}
		return
	}
	if again && s.restarts == 0 {
		s.t.Errorf("%s was shown text %d as one of an earlier run", s.name, n)
	}
	if slices.Contains(s.peer.said, n) && !s.orphans[n] {
		for _, other := range s.log {
			if other > n && slices.Contains(s.peer.said, other) && !s.orphans[other] {
				s.t.Errorf("%s was shown text %d after %d", s.name, n, other)
			}
		}
	}
	s.log = append(s.log, n)
}

// copy keeps a copy of the vault as it is now.
func (s *side) copy() {
	v := vault.Memory()
	buckets := append(messengerBuckets(), bucketProfile, bucketRecords)
	err := s.vault.View(func(from *vault.Tx) error {
		return v.Update(func(to *vault.Tx) error {
			for _, bucket := range buckets {
				err := from.ForEach(bucket, func(key string, value []byte) error { return to.Put(bucket, key, value) })
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.copied = &branch{vault: v, said: slices.Clone(s.said), log: slices.Clone(s.log), orphans: maps.Clone(s.orphans)}
}

// rollBack goes on with the copy.
func (s *side) rollBack() {
	s.readAll()
	s.rollbacks++
	lost := s.log
	s.vault, s.branch, s.copied = s.copied.vault, *s.copied, nil
	for _, n := range lost {
		if !slices.Contains(s.log, n) {
			s.orphans[n] = true
		}
	}
	s.restart()
}
