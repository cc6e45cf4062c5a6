package node

import (
	"bytes"
	"testing"

	"chatnt/node/message"
	"chatnt/node/ratchet"
)

// A frame of the first session or of one that was answered opens for the one person in the one
// network that it was sealed for, whole and unchanged, and once.
func TestFramesOpenForOne(t *testing.T) {
	m, other := friends(t), friends(t)
	session := initiate(t, m, bob())
	first := sealIn(t, session, testText(1, "first"))
	inAnother, err := ratchet.Initiate(other.network, bob().keys(), keyRecordOf(m))
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range [][]byte{sealIn(t, inAnother, testText(1, "x")), first[:len(first)-1], append(bytes.Clone(first), 0), {}, nil} {
		m.arrived(frame)
	}
	other.arrived(first)
	expectTold(t, other)
	for i := 0; i < ratchet.FrameSize; i += 61 {
		bad := bytes.Clone(first)
		bad[i] ^= 1
		m.arrived(bad)
	}
	expectTold(t, m)
	if left := stored(t, m); left[bucketTalks] != 0 || left[bucketHellos] != 0 {
		t.Errorf("%v are stored", left)
	}
	m.arrived(first)
	expectTold(t, m, "bob: first")

	answer(t, m, session)
	second := sealIn(t, session, testText(2, "second"))
	for i := 0; i < ratchet.FrameSize; i += 61 {
		bad := bytes.Clone(second)
		bad[i] ^= 1
		m.arrived(bad)
	}
	other.arrived(second)
	expectTold(t, other)
	expectTold(t, m)
	for range 2 {
		m.arrived(first)
		m.arrived(second)
	}
	expectTold(t, m, "bob: second")
}

// answer has the receipt that is due for bob come to his session.
func answer(t *testing.T, m *messenger, s *ratchet.Session) *message.Message {
	t.Helper()
	_, receipts := sealDue(t, m, bob())
	if len(receipts) != 1 {
		t.Fatalf("%d receipts are due", len(receipts))
	}
	return readIn(t, s, receipts[0])
}

// readIn opens a frame in a session.
func readIn(t *testing.T, s *ratchet.Session, frame []byte) *message.Message {
	t.Helper()
	b, err := s.Open(frame, timeNow())
	if err != nil {
		t.Fatal(err)
	}
	msg, err := message.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// Whoever begins a session is who its identity key says: bob's other keys are of no use to
// somebody else.
func TestSessionIsOfItsIdentity(t *testing.T) {
	m := friends(t)
	eve := &identity{sign: testIdentity(t).sign, agreement: bob().agreement}
	begin(t, m, eve, testText(1, "it is me, bob"))
	expectTold(t, m)
	begin(t, m, eve, ask("bob", "it is me, bob"))
	if _, asked := m.book.Request(eve.hashid()); !asked {
		t.Error("a stranger's request is not there")
	}
	expectTold(t, m, "request of bob: it is me, bob")
}

// What opens and is no message leaves nothing behind: neither a session nor a hole in one.
func TestFramesThatAreNoMessages(t *testing.T) {
	m := friends(t)
	raw := func(s *ratchet.Session, b []byte) []byte {
		t.Helper()
		frame, err := s.Seal(b)
		if err != nil {
			t.Fatal(err)
		}
		return frame
	}
	bad := body(t, testText(1, "x"))
	bad[len(bad)-1] = 1 // padding
	m.arrived(raw(initiate(t, m, bob()), bad))
	m.arrived(raw(initiate(t, m, bob()), make([]byte, ratchet.BodySize)))
	if left := stored(t, m); left[bucketTalks] != 0 || len(m.hellos) != 0 {
		t.Errorf("%v are stored", left)
	}
	session := initiate(t, m, bob())
	m.arrived(sealIn(t, session, testText(1, "one")))
	m.arrived(raw(session, bad))
	m.arrived(sealIn(t, session, testText(2, "two")))
	expectTold(t, m, "bob: one", "bob: two")
}

// FuzzOpen changes a frame that begins a session and one of a session that was answered: no
// change opens, and afterwards the frames themselves do.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{}, uint16(0), false)
	f.Add(make([]byte, ratchet.FrameSize), uint16(7), true)
	f.Add([]byte{1}, uint16(0), true)
	f.Add([]byte{1}, uint16(1264), true)
	f.Add([]byte{1}, uint16(ratchet.FrameSize-1), true)
	p, err := Ephemeral(testNetwork(f), nil)
	if err != nil {
		f.Fatal(err)
	}
	if err := p.Introduce(bob().hashid(), "bob"); err != nil {
		f.Fatal(err)
	}
	m := messengerOf(f, p)
	session := initiate(f, m, bob())
	m.arrived(sealIn(f, session, testText(1, "one")))
	_, receipts := sealDue(f, m, bob())
	if _, err := session.Open(receipts[0], timeNow()); err != nil {
		f.Fatal(err)
	}
	drain(m.feed)
	frames := [][]byte{sealIn(f, initiate(f, m, bob()), testText(1, "x")), sealIn(f, session, testText(2, "y"))}
	f.Fuzz(func(t *testing.T, b []byte, at uint16, change bool) {
		for _, frame := range frames {
			in := b
			if change {
				in = bytes.Clone(frame)
				for i := range b {
					in[(int(at)+i)%ratchet.FrameSize] ^= b[i]
				}
			}
			if bytes.Equal(in, frame) {
				continue
			}
			m.arrived(in)
			if told := drain(m.feed); len(told) > 0 {
				t.Errorf("the person was told %v", told)
			}
			if c := m.conversation(bob().hashid()); len(c.talks) != 1 || c.talks[0].received != 1 {
				t.Error("a changed frame was taken in")
			}
		}
	})
}
