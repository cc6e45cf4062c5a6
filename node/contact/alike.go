package contact

import (
	"iter"
	"slices"

	"chatnt/discovery/hashid"
)

// alike finds whom a name can be taken for, without a look at everybody.
type alike struct {
	names  wearers // of contacts
	nicks  wearers // of contacts: what they call themselves
	askers wearers // of those who ask
}

func newAlike() alike {
	return alike{names: make(wearers), nicks: make(wearers), askers: make(wearers)}
}

// wearers are the people with a name that looks so, by its looks.
type wearers map[string][]hashid.ID

func (w wearers) add(l looks, id hashid.ID) {
	for _, look := range l {
		w[look] = append(w[look], id)
	}
}

func (w wearers) remove(l looks, id hashid.ID) {
	for _, look := range l {
		left := slices.DeleteFunc(w[look], func(other hashid.ID) bool { return other == id })
		if w[look] = left; len(left) == 0 {
			delete(w, look)
		}
	}
}

// like yields the people with a name that looks like one, some of them more than once.
func (w wearers) like(l looks) iter.Seq[hashid.ID] {
	return func(yield func(hashid.ID) bool) {
		for _, look := range l {
			for _, id := range w[look] {
				if !yield(id) {
					return
				}
			}
		}
	}
}

// resembling calls each for everybody whose name looks like one, and if nicks are asked
// for as well, for contacts who call themselves so.
func (b *Book) resembling(l looks, nicks bool, each func(hashid.ID)) {
	for id := range b.alike.names.like(l) {
		each(id)
	}
	for id := range b.alike.askers.like(l) {
		each(id)
	}
	if nicks {
		for id := range b.alike.nicks.like(l) {
			each(id)
		}
	}
}
