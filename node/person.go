package node

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/overlay/link"
	"chatnt/overlay/relay"
)

// inbox names where strangers and contacts leave messages for this person.
//
// It is this person's own node until mailboxes at other nodes take its place:
// for now everybody is visible, and a hashid can be traced to its node.
func (n *Node) inbox() hashid.NodeID { return n.profile.Node() }

// Next waits for the next event. Events come in order and each to one caller;
// while many are unread the node takes in no more messages.
func (n *Node) Next(ctx context.Context) (control.Event, error) { return n.feed.next(ctx) }

// ID returns the person's hashid and the node's id.
func (n *Node) ID() control.ID {
	return control.ID{Hashid: n.profile.Hashid().String(), Node: n.profile.Node().String(), Listed: n.profile.Listed()}
}

// Send queues a text to the contact with a local name or hashid and returns the
// message's id once it is stored. It does not wait for the network.
func (n *Node) Send(name, text string) (message.ID, error) { return n.messenger.send(name, text) }

// SendAs does the same as it is told. It refuses with contact.ErrUnverified what would go to a contact
// whose safety number was not compared, or has changed since, if only a verified one is to have it.
func (n *Node) SendAs(name, text string, how control.How) (message.ID, error) {
	return n.messenger.sendAs(name, text, how)
}

// Add makes a person a contact under a local name: it sends a request, with a
// text that may be empty, or accepts the person's own request.
func (n *Node) Add(who record.Locator, name, text string) error {
	return n.messenger.ask(who, name, text)
}

// Accept answers the request of a hashid or nick with yes. An empty localName
// makes one of the nick.
func (n *Node) Accept(name, localName string) error { return n.messenger.accept(name, localName) }

// Reject answers the request of a hashid or nick with no.
func (n *Node) Reject(name string) error { return n.messenger.reject(name) }

// Contacts returns the contacts, by name.
func (n *Node) Contacts() []control.Contact {
	n.messenger.mu.Lock()
	defer n.messenger.mu.Unlock()
	var list []control.Contact
	for _, c := range n.messenger.book.Contacts() {
		list = append(list, n.messenger.described(c))
	}
	return list
}

// Contact returns the contact with a local name or hashid.
func (n *Node) Contact(name string) (control.Contact, error) {
	n.messenger.mu.Lock()
	defer n.messenger.mu.Unlock()
	c, err := n.messenger.book.Named(name)
	if err != nil {
		return control.Contact{}, err
	}
	return n.messenger.described(c), nil
}

// described is a contact as it is shown. Called with mu held.
func (m *messenger) described(c contact.Contact) control.Contact {
	return control.Contact{
		Hashid: c.Hashid.String(), Name: c.Name, Tag: m.book.Tag(c.Hashid), Nick: c.Nick, State: string(c.State), Since: c.Since,
		Last: c.Last, Verified: m.verified(c), Changed: !c.Offered.IsZero(),
	}
}

// Requests returns the open requests of strangers, the oldest first.
func (n *Node) Requests() []control.Request {
	n.messenger.mu.Lock()
	defer n.messenger.mu.Unlock()
	var list []control.Request
	for _, r := range n.messenger.book.Requests() {
		list = append(list, control.Request{From: r.From.String(), Name: r.Nick, Tag: n.messenger.book.Tag(r.From), Text: r.Text, At: r.At})
	}
	return list
}

// Nick returns what this person calls itself to others; it may be empty.
func (n *Node) Nick() (string, error) { return n.profile.nick() }

// SetNick changes what this person calls itself in requests and their answers.
func (n *Node) SetNick(nick string) error {
	if len(nick) > message.MaxNick || !utf8.ValidString(nick) {
		return fmt.Errorf("a nick is UTF-8 of at most %d bytes", message.MaxNick)
	}
	return n.profile.setNick(nick)
}

// ErrNothingSent says that no text has gone out since the node started.
var ErrNothingSent = errors.New("no message has gone out since this node started")

// LastPath returns the way that the last text took.
func (n *Node) LastPath() (control.Path, error) {
	n.messenger.mu.Lock()
	defer n.messenger.mu.Unlock()
	if n.messenger.lastPath == nil {
		return control.Path{}, ErrNothingSent
	}
	return *n.messenger.lastPath, nil
}

// Peers returns the relays that this node knows.
func (n *Node) Peers() control.Peers {
	usable := n.directory.Usable()
	p := control.Peers{Known: n.directory.Known(), Usable: len(usable), Relays: make([]string, 0, len(usable))}
	for _, d := range usable {
		p.Relays = append(p.Relays, d.ID().String())
	}
	return p
}

// Status returns what can be told of a profile whose node does not run.
func (p *Profile) Status() control.Status {
	s := control.Status{
		Hashid: p.Hashid().String(), Node: p.Node().String(), Listed: p.Listed(), Listen: p.Listen(), Latency: p.latency.get().String(),
	}
	if p.network != nil {
		s.Network, s.NetworkID = p.network.Name, p.network.ID().String()
		s.Public, s.Hops, s.Missing = p.network.Public, p.network.Hops, p.network.Hops+1
	}
	return s
}

// Status returns how the node is doing.
func (n *Node) Status() control.Status {
	s := n.profile.Status()
	relayed, linked := n.overlay.Stats(), n.link.Stats()
	s.Listen, s.Connections = texts(n.host.Network().ListenAddresses()), len(n.host.Network().Peers())
	s.Known, s.Usable = n.directory.Known(), len(n.directory.Usable())
	s.Missing = max(0, s.Hops+1-s.Usable) // the recipient's own node is no relay on the way to it
	s.Queued, s.Uptime = n.messenger.queued(), int(time.Since(n.started).Seconds())
	s.Forwarded, s.Dropped = relayed.Forwarded, dropped(relayed, linked)
	s.Records, s.RecordBytes = n.table.Held()
	s.Banned, s.Crowded = n.bans.Len(), n.table.Crowded()
	s.ClockOff = int(n.clocks.ahead().Seconds())
	s.Paths = shownPaths(n.paths.Summary())
	s.Unseen = seconds(n.profile.Unseen(n.now()))
	return s
}

// dropped adds up the packets that relay and link dropped, for whatever cause.
func dropped(r relay.Stats, l link.Stats) uint64 {
	return r.Unreadable + r.Replayed + r.Limited + r.ToSelf + r.Tampered + r.NoRoom + r.Unsent + r.Stopped +
		l.QueueFull + l.Unreachable + l.TooMany + l.Lost + l.Closed
}
