package node

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
)

// Contacts and those who were asked are looked up; who was refused, blocked or given up is not.
func TestFollowed(t *testing.T) {
	m := friends(t)
	for i, state := range []contact.State{contact.Accepted, contact.Accepted, contact.Rejected, contact.Blocked, contact.Requested} {
		who := contact.Contact{Hashid: someone(uint16(3 + i)).hashid(), Name: "c" + string(rune('0'+i)), State: state}
		m.mu.Lock()
		if err := m.putContact(who); err != nil {
			t.Fatal(err)
		}
		m.mu.Unlock()
	}
	if err := m.add(someone(20).hashid(), "asked", ""); err != nil {
		t.Fatal(err)
	}
	var got []hashid.ID
	for _, at := range m.followed() {
		got = append(got, at.id)
	}
	want := []hashid.ID{someone(20).hashid(), someone(4).hashid(), bob().hashid(), someone(3).hashid()}
	byID := func(x, y hashid.ID) int { return bytes.Compare(x[:], y[:]) }
	slices.SortFunc(got, byID)
	slices.SortFunc(want, byID)
	if !slices.Equal(got, want) {
		t.Errorf("followed are %v, want %v", got, want)
	}
	who, _ := m.book.Contact(bob().hashid())
	who.Link = record.LinkKey(seeded(9)[32:])
	m.mu.Lock()
	if err := m.putContact(who); err != nil {
		t.Fatal(err)
	}
	m.mu.Unlock()
	if !slices.ContainsFunc(m.followed(), by(linkedTo(bob(), seeded(9))).equal) {
		t.Error("bob is not looked up by his link key")
	}
}

// Another key record has what waits go out at once.
func TestBroughtRecord(t *testing.T) {
	m := friends(t)
	if _, err := m.send("bob", "hi"); err != nil {
		t.Fatal(err)
	}
	c := m.conversation(bob().hashid())
	item := c.outbox[0]
	item.attempts, item.due = 5, time.Now().Add(repeatLast)
	m.brought(someone(3).hashid(), true) // of whom nothing is known
	m.brought(bob().hashid(), true)      // nobody is sending yet
	if item.attempts != 5 || len(c.kick) != 0 {
		t.Error("what waits is sent by nobody")
	}
	c.running = true
	m.brought(bob().hashid(), false)
	if item.attempts != 5 || len(c.kick) != 0 {
		t.Error("what waits goes out for no news")
	}
	m.brought(bob().hashid(), true)
	if due, _, _, _ := m.takeDue(c); len(due) != 1 || item.attempts != 0 || len(c.kick) != 1 {
		t.Errorf("%d are due, after %d attempts", len(due), item.attempts)
	}
}

// What a node does for its person it does apart: after a while of its own, and only when there is a way.
func TestPersonalRecordsAreApart(t *testing.T) {
	for _, p := range new(Node).keyRecordPublications() {
		if p.Wait == nil || p.Ready == nil {
			t.Errorf("the %s is put at once", p.What)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var a apart
		most := func(there bool) (most time.Duration) {
			draws := make(map[time.Duration]bool)
			for range 1000 {
				d := a.wait(there)
				draws[d] = true
				most = max(most, d)
			}
			if len(draws) < 900 {
				t.Errorf("%d different times", len(draws))
			}
			return most
		}
		if m := most(true); m < apartSoon*9/10 || m > apartSoon {
			t.Errorf("up to %v at first", m)
		}
		a.startOver(time.Now())
		if m := most(true); m < apartLong*9/10 || m > apartLong {
			t.Errorf("up to %v when it starts over", m)
		}
		if m := most(false); m > apartSoon {
			t.Errorf("up to %v when there is no copy", m)
		}
		time.Sleep(overFor)
		if m := most(true); m > apartSoon {
			t.Errorf("up to %v after that", m)
		}
	})
}
