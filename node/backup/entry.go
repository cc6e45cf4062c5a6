package backup

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kind says what an entry is of. The numbers are part of the format.
type Kind uint8

// The kinds, in the order in which they come.
const (
	Identity Kind = 1 + iota
	Network
	Nick
	Sequence
	Settings
	Relay
	Contact
	Request
	Conversation
	Seen
	Record
	Outgoing
	Unshown
	Said
	Listing

	end Kind = 0
)

const (
	// MaxValue is the longest value, in bytes.
	MaxValue = 1 << 20

	maxKey = 255

	magic   = "chatnt backup"
	version = 1

	headSize = 1 + 1 + 4 // of an entry, before its key
)

var (
	// ErrFormat says that a file is something else than a backup.
	ErrFormat = errors.New("the file is no backup of chatnt")
	// ErrVersion says that a newer program wrote the backup.
	ErrVersion = errors.New("the backup was written by a newer version of this program")
	// ErrDamaged says that a backup is not as it was written.
	ErrDamaged = errors.New("the backup is cut short or damaged")
)

// Entry is one thing that a backup holds.
type Entry struct {
	Kind  Kind
	Key   string
	Value []byte
}

// single reports whether a backup holds one of a kind at most of each identity.
func (k Kind) single() bool { return Network <= k && k <= Settings || k == Listing }

// check holds for every entry that is written or read.
func (e *Entry) check() error {
	switch {
	case e.Kind < Identity || e.Kind > Listing:
		return fmt.Errorf("there is no kind %d of entries", e.Kind)
	case len(e.Key) > maxKey || e.Kind.single() != (e.Key == ""):
		return fmt.Errorf("an entry of kind %d has a key of %d bytes", e.Kind, len(e.Key))
	case len(e.Value) > MaxValue:
		return fmt.Errorf("an entry of %d bytes is over the limit of %d", len(e.Value), MaxValue)
	}
	return nil
}

// follows reports whether e may stand after other. The first entry is an identity, and with
// each the order begins anew; how many there are is for package node to bound.
func (e *Entry) follows(other *Entry) bool {
	if e.Kind == Identity {
		return true
	}
	return other.Kind != end && cmp.Or(cmp.Compare(e.Kind, other.Kind), cmp.Compare(e.Key, other.Key)) > 0
}

// Append encodes e at the end of dst.
func (e *Entry) Append(dst []byte) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	dst = append(dst, byte(e.Kind), byte(len(e.Key)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.Value)))
	dst = append(dst, e.Key...)
	return append(dst, e.Value...), nil
}

// A Writer writes entries.
type Writer struct {
	w    io.Writer
	last Entry // without its value
	buf  []byte
}

// NewWriter begins a backup, unsealed, in w.
func NewWriter(w io.Writer) (*Writer, error) {
	if _, err := w.Write(append([]byte(magic), version)); err != nil {
		return nil, err
	}
	return &Writer{w: w}, nil
}

// Put writes an entry. It must follow on the one before.
func (w *Writer) Put(e Entry) error {
	if !e.follows(&w.last) {
		return fmt.Errorf("an entry of kind %d is out of order", e.Kind)
	}
	var err error
	if w.buf, err = e.Append(w.buf[:0]); err != nil {
		return err
	}
	defer clear(w.buf)
	w.last = Entry{Kind: e.Kind, Key: e.Key}
	_, err = w.w.Write(w.buf)
	return err
}

// Close writes the end. It does not close what lies beneath.
func (w *Writer) Close() error {
	_, err := w.w.Write([]byte{byte(end)})
	return err
}

// A Reader reads what a Writer has written, and refuses everything else.
type Reader struct {
	r    io.Reader
	last Entry // without its value
}

// NewReader reads the beginning of a backup, unsealed, from r. The error is
// ErrFormat, ErrVersion, ErrDamaged or one of r's.
func NewReader(r io.Reader) (*Reader, error) {
	var head [len(magic) + 1]byte
	if err := readFull(r, head[:]); err != nil {
		return nil, err
	}
	switch v := head[len(magic)]; {
	case string(head[:len(magic)]) != magic:
		return nil, ErrFormat
	case v > version:
		return nil, fmt.Errorf("%w (version %d, this program reads %d)", ErrVersion, v, version)
	case v < version:
		return nil, ErrDamaged
	}
	return &Reader{r: r}, nil
}

// Next returns the next entry, io.EOF after the last. Any other error is ErrDamaged or
// one of the reader beneath.
func (r *Reader) Next() (Entry, error) {
	var head [headSize]byte
	if err := readFull(r.r, head[:1]); err != nil {
		return Entry{}, err
	}
	if Kind(head[0]) == end {
		return Entry{}, r.finish()
	}
	if err := readFull(r.r, head[1:]); err != nil {
		return Entry{}, err
	}
	length := binary.BigEndian.Uint32(head[2:])
	if length > MaxValue {
		return Entry{}, ErrDamaged
	}
	body := make([]byte, int(head[1])+int(length))
	if err := readFull(r.r, body); err != nil {
		return Entry{}, err
	}
	e := Entry{Kind: Kind(head[0]), Key: string(body[:head[1]]), Value: body[head[1]:]}
	if e.check() != nil || !e.follows(&r.last) {
		return Entry{}, ErrDamaged
	}
	r.last = Entry{Kind: e.Kind, Key: e.Key}
	return e, nil
}

// finish wants nothing behind the end.
func (r *Reader) finish() error {
	switch n, err := io.ReadFull(r.r, make([]byte, 1)); {
	case n > 0:
		return ErrDamaged
	default:
		return err // io.EOF, or why that is not certain
	}
}

// readFull is io.ReadFull for what must be there.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrDamaged
	}
	return err
}
