package node

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/message"
	"chatnt/node/ratchet"
)

// The people on the other side in these tests: they have keys and sessions, and no
// messenger of their own. See pair_test.go for two that have.

// someone is the nth of them, the same every time.
func someone(n uint16) *identity {
	seed := sha256.Sum256(binary.BigEndian.AppendUint16([]byte("someone "), n))
	other := sha256.Sum256(seed[:])
	key, err := ecdh.X25519().NewPrivateKey(other[:])
	if err != nil {
		panic(err)
	}
	return &identity{sign: ed25519.NewKeyFromSeed(seed[:]), agreement: key}
}

func bob() *identity { return someone(2) }

func testIdentity(t testing.TB) *identity {
	t.Helper()
	id, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// prekeysOf are the prekeys of one of them, the same every time.
func prekeysOf(id *identity) *prekeys {
	one, two := sha256.Sum256(id.sign), sha512.Sum512(id.sign)
	key, errKey := ecdh.X25519().NewPrivateKey(one[:])
	kem, errKEM := mlkem.NewDecapsulationKey768(two[:])
	if errKey != nil || errKEM != nil {
		panic("no such keys")
	}
	return &prekeys{generations: []generation{{
		id: binary.BigEndian.Uint32(two[:]), made: time.Now().Truncate(time.Second), keys: ratchet.Prekeys{Key: key, KEM: kem},
	}}}
}

// recordOf is the key record of one of them, of now.
func recordOf(id *identity) *record.KeyRecord {
	return prekeysOf(id).keyRecord(id, hashid.NodeID{9}, uint64(time.Now().Unix()), time.Now())
}

// signedRecordOf is the same as it is published.
func signedRecordOf(t testing.TB, network [32]byte, id *identity, at hashid.NodeID, sequence uint64) []byte {
	t.Helper()
	raw, err := prekeysOf(id).keyRecord(id, at, sequence, time.Now()).Sign(network, id.sign)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// keyRecordOf is what the others know of a messenger's person.
func keyRecordOf(m *messenger) *record.KeyRecord {
	return m.profile.prekeys.keyRecord(m.profile.identity, m.profile.Node(), 1, m.now())
}

// testText is a text of one part. Its id is made of its number and what it says.
func testText(sequence uint64, text string) *message.Message {
	id := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(text), sequence))
	return &message.Message{
		Kind: message.Text, Sequence: sequence, Base: 1, ID: message.ID(id[:]),
		At: time.UnixMilli(1e12), Parts: 1, Text: []byte(text),
	}
}

// body is a message as it is sealed, in a first session if it does not say otherwise.
func body(t testing.TB, msg *message.Message) []byte {
	t.Helper()
	copied := *msg
	copied.Generation = max(1, msg.Generation)
	b, err := copied.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// initiate begins a session of somebody else with a messenger's person.
func initiate(t testing.TB, m *messenger, from *identity) *ratchet.Session {
	t.Helper()
	s, err := ratchet.Initiate(m.network, from.keys(), keyRecordOf(m))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealIn(t testing.TB, s *ratchet.Session, msg *message.Message) []byte {
	t.Helper()
	frame, err := s.Seal(body(t, msg))
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// begin hands a messenger the first message of a new session of somebody else, who knows of
// all before it.
func begin(t testing.TB, m *messenger, from *identity, msg *message.Message) {
	t.Helper()
	copied := *msg
	m.mu.Lock()
	if c := m.conversations[from.hashid()]; c != nil && msg.Generation == 0 {
		copied.Generation = c.Generation + 1
	}
	m.mu.Unlock()
	m.arrived(sealIn(t, initiate(t, m, from), &copied))
}

// beginLate hands a messenger the first message of a session of generation 1 of somebody else,
// which the current talk outranks.
func beginLate(t testing.TB, m *messenger, from *identity, msg *message.Message) {
	t.Helper()
	m.mu.Lock()
	c := m.conversation(from.hashid())
	s := initiate(t, m, from)
	for c.prefers(newTalk(s, 1, time.Now())) {
		s = initiate(t, m, from)
	}
	m.mu.Unlock()
	m.arrived(sealIn(t, s, msg))
}

// deliver hands a messenger what somebody else says: in the newest talk if there is
// one, else in a new session.
func deliver(t testing.TB, m *messenger, from *identity, msg *message.Message) {
	t.Helper()
	m.mu.Lock()
	c := m.conversations[from.hashid()]
	m.mu.Unlock()
	if c == nil || len(c.talks) == 0 {
		begin(t, m, from, msg)
		return
	}
	deliverIn(t, m, c, c.talks[len(c.talks)-1], msg)
}

// deliverIn does the same in a certain talk.
func deliverIn(t testing.TB, m *messenger, c *conversation, in *talk, msg *message.Message) {
	t.Helper()
	copied, err := message.Parse(body(t, msg)) // what comes is what message lets through
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.take(c, in, copied)
}

// sealDue seals what is due in the conversation with somebody else, as the sender does
// before it makes its attempts.
func sealDue(t testing.TB, m *messenger, to *identity) (due []*outgoing, receipts [][]byte) {
	t.Helper()
	m.mu.Lock()
	c := m.conversation(to.hashid())
	m.mu.Unlock()
	due, talks, _, _ := m.takeDue(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	receipts, err := m.sealAll(c, recordOf(to), due, talks)
	if err != nil {
		t.Fatal(err)
	}
	return due, receipts
}

// nodeTook says that the other's node has taken a message as it was sealed last.
func nodeTook(m *messenger, c *conversation, item *outgoing) { m.stored(c, item, item.frame) }

// readFirst opens a frame of a session that a messenger has begun and nobody has answered.
func readFirst(t testing.TB, m *messenger, to *identity, frame []byte) *message.Message {
	t.Helper()
	h, err := ratchet.OpenHello(m.network, to.keys(), prekeysOf(to).all(time.Now()), frame)
	if err != nil {
		t.Fatal(err)
	}
	_, b, err := h.Accept(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	msg, err := message.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// receiptFor is somebody's receipt for what was sealed in the current talk with them.
func receiptFor(m *messenger, from *identity, sequence uint64) *message.Message {
	r := &message.Message{Kind: message.Receipt, Sequence: sequence, Parts: 1}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.conversation(from.hashid())
	if sequence > 0 {
		r.ID = message.ID{1}
	}
	for _, item := range c.outbox {
		if item.sequence == sequence {
			r.ID = item.ID
		}
	}
	return r
}
