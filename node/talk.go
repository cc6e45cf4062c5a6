package node

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"chatnt/discovery/hashid"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/node/safety"
	"chatnt/node/vault"
)

// A talk is stored, inside the sealed vault only, as
//
//	offset  size  field
//	0       1     version, 1
//	1       8     number of this side's next message in it, from 1
//	9       8     number of the other side's last message that was taken in, with all before it
//	17      16    id of that message; zero if there was none, or the other side gave it up
//	33      4     of the id of this side's message before the next, the first bytes; 0 before the first
//	37      4     generation, from 1
//	41      8     when something was last opened in it, or it began here, unix nanoseconds
//	49      16    id of a text of which some parts have come, else zeros
//	65      8     when the text is to be forgotten, unix nanoseconds; 0: never
//	73      4     their length n, at most that of the longest text
//	77      n     the parts
//	77+n          the session, see package ratchet
//
// under the hashid of the other person, a space and the session's id in hexadecimal.
const talkVersion = 1

// maxTalks is how many talks a conversation keeps: the one that messages go out in,
// and those that the other side may still write in.
const maxTalks = 4

// talk is one session with a person, and the numbers of the messages in it. What comes in a
// talk is confirmed in it. Texts that were not acknowledged in one talk are sent again in the next,
// under new numbers: their ids keep them from being shown twice. messenger.mu guards it.
type talk struct {
	numbers
	session    *ratchet.Session
	generation uint32

	hello    bool        // begun by the other side, and that is not stored yet
	keys     safety.Keys // of the other side, while hello
	answered bool        // by the other side for the first time, and that is not stored yet

	early      map[uint64]*message.Message // stored before their turn, by number
	spent      []uint64                    // of early, not deleted from the vault yet
	receiptDue bool
}

// numbers is how far a talk has come.
type numbers struct {
	next     uint64
	received uint64
	last     message.ID // of the message received
	before   uint32     // of the message before next
	used     time.Time

	partID  message.ID // of a text of which some parts have come
	partEnd time.Time  // when it is to be forgotten; zero: never
	parts   []byte     // never changed in place
}

// after is how far the talk has come with the message whose turn it is.
func (n numbers) after(msg *message.Message) numbers {
	n.received, n.last = msg.Sequence, msg.ID
	return n
}

// without is n with nothing of a text of which some parts have come.
func (n numbers) without(id message.ID) numbers {
	if n.partID == id {
		n.partID, n.parts, n.partEnd = message.ID{}, nil, time.Time{}
	}
	return n
}

func newTalk(s *ratchet.Session, generation uint32, now time.Time) *talk {
	return &talk{numbers: numbers{next: 1, used: now}, session: s, generation: generation, early: make(map[uint64]*message.Message)}
}

// id is the session's, in hexadecimal.
func (t *talk) id() string { return idOf(t.session) }

func idOf(s *ratchet.Session) string {
	id := s.ID()
	return hex.EncodeToString(id[:])
}

// outranks reports whether both sides, if they know of both, write in t rather than in
// other. Both find the same: who begins a session counts one more than the last it knows of, and
// of two that were begun without knowing of each other the smaller id decides.
func (t *talk) outranks(other *talk) bool {
	return cmp.Or(cmp.Compare(t.generation, other.generation), cmp.Compare(other.id(), t.id())) > 0
}

// shared reports whether the other side is known to have the talk, and that is stored.
func (t *talk) shared() bool { return t.session.Answered() && !t.hello && !t.answered }

func (t *talk) key(peer hashid.ID) string { return peer.String() + " " + t.id() }

func (t *talk) earlyKey(peer hashid.ID, sequence uint64) string {
	return fmt.Sprintf("%s %016x", t.key(peer), sequence)
}

// put stores the talk with a session and numbers that may be ahead of its own, and
// deletes what is spent.
func (t *talk) put(tx *vault.Tx, peer hashid.ID, n numbers, s *ratchet.Session) error {
	raw := []byte{talkVersion}
	raw = binary.BigEndian.AppendUint64(raw, n.next)
	raw = binary.BigEndian.AppendUint64(raw, n.received)
	raw = append(raw, n.last[:]...)
	raw = binary.BigEndian.AppendUint32(raw, n.before)
	raw = binary.BigEndian.AppendUint32(raw, t.generation)
	raw = binary.BigEndian.AppendUint64(raw, nanos(n.used))
	raw = append(raw, n.partID[:]...)
	raw = binary.BigEndian.AppendUint64(raw, nanos(n.partEnd))
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(n.parts)))
	raw = append(raw, n.parts...)
	raw = s.Append(raw)
	defer clear(raw)
	for _, sequence := range t.spent {
		if err := tx.Delete(bucketEarly, t.earlyKey(peer, sequence)); err != nil {
			return err
		}
	}
	return tx.Put(bucketTalks, t.key(peer), raw)
}

// drop deletes what is stored of a talk.
func (t *talk) drop(tx *vault.Tx, peer hashid.ID) error {
	for _, sequence := range slices.AppendSeq(slices.Clone(t.spent), maps.Keys(t.early)) {
		if err := tx.Delete(bucketEarly, t.earlyKey(peer, sequence)); err != nil {
			return err
		}
	}
	return tx.Delete(bucketTalks, t.key(peer))
}

// parseTalk reads what put has stored under key, without what came early.
func parseTalk(key string, raw []byte) (hashid.ID, *talk, error) {
	var (
		s       = cryptobyte.String(raw)
		t       = &talk{early: make(map[uint64]*message.Message)}
		version uint8
		used    uint64
		end     uint64
		length  uint32
		damaged = errors.New("a stored session is damaged")
	)
	text, id, _ := strings.Cut(key, " ")
	peer, err := hashid.Parse(text)
	if err != nil || !s.ReadUint8(&version) || version != talkVersion ||
		!s.ReadUint64(&t.next) || !s.ReadUint64(&t.received) || !s.CopyBytes(t.last[:]) ||
		!s.ReadUint32(&t.before) || !s.ReadUint32(&t.generation) || !s.ReadUint64(&used) || !s.CopyBytes(t.partID[:]) || !s.ReadUint64(&end) || !s.ReadUint32(&length) ||
		length > message.MaxText || !s.ReadBytes(&t.parts, int(length)) || t.next == 0 || t.generation == 0 {
		return peer, nil, damaged
	}
	t.used, t.partEnd, t.parts = fromNanos(used), fromNanos(end), bytes.Clone(t.parts)
	if t.session, err = ratchet.Parse(s); err != nil || t.id() != id {
		return peer, nil, damaged
	}
	return peer, t, nil
}

func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func fromNanos(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n))
}

// follows reports whether a message whose turn it is knows of the one that was taken in
// before it. If not, its sender or this side works with an older copy of its profile.
func (t *talk) follows(msg *message.Message) bool {
	return msg.Before == 0 || t.last == message.ID{} || msg.Before == t.last.Short()
}

// givenUp moves past what the other side does not repeat any more.
func (t *talk) givenUp(base uint64) {
	if base-1 <= t.received {
		return
	}
	t.received, t.last = base-1, message.ID{}
	maps.DeleteFunc(t.early, func(sequence uint64, _ *message.Message) bool {
		old := sequence <= t.received
		if old {
			t.spent = append(t.spent, sequence)
		}
		return old
	})
}

// copies returns the numbers of what came early and is of a text, or a part of it.
func (t *talk) copies(id message.ID) []uint64 {
	var list []uint64
	for sequence, msg := range t.early {
		if msg.ID == id {
			list = append(list, sequence)
		}
	}
	return list
}
