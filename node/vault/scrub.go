package vault

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"
)

// bbolt never writes to a page that is in use: it puts the new version into a
// free one and frees the old one, bytes and all. Whoever takes the file and the
// passphrase later could open from there what was deleted, such as the keys of a
// session. So free pages are overwritten with zeros.
//
// When that is safe is the same question as when bbolt may put something new into
// them. Let T be the newest transaction on the disk, T-1 the one before, whose
// meta page is still there:
//
//	pages free in T-1 and in T   nobody's
//	pages freed by T             those that T replaced: of use should T's meta page
//	                             turn out torn, and to views older than T
//
// From the moment T is durable, bbolt puts the pages of T+1 into both sorts,
// while no view is open; as T+1 is written over the meta page of T-1, only T is
// whole then. Update T+1 therefore wipes both sorts as well, just before its own
// pages go out and when no view is open: its first sync makes the zeros durable,
// and they cost no sync of their own.
//
// What the last update has replaced is left until the next one, or until scrub,
// which makes an empty transaction. After that the two meta pages show the same
// contents, and are both whole.

// errSettled ends a transaction that has nothing to write.
var errSettled = errors.New("nothing has changed")

// cleared is which free pages hold zeros. The zero value knows of none.
type cleared struct {
	known bool
	ids   []uint64 // ascending
}

// pieceSize is how much is read or wiped at once.
const pieceSize = 64 * pageSize

// wipe overwrites the pages that are free in the state the running update began
// with. If a view is open it waits for it, or leaves them for the next update.
func (d *disk) wipe(wait bool) error {
	newest, _, err := metas(d.file)
	if err != nil {
		return err
	}
	free, err := newWalker(d.file, newest.high).freelist(newest.freelist)
	if err != nil {
		return err
	}
	if wait {
		d.views.Lock()
	} else if !d.views.TryLock() {
		used := minus(d.cleared.ids, free)
		d.cleared.ids = minus(d.cleared.ids, used)
		return nil
	}
	defer d.views.Unlock()
	_, err = d.clear(newest, free)
	return err
}

// clear overwrites free pages that are not known to hold zeros, and reports
// whether it wrote. At first nothing is known: then each is read before, and so is
// what lies above the high-water mark, as a transaction that failed may have
// written there.
func (d *disk) clear(newest meta, free []uint64) (wrote bool, err error) {
	look := !d.cleared.known
	dirty := minus(free, d.cleared.ids)
	d.cleared = cleared{} // should this fail
	for first, end := range runs(dirty) {
		some, err := d.zero(first, end, look)
		if err != nil {
			return wrote, err
		}
		wrote = wrote || some
	}
	if look {
		info, err := d.file.Stat()
		if err != nil {
			return wrote, err
		}
		some, err := d.zero(newest.high, uint64(info.Size())/pageSize, true)
		if err != nil {
			return wrote, err
		}
		wrote = wrote || some
	}
	d.cleared = cleared{known: true, ids: free}
	return wrote, nil
}

// zero overwrites the pages from first up to, not including, end with zeros; if
// look is set, only where they hold anything else. It reports whether it wrote.
func (d *disk) zero(first, end uint64, look bool) (wrote bool, err error) {
	if first >= end {
		return false, nil
	}
	blank := make([]byte, min((end-first)*pageSize, pieceSize))
	held := blank
	if look {
		held = make([]byte, len(blank))
	}
	for at, stop := int64(first*pageSize), int64(end*pageSize); at < stop; at += pieceSize {
		n := min(stop-at, pieceSize)
		if look {
			if _, err := d.file.ReadAt(held[:n], at); err != nil {
				return wrote, fmt.Errorf("cannot read the profile: %w", err)
			}
			if bytes.Equal(held[:n], blank[:n]) {
				continue
			}
		}
		if _, err := d.file.WriteAt(blank[:n], at); err != nil {
			return wrote, writeError(err)
		}
		wrote = true
	}
	return wrote, nil
}

// scrub leaves nothing in the file of what was deleted or replaced. It costs a few
// reads if nothing was, and the syncs of a transaction otherwise.
func (d *disk) scrub() error {
	var settled error
	err := d.commit(func(*bolt.Tx) error {
		newest, other, err := metas(d.file)
		if err != nil {
			return err
		}
		if other.root != newest.root {
			return d.wipe(true)
		}
		settled = d.scrubSettled(newest, other)
		return errSettled
	})
	if errors.Is(err, errSettled) {
		return settled
	}
	return err
}

// scrubSettled wipes what needs no transaction: the newest one was empty, so all
// that it freed is a list of free pages, which the state before it is whole with.
// What else is free is nobody's, and holds zeros already unless a process was
// killed, a disk was full or a view was open.
func (d *disk) scrubSettled(newest, other meta) error {
	free, err := newWalker(d.file, newest.high).freelist(newest.freelist)
	if err != nil {
		return err
	}
	if list, err := newWalker(d.file, newest.high).page(other.freelist, freelistFlag); err == nil {
		var kept []uint64
		for i := range uint64(len(list)) / pageSize {
			kept = append(kept, other.freelist+i)
		}
		free = minus(free, kept)
	}
	d.views.Lock()
	defer d.views.Unlock()
	wrote, err := d.clear(newest, free)
	if err != nil || !wrote {
		return err
	}
	if err := d.file.Sync(); err != nil {
		return writeError(err)
	}
	return nil
}

// minus returns what is in a and not in b, both ascending.
func minus(a, b []uint64) []uint64 {
	var rest []uint64
	for _, id := range a {
		for len(b) > 0 && b[0] < id {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != id {
			rest = append(rest, id)
		}
	}
	return rest
}

// runs yields the first and the end of each run of successive ids.
func runs(ids []uint64) iter.Seq2[uint64, uint64] {
	return func(yield func(first, end uint64) bool) {
		for len(ids) > 0 {
			n := 1
			for n < len(ids) && ids[n] == ids[0]+uint64(n) {
				n++
			}
			if !yield(ids[0], ids[0]+uint64(n)) {
				return
			}
			ids = ids[n:]
		}
	}
}
