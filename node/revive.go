package node

import (
	"fmt"
	"math"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/backup"
	"chatnt/node/contact"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// revive gives the identities of a roster what no backup holds, prekeys and a node's key each,
// and stores it.
//
// The conversations of the one in use are begun anew. Those of the others are once it is
// their turn: the moment is in what contacts get, and would tell two who compare
// theirs that it was one machine for both identities.
func revive(tx *vault.Tx, r roster, now time.Time) error {
	for i := range r.Identities {
		e := &r.Identities[i]
		if err := makeKeys(e.in(tx)); err != nil {
			return err
		}
		if e.Restored = e.Name != r.Use; e.Restored {
			continue
		}
		if err := renewAll(e.in(tx), now); err != nil {
			return err
		}
	}
	return store(tx, bucketIdentities, keyRoster, r)
}

// readable reads all of a roster's identities as a node does when it starts: none is to find fault
// with it later.
func (p *Profile) readable(tx *vault.Tx, r roster) error {
	for _, e := range r.Identities {
		of, err := p.as(tx, e)
		if err == nil {
			err = (&messenger{profile: of, conversations: make(map[hashid.ID]*conversation)}).load(e.in(tx))
		}
		if err != nil {
			return fmt.Errorf("%w: %w", backup.ErrDamaged, err)
		}
	}
	return nil
}

// renewAll has each conversation go on in a session that is to begin with its next message. Each
// contact is to be told where this person is found, which is one: it may have been told otherwise since the backup
// was made.
//
// The other side goes on there only if that outranks the session that it has. How many have begun
// since the backup was made cannot be known here, so they are counted on from the
// minutes since 1970, as records are from the seconds: that is more than any of the two had.
func renewAll(tx *vault.Tx, now time.Time) error {
	l, err := loadListing(tx)
	if err != nil {
		return err
	}
	link, accepted, waits := l.linkKey(), make(map[hashid.ID]bool), make(map[hashid.ID]bool)
	err = forEach(tx, bucketContacts, func(_ string, who contact.Contact) error {
		if who.State == contact.Accepted {
			accepted[who.Hashid] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = forEach(tx, bucketOutbox, func(_ string, item outgoing) error {
		waits[item.To] = waits[item.To] || item.Kind == message.Link && item.Link == link
		return nil
	})
	if err != nil {
		return err
	}
	minutes := uint32(min(max(now.Unix()/60, 0), math.MaxUint32/2))
	renew := func(_ string, l ledger) error {
		l.Generation = max(l.Generation, minutes)
		if accepted[l.Peer] && !waits[l.Peer] {
			item := &outgoing{To: l.Peer, Place: l.Next, Kind: message.Link, ID: message.NewID(), At: now, Parts: 1, Link: link}
			if err := store(tx, bucketOutbox, item.key(), item); err != nil {
				return err
			}
			l.Next++
		}
		delete(accepted, l.Peer)
		return store(tx, bucketConversations, l.Peer.String(), l)
	}
	if err := forEach(tx, bucketConversations, renew); err != nil {
		return err
	}
	for peer := range accepted { // who never said anything here
		if err := renew("", ledger{Peer: peer, Next: 1}); err != nil {
			return err
		}
	}
	return nil
}
