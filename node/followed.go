package node

import (
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/contact"
)

// followed returns the contacts whose key records are kept fresh.
func (m *messenger) followed() (list []sought) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, who := range m.book.Contacts() {
		c := m.conversations[who.Hashid]
		switch {
		case who.State == contact.Accepted:
		case who.State == contact.Requested && c != nil && len(requests(c)) > 0:
		default:
			continue
		}
		list = append(list, whereabouts(who, m.now()))
	}
	return list
}

// whereabouts is where a contact is looked up at now.
func whereabouts(who contact.Contact, now time.Time) sought {
	return sought{id: who.Hashid, links: who.Links(now)}
}

// brought takes in that somebody was looked up. If there is another key record, what waits goes
// out at once: what went out by the one before may never arrive.
func (m *messenger) brought(peer hashid.ID, news bool) {
	m.missed(peer)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settleGiven(peer)
	c := m.conversations[peer]
	if !news || c == nil || !c.running {
		return
	}
	for _, item := range c.outbox {
		item.attempts, item.taken, item.due = 0, 0, time.Time{}
	}
	nudge(c.kick)
}
