package vault

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"io"
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
	high uint64              // all pages are below it
	seen map[uint64]struct{} // pages that belong to somebody
}

type meta struct {
	pageSize                          uint32
	root, freelist, high, transaction uint64
}

// checkPages proves that a bbolt file of size bytes holds one bucket with a sound
// tree of pages, in ascending order of keys, and that no page is used twice.
func checkPages(file io.ReaderAt, size int64) error {
	m, err := newestMeta(file)
	if err != nil {
		return err
	}
	if m.high > uint64(size)/pageSize {
		return damaged("it is cut short")
	}
	w := &walker{file: file, high: m.high, seen: make(map[uint64]struct{})}

	root, err := w.page(m.root, leafFlag)
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
		err = w.tree(child, nil, nil, 0)
	} else {
		err = leaf(bucket[bucketSize:], nil, nil)
	}
	if err != nil {
		return err
	}
	return w.freelist(m.freelist)
}

// newestMeta picks the meta page that bbolt will use: it takes the page size of the
// first sound one, so each must have ours.
func newestMeta(file io.ReaderAt) (meta, error) {
	var best meta
	found := false
	for id := range int64(2) {
		b := make([]byte, pageHeader+metaSize)
		if _, err := file.ReadAt(b, id*pageSize); err != nil {
			return meta{}, damaged("it cannot be read")
		}
		m, ok := parseMeta(b[pageHeader:])
		if ok && m.pageSize != pageSize {
			return meta{}, damaged("its pages have another size")
		}
		if ok && (!found || m.transaction > best.transaction) {
			best, found = m, true
		}
	}
	if !found {
		return meta{}, damaged("it is not a profile")
	}
	return best, nil
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
	head := make([]byte, pageHeader)
	if _, err := w.file.ReadAt(head, int64(id)*pageSize); err != nil {
		return nil, damaged("it cannot be read")
	}
	flags, overflow := u16(head[8:]), uint64(u32(head[12:]))
	if u64(head) != id || flags&kinds == 0 || flags&^kinds != 0 || overflow >= w.high-id {
		return nil, damaged("a page is not what it should be")
	}
	for i := id; i <= id+overflow; i++ {
		if err := w.take(i); err != nil {
			return nil, err
		}
	}
	b := make([]byte, (1+overflow)*pageSize)
	if _, err := w.file.ReadAt(b, int64(id)*pageSize); err != nil {
		return nil, damaged("it cannot be read")
	}
	return b, nil
}

func (w *walker) take(id uint64) error {
	if _, taken := w.seen[id]; taken {
		return damaged("a page is used twice")
	}
	w.seen[id] = struct{}{}
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

// freelist checks that the free pages are in order and nobody's.
func (w *walker) freelist(id uint64) error {
	b, err := w.page(id, freelistFlag)
	if err != nil {
		return err
	}
	ids := b[pageHeader:]
	n := uint64(u16(b[10:]))
	if n == manyFree {
		n, ids = u64(ids), ids[8:]
		if n < manyFree {
			return damaged("its list of free pages is miscounted")
		}
	}
	if n > uint64(len(ids))/8 {
		return damaged("its list of free pages is cut short")
	}
	last := uint64(1)
	for i := range n {
		free := u64(ids[8*i:])
		if free <= last || free >= w.high {
			return damaged("a free page is out of range")
		}
		if err := w.take(free); err != nil {
			return err
		}
		last = free
	}
	return nil
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
