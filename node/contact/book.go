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

	"golang.org/x/text/unicode/norm"

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
	Since  time.Time `json:"since"`          // of the state
	Ours   bool      `json:"ours,omitempty"` // Rejected: it was this person who said no
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

// Named returns the contact with a local name or hashid. What can be read as a
// hashid is one, whatever anybody is called.
func (b *Book) Named(name string) (Contact, error) {
	name = strings.TrimPrefix(name, "@")
	id, err := hashid.Parse(name)
	for _, c := range b.contacts {
		if err == nil && c.Hashid == id || err != nil && c.Name == name {
			return *c, nil
		}
	}
	return Contact{}, fmt.Errorf("%q: %w", name, ErrUnknown)
}

// Asking returns the open request from a hashid, or from the nick of just one.
// What can be read as a hashid is one, whatever anybody calls itself.
func (b *Book) Asking(name string) (Request, error) {
	name = strings.TrimPrefix(name, "@")
	id, err := hashid.Parse(name)
	var match []Request
	for _, r := range b.requests {
		if err == nil && r.From == id || err != nil && r.Nick == name {
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

// CheckName tells why a local name for id cannot be used, or nil. A contact that
// was rejected, either way, keeps its name from nobody: see Yield.
func (b *Book) CheckName(name string, id hashid.ID) error {
	if err := validName(name); err != nil {
		return err
	}
	for _, c := range b.contacts {
		if c.State != Rejected && c.Hashid != id && alike(c.Name, name) {
			return fmt.Errorf("the name %q is taken by another contact", name)
		}
	}
	return nil
}

// Yield returns the rejected contacts that give up their names when id is called
// name, under their new ones. The book has the old ones until they are Put.
func (b *Book) Yield(name string, id hashid.ID) []Contact {
	var renamed []Contact
	for _, c := range b.contacts {
		if c.State == Rejected && c.Hashid != id && alike(c.Name, name) {
			nameless := *c
			nameless.Name = Nameless(c.Hashid)
			renamed = append(renamed, nameless)
		}
	}
	return renamed
}

// Nameless is what a contact without a name of its own goes by.
func Nameless(id hashid.ID) string { return id.String() }

// NameFor returns a local name that nobody has yet, for a person who calls itself nick.
func (b *Book) NameFor(nick string, id hashid.ID) string {
	tag := id.String()[:6]
	name := clean(nick)
	if _, err := hashid.Parse(name); err == nil {
		name = "" // nor what begins with somebody's hashid
	}
	for _, try := range []string{name, name + "-" + tag} {
		if b.CheckName(try, id) == nil && len(b.Yield(try, id)) == 0 {
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
	if _, err := hashid.Parse(name); err == nil {
		return errors.New("a name is no hashid")
	}
	for _, r := range name {
		if !validRune(r) {
			return errors.New("a name is made of letters, digits and signs, without spaces")
		}
	}
	return nil
}

// clean leaves out what a name is not made of.
func clean(name string) string {
	return strings.Map(func(r rune) rune {
		if validRune(r) {
			return r
		}
		return -1
	}, name)
}

// alike reports whether two names look the same, but for letters that merely
// resemble each other. A name may have been stored when more runes were allowed.
func alike(x, y string) bool {
	return norm.NFC.String(clean(x)) == norm.NFC.String(clean(y))
}

// validRune holds for what is visible and cannot move what stands around it.
func validRune(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Mn) && r != utf8.RuneError &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) && !blank(r)
}

// blank holds for the letters and signs that fonts draw as an empty space, and
// that Unicode does not list as ignorable.
func blank(r rune) bool {
	switch r {
	case '\u2800', // braille pattern blank
		'\U00013441', '\U00013442', // Egyptian hieroglyph full and half blank
		'\U00016fe4', // Khitan small script filler
		'\U0001d159': // musical symbol null notehead
		return true
	}
	return false
}
