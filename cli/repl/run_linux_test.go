package repl

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"chatnt/node/control"
)

type (
	profileMethods = control.Profile
	nodeMethods    = control.Node
)

// person is a control.Profile, and its control.Node, with one contact, who changes while
// the prompt stands.
type person struct {
	profileMethods // nil, as the other: what the test does not need is not there
	nodeMethods

	events chan control.Event

	mu  sync.Mutex
	bob control.Contact // guarded by mu
}

func (p *person) Next(ctx context.Context) (control.Event, error) {
	select {
	case e := <-p.events:
		return e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *person) Node() control.Node { return p }

func (p *person) Contact(string) (control.Contact, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bob, nil
}

func (p *person) Contacts() []control.Contact { return nil }

func (p *person) InviteMe(bool) (string, error) { return "chatnt:" + strings.Repeat("q", 60), nil }

func (p *person) Safety(string) (control.Safety, error) {
	return control.Safety{Name: "bob", Digits: "1", Words: "one", QR: "x"}, nil
}

// tell has something happen to bob.
func (p *person) tell(change func(*control.Contact), e control.Event) {
	p.mu.Lock()
	change(&p.bob)
	p.mu.Unlock()
	p.events <- e
}

// The prompt says with whom one talks, and how that one stands, as it is now.
func TestPromptFollowsTheContact(t *testing.T) {
	terminal := openPTY(t)
	p := &person{events: make(chan control.Event, 1), bob: control.Contact{Name: "bob", Hashid: "h"}}
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), p, terminal.slave, terminal.slave) }()
	p.events <- control.Ready{Network: "fam"}
	terminal.wait(">")
	terminal.press("/query bob\r")
	terminal.wait("bob>")
	terminal.press("half a li")
	p.tell(func(c *control.Contact) { c.Verified, c.Tag = true, "aeq" }, control.ContactChanged{Local: "bob", State: "accepted"})
	terminal.wait("bob [aeq] [verified]> half a li")
	p.tell(func(c *control.Contact) { c.Changed = true }, control.Warning{About: "key", Text: "the key has changed"})
	terminal.wait("the key has changed", "bob [aeq] [key changed]> half a li")
	terminal.press("\x15/close\r")
	terminal.wait(">")

	// What is copied or scanned is not broken into rows.
	terminal.press("/invite\r")
	terminal.wait("chatnt:"+strings.Repeat("q", 33), strings.Repeat("q", 27), ">")
	terminal.waitUntil("a QR code above the invite", func(rows []string) bool {
		at := slices.IndexFunc(rows, func(row string) bool { return strings.HasPrefix(row, "chatnt:") })
		return at > 0 && strings.Contains(rows[at-1], "▀")
	})
	terminal.press("/verify bob\r")
	terminal.waitUntil("a QR code above the number", func(rows []string) bool {
		for i, row := range rows {
			if strings.HasPrefix(row, "Compare this number with bob") {
				return i > 0 && strings.Contains(rows[i-1], "▀")
			}
		}
		return false
	})
	terminal.press("/quit\r")
	if err := <-done; err != nil {
		t.Error(err)
	}
}
