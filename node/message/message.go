// Package message is what two people's nodes say to each other inside an
// end-to-end frame, before sealing and after opening. All integers are big
// endian.
//
//	offset  size  field
//	0       1     kind: 1 text, 2 request, 3 accept, 4 reject, 5 receipt, 6 link
//	1       4     generation of the session it is sent in, from 1: how many sessions the
//	              two had, as far as who began this one knew; or more, if that was a
//	              restored profile
//	5       4     before: the first bytes of the id of the message with the number before,
//	              0 if there was none or it is gone; 0 in a receipt
//	9       8     sequence: number in the session, from 1; in a receipt, the last one
//	              received in the session with all before it
//	17      8     base: the lowest number the sender still repeats; 0 in a receipt
//	25      16    id: random, the same for all parts of a text; in a receipt, that of the
//	              message with its sequence, 0 if the sender of that has given it up
//	41      8     at: unix milliseconds by the sender's clock, at most 2^47; 0 in a receipt
//	49      4     ttl: of a text, the seconds after which both sides forget it; 0 for ever
//	53      1     part, from 0
//	54      1     parts, 1 to 18; a kind other than text has one
//	55      1     length of the nick, 0 to 64; 0 but in a request or an accept
//	56      n     nick
//	56+n    2     length of the text
//	58+n    m     text: part of a text, or what a request says; else 0
//	58+n+m  32    of a request or a link only: the link key that the sender's key
//	              record is found by from now on (record.LinkKey); zeros: by the hashid
//	              zeros up to Size
//
// Every message is padded to one size, so a frame's length tells nothing of
// what is inside.
package message

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery/record"
)

const (
	// Size is the length of every encoded message, in bytes.
	Size = 1831

	headerSize = 58

	// MaxNick is the longest nick, in bytes.
	MaxNick = 64

	// MaxParts is the most parts a text is split into.
	MaxParts = 18

	// PartSize is the longest part of a text, in bytes.
	PartSize = Size - headerSize

	// MaxText is the longest text, in bytes.
	MaxText = MaxParts * PartSize

	// MaxRequestText is the longest text of a request, in bytes.
	MaxRequestText = 1024

	// MaxTTL is the longest time after which a text is forgotten.
	MaxTTL = 365 * 24 * time.Hour

	// lastTime is the latest time a message may carry, in unix milliseconds: in
	// the year 6429, beyond any clock and within what JSON and RFC 3339 can write.
	lastTime = 1 << 47
)

// Kind says what a message is. The numbers are part of the wire format.
type Kind uint8

// The kinds.
const (
	Text Kind = 1 + iota
	Request
	Accept
	Reject
	Receipt
	Link // says where the sender's key record is to be found
)

// carriesLink reports whether messages of a kind have room for a link key.
func (k Kind) carriesLink() bool { return k == Request || k == Link }

// ID names a message to both sides.
type ID [16]byte

// NewID returns a random id.
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:])
	return id
}

// Short is the first bytes of the id, which name a message to who knows it.
func (id ID) Short() uint32 { return binary.BigEndian.Uint32(id[:]) }

// String returns 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Message is one message, or one part of a long text.
type Message struct {
	Kind       Kind
	Generation uint32
	Before     uint32
	Sequence   uint64
	Base       uint64
	ID         ID
	At         time.Time     // to the millisecond
	TTL        time.Duration // whole seconds
	Part       uint8
	Parts      uint8
	Nick       string
	Text       []byte
	Link       record.LinkKey // of a request or a link
}

// ErrMalformed says that bytes are not a message that Append would have written.
var ErrMalformed = errors.New("malformed message")

// Append encodes m, padded to Size bytes, at the end of dst.
func (m *Message) Append(dst []byte) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, Size))
	b.AddUint8(uint8(m.Kind))
	b.AddUint32(m.Generation)
	b.AddUint32(m.Before)
	b.AddUint64(m.Sequence)
	b.AddUint64(m.Base)
	b.AddBytes(m.ID[:])
	b.AddUint64(millis(m.At))
	b.AddUint32(uint32(m.TTL / time.Second)) // check bounds it
	b.AddUint8(m.Part)
	b.AddUint8(m.Parts)
	b.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(m.Nick)) })
	b.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes(m.Text) })
	if m.Kind.carriesLink() {
		b.AddBytes(m.Link[:])
	}
	encoded, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("a message of %d bytes does not fit a frame", headerSize+len(m.Nick)+len(m.Text))
	}
	return append(append(dst, encoded...), make([]byte, Size-len(encoded))...), nil
}

// Parse decodes what Append wrote, and refuses everything else.
func Parse(data []byte) (*Message, error) {
	if len(data) != Size {
		return nil, ErrMalformed
	}
	var (
		s          = cryptobyte.String(data)
		m          Message
		kind       uint8
		at         uint64
		ttl        uint32
		nick, text cryptobyte.String
	)
	if !s.ReadUint8(&kind) || !s.ReadUint32(&m.Generation) || !s.ReadUint32(&m.Before) || !s.ReadUint64(&m.Sequence) || !s.ReadUint64(&m.Base) ||
		!s.CopyBytes(m.ID[:]) || !s.ReadUint64(&at) || !s.ReadUint32(&ttl) || !s.ReadUint8(&m.Part) || !s.ReadUint8(&m.Parts) ||
		!s.ReadUint8LengthPrefixed(&nick) || !s.ReadUint16LengthPrefixed(&text) {
		return nil, ErrMalformed
	}
	if m.Kind = Kind(kind); m.Kind.carriesLink() && !s.CopyBytes(m.Link[:]) {
		return nil, ErrMalformed
	}
	for _, b := range s {
		if b != 0 {
			return nil, ErrMalformed
		}
	}
	if at > lastTime { // safe to convert
		return nil, ErrMalformed
	}
	m.Nick, m.TTL = string(nick), time.Duration(ttl)*time.Second
	if at != 0 {
		m.At = time.UnixMilli(int64(at))
	}
	if len(text) > 0 {
		m.Text = append([]byte(nil), text...)
	}
	if m.check() != nil {
		return nil, ErrMalformed
	}
	return &m, nil
}

func millis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMilli())
}

// check holds for every message that is written or read.
func (m *Message) check() error {
	switch {
	case m.Kind < Text || m.Kind > Link:
		return ErrMalformed
	case m.Generation == 0:
		return errors.New("sessions are counted from 1")
	case m.Before != 0 && (m.Kind == Receipt || m.Sequence == 1):
		return errors.New("a receipt has no message before it, nor has the first")
	case m.TTL < 0 || m.TTL > MaxTTL || m.TTL%time.Second != 0 || (m.TTL != 0 && m.Kind != Text):
		return errors.New("a text may be forgotten after one second to one year")
	case m.Parts < 1 || m.Parts > MaxParts || m.Part >= m.Parts || (m.Parts > 1 && m.Kind != Text):
		return errors.New("a text has 1 to 18 parts, any other message one")
	case len(m.Nick) > MaxNick || !utf8.ValidString(m.Nick):
		return fmt.Errorf("a nick is UTF-8 of at most %d bytes", MaxNick)
	case m.Nick != "" && m.Kind != Request && m.Kind != Accept:
		return errors.New("only a request or its answer carries a nick")
	case !m.Link.IsZero() && !m.Kind.carriesLink():
		return errors.New("a link or a request carries a link key, and no other message does")
	case !m.At.IsZero() && m.At.UnixMilli() <= 0:
		return errors.New("the clock of this machine is before 1970")
	case !m.At.IsZero() && m.At.UnixMilli() > lastTime:
		return errors.New("the clock of this machine is thousands of years ahead")
	}
	if m.Kind == Receipt {
		if m.Base != 0 || !m.At.IsZero() || len(m.Text) != 0 || m.Sequence == 0 && m.ID != (ID{}) {
			return errors.New("a receipt carries a number and an id only")
		}
		return nil
	}
	switch {
	case m.Sequence == 0 || m.Base == 0 || m.Base > m.Sequence:
		return errors.New("a message is numbered from 1, and its base is not above it")
	case m.ID == (ID{}):
		return errors.New("a message needs an id")
	case m.Kind == Request && len(m.Text) > MaxRequestText:
		return fmt.Errorf("a request says at most %d bytes", MaxRequestText)
	case m.Kind != Text && m.Kind != Request && len(m.Text) != 0:
		return errors.New("only a text or a request says something")
	case !m.Link.IsZero():
		return m.Link.Check()
	}
	return nil
}

// Split cuts a text into parts that each fit a message.
func Split(text string) ([][]byte, error) {
	switch {
	case text == "":
		return nil, errors.New("there is no text to send")
	case !utf8.ValidString(text):
		return nil, errors.New("the text is not valid UTF-8")
	case len(text) > MaxText:
		return nil, fmt.Errorf("the text has %d bytes, a message holds at most %d", len(text), MaxText)
	}
	return Cut([]byte(text)), nil
}

// Cut cuts a text into parts that each fit a message, without looking at it: more
// than MaxParts do not go.
func Cut(text []byte) [][]byte {
	var parts [][]byte
	for rest := text; len(rest) > 0; {
		n := min(len(rest), PartSize)
		parts = append(parts, rest[:n:n])
		rest = rest[n:]
	}
	return parts
}
