package discovery

import (
	"slices"
	"time"

	"chatnt/discovery/hashid"
)

// Whether this machine has a network at all shows when another node answers. A dial of
// one that seems to be connected shows nothing: connections outlive the network by a
// minute or so.

const (
	proveFirst = 2 * time.Second  // from one attempt to prove it to the next ...
	proveLast  = 30 * time.Second // ... doubling up to this, as long as none succeeds
	proveAgain = 2                // relays that failed at the last attempt are asked again

	cutAfter = 3 // relays in use that fail one after the other: there may be no network
)

// proving is how a directory finds out. Directory.mu guards its fields.
type proving struct {
	proved time.Time       // when another node was last reached for certain; zero: never
	next   time.Time       // not before this is it tried
	gap    time.Duration   // until the next try after that
	failed []hashid.NodeID // relays that were asked in vain since, the last ones
	cut    int             // relays in use that could not be dialled since one could
}

// Proved returns when another node was last reached for certain; zero: never.
func (d *Directory) Proved() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proving.proved
}

// Prove has a relay in use, drawn at random, dialled now and asked for its descriptor,
// and those again that were asked in vain before: so it shows whether this machine has a
// network. So are those named whose dials failed, which may have been for want of one. It
// may be called at any time, and does so ever less often while there is none.
func (d *Directory) Prove(missed ...hashid.NodeID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, now := &d.proving, d.now()
	if now.Before(p.next) && p.next.Sub(now) <= proveLast { // or by a clock that was ahead
		return
	}
	p.gap = min(max(proveFirst, 2*p.gap), proveLast)
	p.next = now.Add(p.gap)
	for _, id := range p.failed {
		if e := d.entries[id]; e != nil && !e.probing {
			e.early = true
		}
	}
	for _, id := range missed {
		if e := d.entries[id]; e != nil && e.missed && !e.probing {
			e.early = true
		}
	}
	for _, e := range d.entries { // in random order
		if e.up && e.relays() && !e.probing && !e.early {
			e.early = true
			break
		}
	}
	nudge(d.probe)
}

// answered notes that another node was reached for certain. Called with mu held.
func (d *Directory) answered() {
	p := &d.proving
	p.proved, p.gap, p.failed = d.now(), 0, nil
	d.restored()
}

// inVain notes that a relay in use, or one that was asked to prove that there is a
// network, could not be reached. Called with mu held.
func (d *Directory) inVain(id hashid.NodeID, e *entry) {
	p := &d.proving
	if e.up || e.early {
		p.cut++
	}
	if e.early && !slices.Contains(p.failed, id) {
		p.failed = append(p.failed, id)
		p.failed = p.failed[max(0, len(p.failed)-proveAgain):]
	}
}

// restored has every relay whose dials failed dialled again, if it may be that there was
// no network and a relay could be reached now. Called with mu held.
func (d *Directory) restored() {
	if d.proving.cut >= cutAfter {
		d.regained()
	}
	d.proving.cut = 0
}

// hasten has some relays dialled first, before they are due, among as many others:
// that one is dialled early does not tell whether it is of those. Called with mu held.
func (d *Directory) hasten(some []hashid.NodeID) {
	others := 0
	for _, id := range some {
		if e := d.entries[id]; e != nil && e.relays() {
			e.early = true
			others++
		}
	}
	for _, e := range d.entries { // in random order
		if others > 0 && e.relays() && !e.early {
			e.early = true
			others--
		}
	}
}
