// Package contact keeps who a person knows: contacts under local names, and the
// requests of strangers that wait for an answer. It is pure: its owner stores
// what Contacts and Requests return, and guards it with a lock.
package contact

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"chatnt/discovery/hashid"
)

// MaxRequests is how many strangers' requests may wait for an answer at once.
const MaxRequests = 32

// MaxName is the longest local name, in bytes.
const MaxName = 64

// State says how far two people have come.
type State string

// The states. A stranger who asked is no contact yet, but a Request.
const (
	Requested State = "requested" // we asked
	Accepted  State = "accepted"
	Rejected  State = "rejected" // one of the two said no
)

var (
	// ErrUnknown says that nobody goes by a name.
	ErrUnknown = errors.New("no contact or request goes by this name: /contacts and /requests list them")

	// ErrTooMany says that too many requests wait already.
	ErrTooMany = errors.New("too many requests wait for an answer already")
)

// Contact is one person with a local name.
type Contact struct {
	Hashid hashid.ID `json:"hashid"`
	Name   string    `json:"name"` // chosen here, unique
	Nick   string    `json:"nick"` // as the person calls itself: hostile text
	State  State     `json:"state"`
	Since  time.Time `json:"since"` // of the state
}

// Request is a stranger's wish to become a contact.
type Request struct {
	From hashid.ID `json:"from"`
	Nick string    `json:"nick"` // hostile text
	Text string    `json:"text"` // hostile text
	At   time.Time `json:"at"`   // when it came, by this machine's clock
}

// Book is a set of contacts and requests. The zero value is not usable: call New.
type Book struct {
	contacts map[hashid.ID]*Contact
	requests map[hashid.ID]*Request
}

// New returns a book with what was stored of an earlier one.
func New(contacts []Contact, requests []Request) *Book {
	b := &Book{contacts: make(map[hashid.ID]*Contact), requests: make(map[hashid.ID]*Request)}
	for _, c := range contacts {
		b.contacts[c.Hashid] = &c
	}
	for _, r := range requests {
		b.requests[r.From] = &r
	}
	return b
}

// Contacts returns all contacts, by name.
func (b *Book) Contacts() []Contact {
	list := make([]Contact, 0, len(b.contacts))
	for _, c := range b.contacts {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(x, y Contact) int { return strings.Compare(x.Name, y.Name) })
	return list
}

// Requests returns all open requests, the oldest first.
func (b *Book) Requests() []Request {
	list := make([]Request, 0, len(b.requests))
	for _, r := range b.requests {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(x, y Request) int {
		return cmp.Or(x.At.Compare(y.At), slices.Compare(x.From[:], y.From[:]))
	})
	return list
}

// Contact returns the contact with a hashid.
func (b *Book) Contact(id hashid.ID) (Contact, bool) {
	if c := b.contacts[id]; c != nil {
		return *c, true
	}
	return Contact{}, false
}

// Request returns the open request of a hashid.
func (b *Book) Request(id hashid.ID) (Request, bool) {
	if r := b.requests[id]; r != nil {
		return *r, true
	}
	return Request{}, false
}

// Named returns the contact with a local name or hashid.
func (b *Book) Named(name string) (Contact, error) {
	name = strings.TrimPrefix(name, "@")
	for _, c := range b.contacts {
		if c.Name == name || c.Hashid.String() == name {
			return *c, nil
		}
	}
	return Contact{}, fmt.Errorf("%q: %w", name, ErrUnknown)
}

// Asking returns the open request from a hashid, or from the nick of just one.
func (b *Book) Asking(name string) (Request, error) {
	name = strings.TrimPrefix(name, "@")
	var match []Request
	for _, r := range b.requests {
		if r.From.String() == name || r.Nick == name {
			match = append(match, *r)
		}
	}
	switch len(match) {
	case 0:
		return Request{}, fmt.Errorf("%q: %w", name, ErrUnknown)
	case 1:
		return match[0], nil
	}
	return Request{}, fmt.Errorf("%d requests go by the name %q: name the hashid, /requests lists it", len(match), name)
}

// Put adds or replaces a contact, and drops a request of the same person.
func (b *Book) Put(c Contact) {
	b.contacts[c.Hashid] = &c
	delete(b.requests, c.Hashid)
}

// Ask adds an open request, or replaces that of the same person.
func (b *Book) Ask(r Request) error {
	if _, known := b.requests[r.From]; !known && len(b.requests) >= MaxRequests {
		return ErrTooMany
	}
	b.requests[r.From] = &r
	return nil
}

// CheckName tells why a local name for id cannot be used, or nil.
func (b *Book) CheckName(name string, id hashid.ID) error {
	if err := validName(name); err != nil {
		return err
	}
	for _, c := range b.contacts {
		if c.Name == name && c.Hashid != id {
			return fmt.Errorf("the name %q is taken by another contact", name)
		}
	}
	return nil
}

// NameFor returns a free local name for a person who calls itself nick.
func (b *Book) NameFor(nick string, id hashid.ID) string {
	tag := id.String()[:6]
	name := strings.Map(func(r rune) rune {
		if validRune(r) {
			return r
		}
		return -1
	}, nick)
	for _, try := range []string{name, name + "-" + tag} {
		if b.CheckName(try, id) == nil {
			return try
		}
	}
	return id.String()[:16]
}

func validName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is missing")
	case len(name) > MaxName || !utf8.ValidString(name):
		return fmt.Errorf("a name is UTF-8 of at most %d bytes", MaxName)
	case strings.ContainsAny(name[:1], "@#/-"):
		return errors.New("a name does not begin with @, #, / or -")
	}
	for _, r := range name {
		if !validRune(r) {
			return errors.New("a name is made of letters, digits and signs, without spaces")
		}
	}
	return nil
}

// validRune holds for what is visible and cannot move what stands around it.
func validRune(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Mn) && r != utf8.RuneError
}
