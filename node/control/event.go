package control

import "time"

// Event is something a person or a script is told of. Each is a struct whose
// JSON fields are part of the program's contract; Event is its name there.
type Event interface{ Event() string }

// Ready says that the node listens; or that it will, and cannot be seen before, after it has
// taken the place of another identity's: then a second one follows.
type Ready struct {
	Hashid  string   `json:"hashid"`
	Node    string   `json:"node"`
	Listen  []string `json:"listen"` // multiaddrs
	Network string   `json:"network"`

	Identity string `json:"identity,omitempty"` // its local name, if the profile has several
	First    bool   `json:"-"`                  // the person was not told yet that it is visible
	Unseen   int    `json:"unseen,omitempty"`   // seconds until it listens
}

// MessageReceived is a text from a contact. Again marks one that may have been
// told of before: the node ended before it could note that its reader had it.
type MessageReceived struct {
	ID   string    `json:"id"`
	From string    `json:"from"`          // hashid
	Name string    `json:"name"`          // local
	Tag  string    `json:"tag,omitempty"` // to show beside the name, which somebody else's looks like
	Text string    `json:"text"`
	At   time.Time `json:"at"` // by the sender's clock

	Again bool `json:"again,omitempty"`
}

// StatusChanged says how far a text of this person's has come.
type StatusChanged struct {
	ID     string `json:"id"`
	To     string `json:"to"` // hashid
	State  string `json:"state"`
	Reason string `json:"reason"` // why it waits or was given up; may be empty
}

// The states of a text: it waits here; the recipient's node, or later its
// mailbox hosts, have it; the recipient's receipt came; it was given up.
const (
	Queued    = "queued"
	Sent      = "sent"
	Delivered = "delivered"
	Failed    = "failed"
)

// RequestReceived says that a stranger wishes to become a contact.
type RequestReceived struct {
	From string `json:"from"` // hashid
	Nick string `json:"name"` // as the stranger calls itself
	Tag  string `json:"tag,omitempty"`
	Text string `json:"text"`
}

// ContactChanged says that a contact has entered a state.
type ContactChanged struct {
	Hashid string `json:"hashid"`
	Local  string `json:"name"`
	Tag    string `json:"tag,omitempty"`
	State  string `json:"state"`
}

// RelaysChanged says how many relays are known and could be used now.
type RelaysChanged struct {
	Known  int `json:"known"`
	Usable int `json:"usable"`
}

// Warning says that something is wrong that a person should know of, or that it
// no longer is.
type Warning struct {
	About string `json:"about"` // one word: "clock", "session", "key", "listing"
	Text  string `json:"text"`  // a sentence, and what to do
	Over  bool   `json:"over"`  // it is no longer so
}

// Event is "ready".
func (Ready) Event() string { return "ready" }

// Event is "message".
func (MessageReceived) Event() string { return "message" }

// Event is "status".
func (StatusChanged) Event() string { return "status" }

// Event is "request".
func (RequestReceived) Event() string { return "request" }

// Event is "contact".
func (ContactChanged) Event() string { return "contact" }

// Event is "warning".
func (Warning) Event() string { return "warning" }

// Event is "relays".
func (RelaysChanged) Event() string { return "relays" }
