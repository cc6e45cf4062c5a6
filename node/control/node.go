package control

import (
	"context"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/message"
)

// Node is what people and programs drive: package node's, whose documentation
// says what each method does.
type Node interface {
	Next(ctx context.Context) (Event, error)

	ID() ID
	Nick() (string, error)
	SetNick(nick string) error
	SetListed(listed bool) error
	Invite() (string, error)
	InviteMe(withNetwork bool) (string, error)
	NewLink() error
	Latency() string
	SetLatency(latency string) error

	Add(who record.Locator, name, text string) error
	Accept(name, localName string) error
	Reject(name string) error
	Block(name string) error
	Unblock(name string) error
	Remove(name string) error
	Rename(name, to string) (Contact, error)
	Safety(name string) (Safety, error)
	Compare(name, number string, same bool) (Safety, error)
	Contacts() []Contact
	Requests() []Request
	Contact(name string) (Contact, error)
	Send(name, text string) (message.ID, error)
	SendAs(name, text string, how How) (message.ID, error)
	Text(id string) (Text, error)
	Cancel(id string) (Text, error)
	Settings(name string) (Settings, error)
	SetHistory(name string, on bool) (Settings, error)
	SetTTL(name string, ttl time.Duration) (Settings, error)
	History(name string, limit int) ([]Said, error)

	Peers() Peers
	LastPath() (Path, error)
	Status() Status
}

// ID is the result of /id.
type ID struct {
	Hashid string `json:"hashid"`
	Node   string `json:"node"`
	Listed bool   `json:"listed"` // whoever knows the hashid finds the person
}

// Contact is one contact.
type Contact struct {
	Hashid string    `json:"hashid"`
	Name   string    `json:"name"`
	Tag    string    `json:"tag,omitempty"` // to show beside the name, which somebody else's looks like
	Nick   string    `json:"nick"`
	State  string    `json:"state"`
	Since  time.Time `json:"since"`
	Last   time.Time `json:"last,omitzero"` // when something was last exchanged

	Verified bool `json:"verified,omitempty"`
	Changed  bool `json:"changed,omitempty"` // it came with another identity key, which is not used yet
}

// Safety is a safety number, see package safety, and how the contact stands.
type Safety struct {
	Hashid   string `json:"hashid"`
	Name     string `json:"name"`
	Tag      string `json:"tag,omitempty"`
	Digits   string `json:"digits"`
	Words    string `json:"words"`
	QR       string `json:"qr"` // what the QR code says
	Verified bool   `json:"verified"`
	Changed  bool   `json:"changed"` // the number is that of another identity key than the one in use
}

// How is how a text is to be sent.
type How struct {
	Verified bool   // to a contact whose safety number was compared, or not at all
	Latency  string // fast, normal or slow; "": as is set
}

// Text is how far a text of this person's has come.
type Text struct {
	ID      string `json:"id"`
	To      string `json:"to"` // hashid
	State   string `json:"state"`
	Reason  string `json:"reason"`            // why it waits or was given up; may be empty
	Changed bool   `json:"changed,omitempty"` // the contact came with another identity key, to which nothing goes
}

// Request is one open request of a stranger.
type Request struct {
	From string    `json:"from"`
	Name string    `json:"name"`
	Tag  string    `json:"tag,omitempty"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// Settings are those of one conversation.
type Settings struct {
	Name    string `json:"name"`
	Tag     string `json:"tag,omitempty"`
	History bool   `json:"history"` // texts are kept
	TTL     int    `json:"ttl"`     // seconds after which both sides forget a text that this person says now, and this side one of the other's; 0: never
}

// Said is a text that was kept.
type Said struct {
	ID   string    `json:"id"`
	Own  bool      `json:"own"`  // this person said it
	Name string    `json:"name"` // of the contact, whoever said it
	Tag  string    `json:"tag,omitempty"`
	Text string    `json:"text"`
	At   time.Time `json:"at"` // by the clock of who said it
}

// Peers are the relays that this node knows.
type Peers struct {
	Known  int      `json:"known"`
	Usable int      `json:"usable"` // could be put on a path now
	Relays []string `json:"relays"` // node ids of the usable ones
}

// Status is how the node is doing, in numbers.
type Status struct {
	Hashid      string   `json:"hashid"`
	Node        string   `json:"node"`
	Listed      bool     `json:"listed"` // as in ID
	Network     string   `json:"network"`
	NetworkID   string   `json:"network_id"`
	Public      bool     `json:"public"`
	Hops        int      `json:"hops"`
	Listen      []string `json:"listen"`
	Connections int      `json:"connections"` // open, to other nodes
	Known       int      `json:"known"`       // relays
	Usable      int      `json:"usable"`
	Missing     int      `json:"missing"`          // relays, for a path to any node
	Latency     string   `json:"latency"`          // as in /set latency
	Queued      int      `json:"queued"`           // messages without a receipt
	Uptime      int      `json:"uptime"`           // seconds
	Unseen      int      `json:"unseen,omitempty"` // seconds until it listens, as in Ready
	ClockOff    int      `json:"clock_off"`        // seconds that this clock is ahead of others', behind if negative; 0 while it does no harm
	Crowded     int      `json:"crowded"`          // of the places where this node's own record is kept, those round which too many nodes stand: somebody may be trying to hide it
	Forwarded   uint64   `json:"forwarded"`
	Dropped     uint64   `json:"dropped"` // packets, whatever the cause
	Paths       *Paths   `json:"paths,omitempty"`
	Records     int      `json:"records"` // kept for others
	RecordBytes int      `json:"record_bytes"`
	Banned      int      `json:"banned"` // nodes that served forged records
}
