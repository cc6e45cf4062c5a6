package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/record"
)

// keyRecordPublications are what is published of this person, and taken back.
//
// Each has a timer of its own, so that a node that keeps records of two of them sees no
// rhythm that they share. What lies under a link key is numbered by a count of its own, and
// neither that nor its expiry says when it was signed, nor does the number of a withdrawal: see blurred.
func (n *Node) keyRecordPublications() []discovery.Publication {
	all := []discovery.Publication{
		{What: "key record", Every: keyRecordEvery, Copies: n.listedCopies, Outdated: n.olderKeyRecord, Overruled: n.takenBack},
		{What: "unlisted key record", Every: keyRecordEvery, Copies: n.unlistedCopies, Outdated: n.olderUnlisted, Overruled: n.linkTakenBack},
		{What: "withdrawal", Every: keyRecordEvery, Copies: n.givenUpCopies},
	}
	for i := range all {
		all[i].Ready = func(ctx context.Context) error { return exitsReady(ctx, n.records, n.directory) }
		all[i].Wait = n.apart.wait
	}
	return all
}

// listedCopies is what everybody may read: the key record while the person is listed, its
// withdrawal for two weeks after, and then nothing.
func (n *Node) listedCopies(now time.Time) ([]record.Copy, error) {
	l, err := n.profile.listing.change(n.profile.vault, func(l listing) (listing, error) {
		l = l.settled(now)
		l.signed = l.signed || l.listed
		return l, nil
	})
	switch {
	case err != nil:
		return nil, err
	case l.listed:
		return n.keyRecordCopies(now, nil)
	case !l.hidden.IsZero():
		return n.withdrawn(now, l.hidden, nil)
	}
	return nil, nil
}

// unlistedCopies is what who has the link key may read, if there is one.
func (n *Node) unlistedCopies(now time.Time) ([]record.Copy, error) {
	link := n.profile.listing.now().link
	if link == nil {
		return nil, nil
	}
	return n.keyRecordCopies(now, link)
}

// givenUpCopies takes back what lies under link keys that were given up.
func (n *Node) givenUpCopies(now time.Time) ([]record.Copy, error) {
	var all []record.Copy
	for _, p := range n.profile.listing.now().settled(now.Add(blurExpiry)).past {
		copies, err := n.withdrawn(now, p.since, p.key)
		if err != nil {
			return nil, err
		}
		all = append(all, copies...)
	}
	return all, nil
}

// keyRecordCopies signs this person's key record as it is now, with new prekeys when they are
// due. A nil link lists it.
func (n *Node) keyRecordCopies(now time.Time, link ed25519.PrivateKey) ([]record.Copy, error) {
	if err := n.profile.prekeys.rotate(n.profile.vault, now); err != nil {
		return nil, err
	}
	sequence, signed, err := n.number(now, link)
	if err != nil {
		return nil, err
	}
	id := n.profile.identity
	return n.profile.prekeys.keyRecord(id, n.inbox(), sequence, signed).Copies(n.profile.Network().ID(), id.sign, link)
}

// number returns the sequence of a record that is signed now, and when it is to look signed.
func (n *Node) number(now time.Time, link ed25519.PrivateKey) (uint64, time.Time, error) {
	if link != nil {
		return n.profile.blurred(sequenceUnlisted, now)
	}
	sequence, err := n.profile.nextSequence(sequencePerson, now)
	return sequence, now, err
}

// withdrawn signs what takes the place of the key record that was taken back at since. It
// expires with the last of the records that it is to keep away: it names the identity.
func (n *Node) withdrawn(now, since time.Time, link ed25519.PrivateKey) ([]record.Copy, error) {
	name := sequencePerson
	if link != nil {
		name = sequenceUnlisted
	}
	sequence, _, err := n.profile.blurred(name, now)
	if err != nil {
		return nil, err
	}
	if link != nil {
		since = since.Truncate(blurExpiry) // as the last record under it was
	}
	id := n.profile.identity
	r, err := record.Withdrawal([32]byte(id.public()), sequence, withdrawnUntil(since))
	if err != nil {
		return nil, err
	}
	return r.Copies(n.profile.Network().ID(), id.sign, link)
}

// olderKeyRecord reports whether the table has a newer listed record of this person, or a newer
// withdrawal, than it has signed: its profile is an older copy.
func (n *Node) olderKeyRecord(found []byte) bool {
	r, err := record.ParseKeyRecord(n.profile.Network().ID(), found)
	return err == nil && r.Hashid() == n.profile.Hashid() && n.outpaced(sequencePerson, r.Sequence)
}

// olderUnlisted is the same for the unlisted record.
func (n *Node) olderUnlisted(found []byte) bool {
	r, err := n.locator().Parse(n.profile.Network().ID(), found)
	return err == nil && n.outpaced(sequenceUnlisted, r.Sequence)
}

// locator is what others find this person by.
func (n *Node) locator() record.Locator {
	return record.Locator{Hashid: n.profile.Hashid(), Link: n.profile.listing.now().linkKey()}
}

// SetListed has whoever knows the hashid find this person from now on, or only contacts and
// who has an invite made later. Contacts are told what they need to go on, as a message.
func (n *Node) SetListed(listed bool) error {
	if err := n.profile.SetListed(listed, n.now()); err != nil {
		return err
	}
	n.relist()
	return nil
}

// errNoLink says that there is nothing to give up.
var errNoLink = errors.New("no link key is in use, as you were always listed: /set listed off makes one")

// NewLink gives up the link key: invites made before do not find this person any more.
// Contacts are told the new one.
func (n *Node) NewLink() error {
	_, err := n.profile.listing.change(n.profile.vault, func(l listing) (listing, error) {
		if l.link == nil {
			return l, errNoLink
		}
		return l.settled(n.now()).relink(n.now())
	})
	if err != nil {
		return err
	}
	n.relist()
	return nil
}

// relist publishes as the listing now says, and has contacts told of it. The node's descriptor stays as it is.
func (n *Node) relist() {
	n.personal.Renew()
	n.messenger.tellLinks()
}
