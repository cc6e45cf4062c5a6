package control_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNode is a control.Node that knows bob, whom alice asks, and notes what it
// is told to do.
type fakeNode struct {
	events chan control.Event

	ephemeral bool // for who asks from one goroutine

	mu   sync.Mutex
	did  []string // guarded by mu
	nick string   // guarded by mu

	unlisted bool   // guarded by mu
	rekeyed  bool   // guarded by mu: bob has come with another key
	hidden   bool   // for who asks from one goroutine
	latency  string // guarded by mu
}

func newFake(events ...control.Event) *fakeNode {
	f := &fakeNode{events: make(chan control.Event, 64)}
	for _, e := range events {
		f.events <- e
	}
	return f
}

func bob() control.Contact {
	return control.Contact{Hashid: hashid.ID{2}.String(), Name: "bob", Nick: "Bobby", State: "accepted", Since: time.Unix(1, 0).UTC()}
}

func (f *fakeNode) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, fmt.Sprintf(format, args...))
}

// done returns what was noted since the last call.
func (f *fakeNode) done() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	did := f.did
	f.did = nil
	return did
}

func (f *fakeNode) Next(ctx context.Context) (control.Event, error) {
	select {
	case e := <-f.events:
		return e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeNode) ID() control.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return control.ID{Hashid: "me", Node: "here", Listed: !f.unlisted}
}

func (f *fakeNode) Nick() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nick, nil
}

func (f *fakeNode) SetNick(nick string) error {
	f.note("nick %q", nick)
	if nick == "bad" {
		return errors.New("a bad nick")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nick = nick
	return nil
}

func (f *fakeNode) Invite() (string, error) { return "chatnt:network", nil }

func (f *fakeNode) InviteMe(withNetwork bool) (string, error) {
	if withNetwork {
		return "chatnt:both", nil
	}
	return "chatnt:me", nil
}

func (f *fakeNode) Latency() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return cmp.Or(f.latency, "fast")
}

func (f *fakeNode) SetLatency(latency string) error {
	if latency != "fast" && latency != "normal" && latency != "slow" {
		return errors.New("that is no latency")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency = latency
	return nil
}

func (f *fakeNode) NewLink() error { f.note("new link"); return nil }

func (f *fakeNode) SetListed(listed bool) error {
	f.note("listed %v", listed)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unlisted = !listed
	return nil
}

func (f *fakeNode) Add(who record.Locator, name, text string) error {
	by := ""
	if !who.Link.IsZero() {
		by = " by a link key"
	}
	f.note("add %x%s %q %q", who.Hashid[0], by, name, text)
	return nil
}

func (f *fakeNode) Accept(name, local string) error { f.note("accept %q %q", name, local); return nil }
func (f *fakeNode) Reject(name string) error        { f.note("reject %q", name); return nil }
func (f *fakeNode) Block(name string) error         { f.note("block %q", name); return nil }
func (f *fakeNode) Unblock(name string) error       { f.note("unblock %q", name); return nil }
func (f *fakeNode) Remove(name string) error        { f.note("remove %q", name); return nil }

func (f *fakeNode) Rename(name, to string) (control.Contact, error) {
	c, err := f.Contact(name)
	f.note("rename %q %q", name, to)
	c.Name = to
	return c, err
}

func (f *fakeNode) Safety(name string) (control.Safety, error) {
	c, err := f.Contact(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rekeyed {
		return control.Safety{Hashid: c.Hashid, Name: c.Name, Digits: "2", Words: "two", QR: "y", Changed: true}, err
	}
	return control.Safety{Hashid: c.Hashid, Name: c.Name, Digits: "1", Words: "one", QR: "x"}, err
}

func (f *fakeNode) Compare(name, number string, same bool) (control.Safety, error) {
	s, err := f.Safety(name)
	if err != nil {
		return s, err
	}
	if number != s.Digits && number != s.QR {
		return s, control.ErrOtherNumber
	}
	f.note("compare %s %q %v", s.Name, number, same)
	s.Verified = same
	return s, nil
}

func (f *fakeNode) SendAs(name, text string, how control.How) (message.ID, error) {
	if how.Latency != "" {
		f.note("%s %s", how.Latency, name)
	}
	if how.Verified {
		f.note("verified %s", name)
	}
	switch {
	case how.Verified && name == "changed":
		return message.ID{}, fmt.Errorf("changed: %w", contact.ErrKeyChanged)
	case how.Verified && name == "stranger":
		return message.ID{}, contact.ErrUnverified
	}
	return f.Send(name, text)
}

func (f *fakeNode) Text(id string) (control.Text, error) {
	if id != "7" {
		return control.Text{}, errors.New("no such text")
	}
	return control.Text{ID: id, State: control.Sent}, nil
}

func (f *fakeNode) Cancel(id string) (control.Text, error) {
	if id != "7" {
		return control.Text{}, errors.New("no such text")
	}
	f.note("cancel %s", id)
	return control.Text{ID: id, State: control.Failed, Reason: "it was taken back"}, nil
}

func (f *fakeNode) Contacts() []control.Contact { return []control.Contact{bob()} }
func (f *fakeNode) Requests() []control.Request { return nil }

func (f *fakeNode) Contact(name string) (control.Contact, error) {
	if c := bob(); name == c.Name || name == c.Hashid {
		return c, nil
	}
	return control.Contact{}, errors.New("no such contact")
}

func (f *fakeNode) Send(name, text string) (message.ID, error) {
	c, err := f.Contact(name)
	if err != nil {
		return message.ID{}, err
	}
	f.note("send %s %q", c.Name, text)
	return message.ID{7}, nil
}

func (f *fakeNode) Settings(name string) (control.Settings, error) {
	c, err := f.Contact(name)
	return control.Settings{Name: c.Name}, err
}

func (f *fakeNode) SetHistory(name string, on bool) (control.Settings, error) {
	c, err := f.Contact(name)
	f.note("history %s %v", c.Name, on)
	return control.Settings{Name: c.Name, History: on}, err
}

func (f *fakeNode) SetTTL(name string, ttl time.Duration) (control.Settings, error) {
	c, err := f.Contact(name)
	f.note("ttl %s %v", c.Name, ttl)
	return control.Settings{Name: c.Name, TTL: int(ttl / time.Second)}, err
}

func (f *fakeNode) History(name string, limit int) ([]control.Said, error) {
	c, err := f.Contact(name)
	f.note("history of %s, %d", c.Name, limit)
	return []control.Said{{ID: "1", Name: c.Name, Text: "hi", At: time.Unix(1, 0).UTC()}}, err
}

func (f *fakeNode) Peers() control.Peers {
	return control.Peers{Known: 3, Usable: 1, Relays: []string{"there"}}
}

func (f *fakeNode) LastPath() (control.Path, error) { return control.Path{}, errors.New("no path yet") }
func (f *fakeNode) Status() control.Status          { return control.Status{Network: "fam"} }
