// Package contact keeps who a person knows: contacts under local names, and the
// requests of strangers that wait for an answer. It is pure: its owner stores
// what Contacts and Requests return, and guards it with a lock.
//
// Names are hostile. A local name is chosen here, or made from what a stranger
// calls itself, and stands on the screen for a person: names.go says what it may be
// made of, scripts.go which letters go together, skeleton.go what looks the same as
// what, and Tag what to show where a name is not enough.
package contact

import (
	"encoding/hex"
	"errors"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/safety"
)

// State says how far two people have come.
type State string

// The states. A stranger who asked is no contact yet, but a Request.
const (
	Requested State = "requested" // we asked
	Accepted  State = "accepted"
	Rejected  State = "rejected" // one of the two said no
	Blocked   State = "blocked"  // nothing that this person sends is heard, nor answered
)

// Removed is what an event says of somebody who is no contact any more. No Contact
// has this state: who was removed is a stranger, and may ask anew.
const Removed State = "removed"

// ErrKeyChanged says that a contact comes with another X25519 identity key than
// before. The hashid holds the Ed25519 key in place; this one, only a signature does,
// which whoever has stolen the Ed25519 key can make.
var ErrKeyChanged = errors.New("the identity key of this contact has changed, somebody else may be using its name: /verify NAME with them before you go on")

// ErrUnverified says that a contact's safety number was not compared, or not since one of
// the two got another key.
var ErrUnverified = errors.New("this contact is not verified: /verify NAME shows the safety number to compare with them")

// Contact is one person with a local name.
type Contact struct {
	Hashid   hashid.ID    `json:"hashid"`
	Name     string       `json:"name"` // chosen here, unique
	Nick     string       `json:"nick"` // as the person calls itself: hostile text
	State    State        `json:"state"`
	Since    time.Time    `json:"since"`             // of the state
	Ours     bool         `json:"ours,omitempty"`    // Rejected: it was this person who said no
	Last     time.Time    `json:"last,omitzero"`     // when a message last came or was confirmed; zero: never
	Identity IdentityKey  `json:"identity,omitzero"` // Ed25519, which the hashid is the hash of; zero: not met yet
	Key      IdentityKey  `json:"key,omitzero"`      // X25519, as first met; zero: not met yet
	Offered  IdentityKey  `json:"offered,omitzero"`  // another X25519 key that came since, which nobody has looked at yet
	Refused  IdentityKey  `json:"refused,omitzero"`  // the last one of those that the person said no to
	Verified Verification `json:"verified,omitzero"` // see VerifiedAs

	Link  record.LinkKey `json:"link,omitzero"` // by which the person's key record is found; zero: by the hashid
	Given Given          `json:"given,omitzero"`
	Told  record.LinkKey `json:"told,omitzero"` // this person's own, that the contact has confirmed to have
}

// Given is where else a contact may be found, by what the person here was given: an invite, or
// the hashid again. It takes the place of Link once a key record was found by it, which nobody
// but the contact can have published. Till then it is not worth more than who has given it.
type Given struct {
	Link record.LinkKey `json:"link,omitzero"` // zero: by the hashid
	At   time.Time      `json:"at"`            // zero: there is nothing
}

// givenTried is for how long a contact is looked for where it was never found.
const givenTried = record.KeyRecordLifetime

// Links are the link keys that the contact is to be looked up by at now, the first before the
// second; a zero one stands for the hashid.
func (c Contact) Links(now time.Time) []record.LinkKey {
	if c.Given.At.IsZero() || c.Given.Link == c.Link || now.Sub(c.Given.At) > givenTried {
		return []record.LinkKey{c.Link}
	}
	return []record.LinkKey{c.Given.Link, c.Link}
}

// At returns the contact as one who has said where it is found, or was found there.
func (c Contact) At(link record.LinkKey) Contact {
	c.Link, c.Given = link, Given{}
	return c
}

// IdentityKey is one of a person's two public identity keys. Its text form is 64
// hexadecimal digits.
type IdentityKey [32]byte

// IsZero reports whether k is no key.
func (k IdentityKey) IsZero() bool { return k == IdentityKey{} }

// Verification is the answer to a safety number that two people compared and found
// equal. The zero value says that they have not.
type Verification struct {
	Pair safety.Pair `json:"pair"` // the keys that were compared, of both sides
	At   time.Time   `json:"at"`
}

// Silent reports whether nothing of the contact is to be heard, nor answered: the
// person here has said no to it, or blocked it.
func (c Contact) Silent() bool { return c.State == Blocked || c.State == Rejected && c.Ours }

// Keys returns the long-term keys that a safety number is made of: those of the
// contact, with the one that is Offered, if there is one, in place of the other. It is
// false for somebody who was not met yet.
func (c Contact) Keys() (keys safety.Keys, ok bool) {
	keys = safety.Keys{Identity: c.Identity, Agreement: c.Key}
	if !c.Offered.IsZero() {
		keys.Agreement = c.Offered
	}
	return keys, !c.Identity.IsZero() && !c.Key.IsZero()
}

// VerifiedAs reports whether the contact was verified with the keys that the two
// have now. With other keys, on either side, the answer is void.
func (c Contact) VerifiedAs(now safety.Pair) bool {
	return !now.IsZero() && c.Verified.Pair == now
}

// Meet returns the contact with the keys that it is met with remembered. The error is
// ErrKeyChanged if it had another X25519 key before; the contact then is as it was.
func (c Contact) Meet(keys safety.Keys) (Contact, error) {
	if !c.Key.IsZero() && c.Key != keys.Agreement {
		return c, ErrKeyChanged
	}
	c.Identity, c.Key = keys.Identity, keys.Agreement
	return c, nil
}

// Trust returns the contact with another identity key, as the person here has
// decided, and not verified.
func (c Contact) Trust(key IdentityKey) Contact {
	c.Key, c.Offered, c.Refused, c.Verified = key, IdentityKey{}, IdentityKey{}, Verification{}
	return c
}

// gone reports whether the contact is one in memory only: its name is free to take.
func (c Contact) gone() bool { return c.State == Rejected || c.State == Blocked }

// MarshalText returns the text form.
func (k IdentityKey) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(k[:])), nil }

// UnmarshalText reads the text form.
func (k *IdentityKey) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(k)) {
		return errors.New("the stored identity key of a contact is damaged")
	}
	if _, err := hex.Decode(k[:], text); err != nil {
		return errors.New("the stored identity key of a contact is damaged")
	}
	return nil
}
