package vault

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"io"
	"slices"
)

// bbolt trusts its file: it maps the pages and follows their numbers, so that a
// flipped bit may send it past the end of the map or round in a circle, which no
// recover catches. checkPages therefore walks the file with plain reads first.
//
// The layout, of bbolt's format 2, in the machine's byte order:
//
//	page     id (8) | flags (2) | count (2) | overflow (4) | elements and data
//	meta     magic (4) | format (4) | page size (4) | flags (4) | root (8) | sequence (8) |
//	         freelist (8) | high-water mark (8) | transaction (8) | FNV-1a of all before (8)
//	branch   position, relative to the element (4) | key length (4) | page (8)
//	leaf     flags (4) | position (4) | key length (4) | value length (4)
//	bucket   root page, 0 if the page follows here (8) | sequence (8)
//	freelist page ids, ascending; from 65,535 of them on, the first is their number
const (
	pageHeader  = 16
	elementSize = 16
	bucketSize  = 16

	branchFlag   = 0x01
	leafFlag     = 0x02
	metaFlag     = 0x04
	freelistFlag = 0x10

	bucketElement = 0x01

	metaSize   = 64
	metaMagic  = 0xED0CDAED
	metaFormat = 2

	manyFree = 0xFFFF
	maxDepth = 32 // of the tree; a page holds dozens of names
)

type walker struct {
	file io.ReaderAt
	high uint64   // all pages are below it
	seen []uint64 // a bit for each page: it belongs to somebody
}

func newWalker(file io.ReaderAt, high uint64) *walker {
	return &walker{file: file, high: high, seen: make([]uint64, high/64+1)}
}

type meta struct {
	pageSize                          uint32
	root, freelist, high, transaction uint64
}

// layout is how many pages there are below the high-water mark, and how many of
// them are free.
type layout struct{ high, free uint64 }

// checkPages proves that a bbolt file of size bytes holds one bucket with a sound
// tree of pages, in ascending order of keys, and that no page is used twice.
func checkPages(file io.ReaderAt, size int64) (layout, error) {
	m, _, err := metas(file)
	if err != nil {
		return layout{}, err
	}
	if m.high > uint64(size)/pageSize {
		return layout{}, damaged("it is cut short")
	}
	w := newWalker(file, m.high)
	if err := w.root(m.root); err != nil {
		return layout{}, err
	}
	free, err := w.freelist(m.freelist)
	return layout{high: m.high, free: uint64(len(free))}, err
}

// root checks the page that holds our bucket's entry, and the bucket.
func (w *walker) root(id uint64) error {
	root, err := w.page(id, leafFlag)
	if err != nil {
		return err
	}
	top, err := elements(root)
	if err != nil {
		return err
	}
	if len(top) != 1 || top[0].flags != bucketElement || !bytes.Equal(top[0].key, rootBucket()) ||
		len(top[0].value) < bucketSize {
		return damaged("it is not a profile")
	}
	bucket := top[0].value
	if child := u64(bucket); child != 0 {
		return w.tree(child, nil, nil, 0)
	}
	return leaf(bucket[bucketSize:], nil, nil)
}

// metas returns the meta page that bbolt will use, and the other, a zero one if
// that is not sound. bbolt takes the page size of the first sound one, so each
// must have ours.
func metas(file io.ReaderAt) (newest, other meta, err error) {
	for id := range int64(2) {
		b := make([]byte, pageHeader+metaSize)
		if _, err := file.ReadAt(b, id*pageSize); err != nil {
			return meta{}, meta{}, damaged("it cannot be read")
		}
		m, ok := parseMeta(b[pageHeader:])
		switch {
		case !ok:
		case m.pageSize != pageSize:
			return meta{}, meta{}, damaged("its pages have another size")
		case newest.pageSize == 0 || m.transaction > newest.transaction:
			newest, other = m, newest
		default:
			other = m
		}
	}
	if newest.pageSize == 0 {
		return meta{}, meta{}, damaged("it is not a profile")
	}
	return newest, other, nil
}

func parseMeta(b []byte) (meta, bool) {
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if u32(b) != metaMagic || u32(b[4:]) != metaFormat || u64(b[56:]) != sum.Sum64() {
		return meta{}, false
	}
	return meta{pageSize: u32(b[8:]), root: u64(b[16:]), freelist: u64(b[32:]), high: u64(b[40:]), transaction: u64(b[48:])}, true
}

// page reads a page of the given kinds with its overflow and marks it as taken.
func (w *walker) page(id uint64, kinds uint16) ([]byte, error) {
	if id < 2 || id >= w.high {
		return nil, damaged("a page is out of range")
	}
	b := make([]byte, pageSize)
	if _, err := w.file.ReadAt(b, int64(id)*pageSize); err != nil {
		return nil, damaged("it cannot be read")
	}
	flags, overflow := u16(b[8:]), uint64(u32(b[12:]))
	if u64(b) != id || flags&kinds == 0 || flags&^kinds != 0 || overflow >= w.high-id {
		return nil, damaged("a page is not what it should be")
	}
	for i := id; i <= id+overflow; i++ {
		if err := w.take(i); err != nil {
			return nil, err
		}
	}
	if overflow > 0 {
		b = slices.Concat(b, make([]byte, overflow*pageSize))
		if _, err := w.file.ReadAt(b[pageSize:], int64(id+1)*pageSize); err != nil {
			return nil, damaged("it cannot be read")
		}
	}
	return b, nil
}

func (w *walker) take(id uint64) error {
	word, bit := &w.seen[id/64], uint64(1)<<(id%64)
	if *word&bit != 0 {
		return damaged("a page is used twice")
	}
	*word |= bit
	return nil
}

// tree checks the pages below and including id; nil bounds are open.
func (w *walker) tree(id uint64, least, below []byte, depth int) error {
	if depth == maxDepth {
		return damaged("its tree is too deep")
	}
	b, err := w.page(id, branchFlag|leafFlag)
	if err != nil {
		return err
	}
	if u16(b[8:]) == leafFlag {
		return leaf(b, least, below)
	}
	if u16(b[8:]) != branchFlag {
		return damaged("a page is of two kinds")
	}
	es, err := elements(b)
	if err != nil {
		return err
	}
	if len(es) == 0 {
		return damaged("a branch has no leaves")
	}
	if err := ordered(es, least, below); err != nil {
		return err
	}
	for i, e := range es {
		end := below
		if i+1 < len(es) {
			end = es[i+1].key
		}
		if err := w.tree(e.child, e.key, end, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks the leaf page b, which may lie inside a bucket's value: the header
// and names of our length, no buckets.
func leaf(b, least, below []byte) error {
	if len(b) < pageHeader || u16(b[8:]) != leafFlag {
		return damaged("a page is not what it should be")
	}
	es, err := elements(b)
	if err != nil {
		return err
	}
	for _, e := range es {
		if e.flags != 0 || (len(e.key) != nameSize && string(e.key) != headerKey) {
			return damaged("it holds what no profile holds")
		}
	}
	return ordered(es, least, below)
}

// freelist checks that the free pages are in order and nobody's, and returns them.
func (w *walker) freelist(id uint64) ([]uint64, error) {
	b, err := w.page(id, freelistFlag)
	if err != nil {
		return nil, err
	}
	ids := b[pageHeader:]
	n := uint64(u16(b[10:]))
	if n == manyFree {
		n, ids = u64(ids), ids[8:]
		if n < manyFree {
			return nil, damaged("its list of free pages is miscounted")
		}
	}
	if n > uint64(len(ids))/8 {
		return nil, damaged("its list of free pages is cut short")
	}
	free := make([]uint64, n)
	last := uint64(1)
	for i := range free {
		free[i] = u64(ids[8*i:])
		if free[i] <= last || free[i] >= w.high {
			return nil, damaged("a free page is out of range")
		}
		if err := w.take(free[i]); err != nil {
			return nil, err
		}
		last = free[i]
	}
	return free, nil
}

// An element of a branch page has a child, one of a leaf page flags and a value.
type element struct {
	key, value []byte
	child      uint64
	flags      uint32
}

func elements(b []byte) ([]element, error) {
	branch := u16(b[8:]) == branchFlag
	n := int(u16(b[10:]))
	if pageHeader+n*elementSize > len(b) {
		return nil, damaged("a page is cut short")
	}
	es := make([]element, n)
	for i := range es {
		e := b[pageHeader+i*elementSize:] // positions count from here
		var at, keyLen, valueLen uint64
		if branch {
			at, keyLen = uint64(u32(e)), uint64(u32(e[4:]))
			es[i].child = u64(e[8:])
		} else {
			es[i].flags = u32(e)
			at, keyLen, valueLen = uint64(u32(e[4:])), uint64(u32(e[8:])), uint64(u32(e[12:]))
		}
		if at < uint64((n-i)*elementSize) || at+keyLen+valueLen > uint64(len(e)) || keyLen == 0 {
			return nil, damaged("a page is cut short")
		}
		es[i].key = e[at : at+keyLen]
		es[i].value = e[at+keyLen : at+keyLen+valueLen]
	}
	return es, nil
}

// ordered checks that keys ascend from least, if not nil, and stay below below.
func ordered(es []element, least, below []byte) error {
	for i, e := range es {
		switch {
		case i == 0 && bytes.Compare(e.key, least) < 0,
			i > 0 && bytes.Compare(e.key, es[i-1].key) <= 0,
			below != nil && bytes.Compare(e.key, below) >= 0:
			return damaged("its keys are out of order")
		}
	}
	return nil
}

func u16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }
