package node

import (
	"slices"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/contact"
)

// followed returns the contacts whose key records are kept fresh: first those for whom
// something waits, then the others, those to whom something was said last first.
func (m *messenger) followed() []sought {
	type one struct {
		at      sought
		waiting bool
		used    time.Time
	}
	var all []one
	m.mu.Lock()
	for _, who := range m.book.Contacts() {
		c := m.conversations[who.Hashid]
		switch {
		case who.State == contact.Accepted:
		case who.State == contact.Requested && c != nil && len(requests(c)) > 0:
		default:
			continue
		}
		next := one{at: whereabouts(who, m.now())}
		if c != nil {
			next.waiting = len(c.outbox) > 0
			for _, t := range c.talks {
				next.used = later(next.used, t.used)
			}
		}
		all = append(all, next)
	}
	m.mu.Unlock()
	slices.SortStableFunc(all, func(x, y one) int {
		if x.waiting != y.waiting {
			if x.waiting {
				return -1
			}
			return 1
		}
		return y.used.Compare(x.used)
	})
	list := make([]sought, 0, len(all))
	for _, one := range all {
		list = append(list, one.at)
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
