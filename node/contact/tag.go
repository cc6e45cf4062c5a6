package contact

import (
	"golang.org/x/text/unicode/norm"

	"chatnt/discovery/hashid"
)

// tagSize is how many letters of a hashid a tag has, at least. The first letter and a
// half say the version, so eight carry 32 bits.
const tagSize = 8

// Tag returns what to show beside the name of a contact, or the nick of somebody who
// asks, because the name alone may mislead: the beginning of the hashid, as many
// letters as tell it from everybody that it can be taken for, eight at least. It
// returns "" where a name is enough, and for strangers.
//
// A name misleads when it looks like another contact's, or like the nick of somebody
// who asks, or mixes scripts. A nick that asks is compared with what contacts call
// themselves, too.
//
// A tag tells two apart that are both here. It proves nothing about either: whoever
// makes four billion keys has one with the same eight letters, and then longer tags
// are shown. Verifying does.
func (b *Book) Tag(id hashid.ID) string {
	var own looks
	shown := ""
	c, r := b.contacts[id], b.requests[id]
	switch {
	case c != nil:
		own, shown = c.name, c.Name
	case r != nil:
		own, shown = r.looks, r.Nick
	default:
		return ""
	}
	size := 0
	if shown != "" && shown != Nameless(id) && checkScripts(norm.NFKC.String(shown)) != nil {
		size = tagSize
	}
	letters := id.String()
	told := func(other hashid.ID) { size = max(size, tagSize, commonPrefix(letters, other.String())+1) }
	b.resembling(own, c == nil, func(other hashid.ID) {
		if other != id {
			told(other)
		}
	})
	return letters[:min(size, len(letters))]
}

func commonPrefix(x, y string) int {
	n := 0
	for n < min(len(x), len(y)) && x[n] == y[n] {
		n++
	}
	return n
}
