package discovery

import (
	"time"

	"chatnt/discovery/hashid"
)

// While a machine is without a network, the dials of every relay become rare:
// they are minutes apart when it is back. The table goes on to look for contact
// often, so it is from a connection that the directory learns of it; and once a
// relay is reached where none was, all others are dialled again too, for they
// failed for want of a network and not of their own.

// Met says that this node and another are connected now. If that is a relay whose
// dials failed, it is dialled again soon, and so are all others if it is the first.
func (d *Directory) Met(id hashid.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answered()
	switch e := d.entries[id]; {
	case e == nil || !e.missed:
		return
	case d.alone():
		d.regained()
	default:
		e.retry()
	}
	nudge(d.probe)
}

// alone reports whether no relay can be reached. Called with mu held.
func (d *Directory) alone() bool {
	for _, e := range d.entries { // in random order: soon over if there are many
		if e.up && e.relays() {
			return false
		}
	}
	return true
}

// regained has every relay whose dials failed dialled again. Called with mu held.
func (d *Directory) regained() {
	for _, e := range d.entries {
		if e.missed {
			e.retry()
		}
	}
}

// retry has a relay dialled as if it had failed once, which is no sooner than a
// moment after its last dial: somebody who comes and goes does not keep this node
// dialling. Its news may have been missed. Directory.mu is held.
func (e *entry) retry() {
	e.due = e.due.Add(probeFirst - backoff(e.failures))
	e.failures, e.missed = 1, false
	e.checked = time.Time{}
}
