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

var errNoText = errors.New("no text with this id is known: it may have been delivered, or given up, some time ago")

// ended tells how a text of this person's ended, and remembers it for who asks later. Called with mu held.
func (m *messenger) ended(item *outgoing, state, reason string) {
	e := control.StatusChanged{ID: item.ID.String(), To: item.To.String(), State: state, Reason: reason}
	m.endings = append(m.endings[max(0, len(m.endings)-endedKept+1):], e)
	m.feed.emit(e)
}

// Text returns how far a text of this person's has come, by the id that Send returned.
func (n *Node) Text(id string) (control.Text, error) { return n.messenger.text(id) }

func (m *messenger) text(id string) (control.Text, error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != len(message.ID{}) {
		return control.Text{}, errors.New("the id of a text has 32 hexadecimal digits")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conversations {
		if parts := slices.Collect(partsOf(c.outbox, &outgoing{ID: message.ID(raw)})); len(parts) > 0 && parts[0].Kind == message.Text {
			return m.underWay(c, parts), nil
		}
	}
	for _, e := range m.endings {
		if e.ID == hex.EncodeToString(raw) {
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
