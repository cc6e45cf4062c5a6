package node

import (
	"encoding/hex"
	"errors"
	"slices"

	"chatnt/discovery/hashid"
	"chatnt/node/control"
	"chatnt/node/message"
)

// endedKept is how many texts of this run are remembered after they were delivered or given up.
const endedKept = 256

var (
	errNoText = errors.New("no text with this id is known: it may have been delivered, or given up, some time ago")
	errOut    = errors.New("this text cannot be taken back: it may have gone out already")
)

// ended tells how a text of this person's ended, and remembers it for who asks later. Called with mu held.
func (m *messenger) ended(item *outgoing, state, reason string) {
	e := control.StatusChanged{ID: item.ID.String(), To: item.To.String(), State: state, Reason: reason}
	m.endings = append(m.endings[max(0, len(m.endings)-endedKept+1):], e)
	m.feed.emit(e)
}

// Text returns how far a text of this person's has come, by the id that Send returned.
func (n *Node) Text(id string) (control.Text, error) { return n.messenger.text(id) }

func (m *messenger) text(id string) (control.Text, error) {
	text, err := parseText(id)
	if err != nil {
		return control.Text{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, parts := m.waiting(text); c != nil {
		return m.underWay(c, parts), nil
	}
	return m.ending(text)
}

// Cancel takes a text of this person's back that waits and has not gone out: nobody will get it.
func (n *Node) Cancel(id string) (control.Text, error) { return n.messenger.cancel(id) }

func (m *messenger) cancel(id string) (control.Text, error) {
	text, err := parseText(id)
	if err != nil {
		return control.Text{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, parts := m.waiting(text)
	if c == nil {
		ended, err := m.ending(text)
		if err == nil && ended.State != control.Failed {
			err = errOut
		}
		return ended, err
	}
	if slices.ContainsFunc(parts, func(part *outgoing) bool { return part.out }) {
		return control.Text{}, errOut
	}
	if !m.settle(c, parts, control.Failed, "it was taken back") {
		return control.Text{}, errors.New("this could not be stored, and the text still waits")
	}
	return m.ending(text)
}

func parseText(id string) (message.ID, error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != len(message.ID{}) {
		return message.ID{}, errors.New("the id of a text has 32 hexadecimal digits")
	}
	return message.ID(raw), nil
}

// waiting returns the parts of a text that waits for its receipt, and its conversation, or nil. Called with mu held.
func (m *messenger) waiting(id message.ID) (*conversation, []*outgoing) {
	for _, c := range m.conversations {
		if parts := slices.Collect(partsOf(c.outbox, &outgoing{ID: id})); len(parts) > 0 && parts[0].Kind == message.Text {
			return c, parts
		}
	}
	return nil, nil
}

// ending says how a text ended. Called with mu held.
func (m *messenger) ending(id message.ID) (control.Text, error) {
	for _, e := range m.endings {
		if e.ID == id.String() {
			return control.Text{ID: e.ID, To: e.To, State: e.State, Reason: e.Reason}, nil
		}
	}
	return control.Text{}, errNoText
}

// underWay says how far a text that waits for its receipt has come. Called with mu held.
func (m *messenger) underWay(c *conversation, parts []*outgoing) control.Text {
	last := parts[len(parts)-1]
	who, _ := m.book.Contact(c.Peer)
	t := control.Text{ID: last.ID.String(), To: c.Peer.String(), State: control.Sent}
	if last.Told {
		return t
	}
	t.State, t.Reason, t.Changed = control.Queued, m.waitsFor(who), !who.Offered.IsZero()
	for _, item := range parts {
		if item.reason != "" {
			t.Reason = item.reason
		}
	}
	return t
}

// called is what to call a person: its name, and its tag where the name may mislead. Called with mu held.
func (m *messenger) called(id hashid.ID) string {
	who, ok := m.book.Contact(id)
	if !ok {
		return id.String()
	}
	if tag := m.book.Tag(id); tag != "" {
		return who.Name + " [" + tag + "]"
	}
	return who.Name
}
