package contact

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"chatnt/discovery/hashid"
)

// ErrUnknown says that nobody goes by a name.
var ErrUnknown = errors.New("no contact or request goes by this name: /contacts and /requests list them")

// Book is a set of contacts and requests. The zero value is not usable: call New.
//
// What Rename, Block and Yield return is how a contact would be. The book has it as
// it was until it is Put, so that its owner can store it first.
type Book struct {
	contacts map[hashid.ID]*known
	requests map[hashid.ID]*asker
	alike    alike
}

// known is a contact in the book.
type known struct {
	Contact
	key        string // of the name, for comparing
	name, nick looks
}

// New returns a book with what was stored of an earlier one.
func New(contacts []Contact, requests []Request) *Book {
	b := &Book{contacts: make(map[hashid.ID]*known), requests: make(map[hashid.ID]*asker), alike: newAlike()}
	for _, r := range requests {
		b.putRequest(r)
	}
	for _, c := range contacts {
		b.Put(c)
	}
	return b
}

// Contacts returns all contacts, by name.
func (b *Book) Contacts() []Contact {
	list := make([]Contact, 0, len(b.contacts))
	for _, c := range b.contacts {
		list = append(list, c.Contact)
	}
	slices.SortFunc(list, func(x, y Contact) int { return strings.Compare(x.Name, y.Name) })
	return list
}

// Contact returns the contact with a hashid.
func (b *Book) Contact(id hashid.ID) (Contact, bool) {
	if c := b.contacts[id]; c != nil {
		return c.Contact, true
	}
	return Contact{}, false
}

// Named returns the contact with a local name, in any spelling that is the same name,
// or hashid. What can be read as a hashid is one, whatever anybody is called.
func (b *Book) Named(name string) (Contact, error) {
	name = strings.TrimPrefix(name, "@")
	if id, err := hashid.Parse(name); err == nil {
		if c, ok := b.Contact(id); ok {
			return c, nil
		}
		return Contact{}, fmt.Errorf("%q: %w", name, ErrUnknown)
	}
	var match []Contact
	typed := compareKey(name)
	for _, c := range b.contacts {
		if c.Name == name { // before all others: two may have been stored when case counted
			return c.Contact, nil
		}
		if c.key == typed && typed != "" {
			match = append(match, c.Contact)
		}
	}
	switch len(match) {
	case 0:
		return Contact{}, fmt.Errorf("%q: %w", name, ErrUnknown)
	case 1:
		return match[0], nil
	}
	return Contact{}, fmt.Errorf("%d contacts go by the name %q: write it just as /contacts does", len(match), name)
}

// Put adds or replaces a contact, and drops a request of the same person.
func (b *Book) Put(c Contact) {
	k := &known{Contact: c}
	if old := b.contacts[c.Hashid]; old != nil && old.Name == c.Name && old.Nick == c.Nick {
		k.key, k.name, k.nick = old.key, old.name, old.nick
	} else {
		b.dropContact(c.Hashid)
		k.key, k.name, k.nick = compareKey(c.Name), looksOf(c.Name), looksOf(c.Nick)
		b.alike.names.add(k.name, c.Hashid)
		b.alike.nicks.add(k.nick, c.Hashid)
	}
	b.contacts[c.Hashid] = k
	b.dropRequest(c.Hashid)
}

// Remove forgets a contact, or a request, and all that was known of it: that it was
// verified, too.
func (b *Book) Remove(id hashid.ID) {
	b.dropContact(id)
	b.dropRequest(id)
}

func (b *Book) dropContact(id hashid.ID) {
	if c := b.contacts[id]; c != nil {
		b.alike.names.remove(c.name, id)
		b.alike.nicks.remove(c.nick, id)
		delete(b.contacts, id)
	}
}

func (b *Book) putRequest(r Request) {
	b.dropRequest(r.From)
	a := newAsker(r)
	b.alike.askers.add(a.looks, r.From)
	b.requests[r.From] = a
}

func (b *Book) dropRequest(id hashid.ID) {
	if r := b.requests[id]; r != nil {
		b.alike.askers.remove(r.looks, id)
		delete(b.requests, id)
	}
}

// Rename returns a contact under a new local name, normalised as Normal does.
func (b *Book) Rename(name, to string) (Contact, error) {
	c, err := b.Named(name)
	if err != nil {
		return Contact{}, err
	}
	if err := b.CheckName(to, c.Hashid); err != nil {
		return Contact{}, err
	}
	c.Name, err = Normal(to)
	return c, err
}

// Block returns a contact, somebody who asks, or the stranger with a hashid, blocked.
// It refuses a name that may mean two people: blocking the wrong one is silent.
func (b *Book) Block(name string) (Contact, error) {
	c, unknown := b.Named(name)
	asking, err := b.Asking(name)
	stranger, noHashid := hashid.Parse(strings.TrimPrefix(name, "@"))
	switch {
	case unknown == nil && !errors.Is(err, ErrUnknown):
		return Contact{}, fmt.Errorf("a contact and a request go by the name %q: name the hashid, /contacts and /requests list it", name)
	case unknown == nil:
	case err == nil:
		c = Contact{Hashid: asking.From, Name: Nameless(asking.From), Nick: asking.Nick}
	case noHashid == nil:
		c = Contact{Hashid: stranger, Name: Nameless(stranger)}
	case errors.Is(err, ErrUnknown):
		return Contact{}, unknown
	default:
		return Contact{}, err
	}
	c.State, c.Ours = Blocked, false
	return c, nil
}
