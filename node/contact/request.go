package contact

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// MaxRequests is how many strangers' requests may wait for an answer at once.
const MaxRequests = 32

var (
	// ErrTooMany says that too many requests wait already, each with as much work
	// as the new one or more.
	ErrTooMany = errors.New("too many requests wait for an answer already")

	// ErrBlocked says that a request is of somebody who is not to be heard. It is
	// for silence, not for showing.
	ErrBlocked = errors.New("this person is blocked")
)

// Request is a stranger's wish to become a contact.
type Request struct {
	From hashid.ID `json:"from"`
	Nick string    `json:"nick"`           // hostile text, bounded where it is parsed
	Text string    `json:"text"`           // hostile text
	At   time.Time `json:"at"`             // when it came, by this machine's clock
	Work uint8     `json:"work,omitempty"` // bits of work that were shown for it; 0: none was asked for

	// The keys that it came with, see Contact; zero if an older version took it in.
	Identity IdentityKey `json:"identity,omitzero"`
	Key      IdentityKey `json:"key,omitzero"`

	Link record.LinkKey `json:"link,omitzero"` // by which an answer finds who asks; zero: by the hashid
}

// asker is a request in the book.
type asker struct {
	Request
	key   string // of the nick, for comparing
	looks looks  // of the nick
}

func newAsker(r Request) *asker { return &asker{r, compareKey(r.Nick), looksOf(r.Nick)} }

// before orders requests by who goes first when there is no room: least work, then
// the oldest.
func (r Request) before(other Request) int {
	return cmp.Or(cmp.Compare(r.Work, other.Work), r.older(other))
}

func (r Request) older(other Request) int {
	return cmp.Or(r.At.Compare(other.At), slices.Compare(r.From[:], other.From[:]))
}

// Requests returns all open requests, the oldest first.
func (b *Book) Requests() []Request {
	list := make([]Request, 0, len(b.requests))
	for _, r := range b.requests {
		list = append(list, r.Request)
	}
	slices.SortFunc(list, Request.older)
	return list
}

// Request returns the open request of a hashid.
func (b *Book) Request(id hashid.ID) (Request, bool) {
	if r := b.requests[id]; r != nil {
		return r.Request, true
	}
	return Request{}, false
}

// Room says what Ask would do with r: the request that would have to go for it, if
// displaced, or why it would be refused, ErrTooMany or ErrBlocked. Where none has to
// work, nobody is displaced: whoever asks first is not pushed out by a flood.
func (b *Book) Room(r Request) (least Request, displaced bool, err error) {
	if c := b.contacts[r.From]; c != nil && c.State == Blocked {
		return Request{}, false, ErrBlocked
	}
	if b.requests[r.From] != nil || len(b.requests) < MaxRequests {
		return Request{}, false, nil
	}
	least = slices.MinFunc(b.Requests(), Request.before)
	if r.Work <= least.Work {
		return Request{}, false, ErrTooMany
	}
	return least, true, nil
}

// Ask adds an open request; when MaxRequests are open, in place of the one that Room
// names. One that is repeated is no news: what was said first stays, so that nobody
// changes its name or words between being read and being answered, and only more work
// counts. The error is Room's.
func (b *Book) Ask(r Request) error {
	least, displaced, err := b.Room(r)
	if err != nil {
		return err
	}
	if known := b.requests[r.From]; known != nil {
		known.Work = max(known.Work, r.Work)
		return nil
	}
	if displaced {
		b.dropRequest(least.From)
	}
	b.putRequest(r)
	return nil
}

// Relocate notes by which link key an answer finds somebody who asks; zero: by the hashid.
func (b *Book) Relocate(from hashid.ID, link record.LinkKey) {
	if r := b.requests[from]; r != nil {
		r.Link = link
	}
}

// Asking returns the open request from a hashid, or from the nick of just one, in
// any spelling that is the same name. What can be read as a hashid is one, whatever
// anybody calls itself; and a nick that another request's looks like does not do.
func (b *Book) Asking(name string) (Request, error) {
	name = strings.TrimPrefix(name, "@")
	if id, err := hashid.Parse(name); err == nil {
		if r, ok := b.Request(id); ok {
			return r, nil
		}
		return Request{}, fmt.Errorf("%q: %w", name, ErrUnknown)
	}
	var match *asker
	resembling, typed, looks := 0, compareKey(name), looksOf(name)
	for _, r := range b.requests {
		same := r.key == typed && typed != ""
		if same {
			match = r
		}
		if same || r.looks.resemble(looks) {
			resembling++
		}
	}
	switch {
	case match == nil:
		return Request{}, fmt.Errorf("%q: %w", name, ErrUnknown)
	case resembling > 1:
		return Request{}, fmt.Errorf("%d requests go by the name %q or one that looks like it: name the hashid, /requests lists it", resembling, name)
	}
	return match.Request, nil
}
