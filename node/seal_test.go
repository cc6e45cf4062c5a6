package node

import (
	"bytes"
	"crypto/hpke"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/message"
)

func testIdentity(t testing.TB) *identity {
	t.Helper()
	id, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testText(sequence uint64, text string) *message.Message {
	return &message.Message{
		Kind: message.Text, Stream: 1, Sequence: sequence, Base: 1, ID: message.ID{byte(sequence), byte(sequence >> 8), 1},
		At: time.UnixMilli(1e12), Parts: 1, Text: []byte(text),
	}
}

func keyRecordOf(id *identity) *record.KeyRecord {
	return id.keyRecord(hashid.NodeID{1}, 1, time.Now())
}

func TestSealOpens(t *testing.T) {
	net := [32]byte{1}
	alice, bob, eve := testIdentity(t), testIdentity(t), testIdentity(t)
	frame, err := seal(net, alice, keyRecordOf(bob), testText(1, "hi"))
	if err != nil {
		t.Fatal(err)
	}
	if len(frame) != 3200 || frameSize != 3200 {
		t.Errorf("a frame has %d bytes, and %d by the table", len(frame), frameSize)
	}
	from, msg, err := open(net, bob, frame)
	if err != nil || from != alice.hashid() || string(msg.Text) != "hi" || msg.Sequence != 1 {
		t.Errorf("open: %v %v %v", from, msg, err)
	}
	if again, err := seal(net, alice, keyRecordOf(bob), testText(1, "hi")); err != nil || bytes.Equal(frame, again) {
		t.Errorf("two frames of one message are the same: %v", err)
	}
	long, err := seal(net, alice, keyRecordOf(bob), testText(1, string(bytes.Repeat([]byte("x"), message.PartSize))))
	if err != nil || len(long) != frameSize {
		t.Errorf("a full message makes a frame of %d bytes: %v", len(long), err)
	}

	if _, _, err := open([32]byte{2}, bob, frame); err == nil {
		t.Error("a frame opens in another network")
	}
	if _, _, err := open(net, eve, frame); err == nil {
		t.Error("a frame opens for somebody else")
	}
	for _, size := range []int{0, 1, frameSize - 1, frameSize + 1} {
		if _, _, err := open(net, bob, append(frame, 0)[:size]); err == nil {
			t.Errorf("a frame of %d bytes opens", size)
		}
	}
	for i := 0; i < frameSize; i += 61 {
		bad := bytes.Clone(frame)
		bad[i] ^= 1
		if _, _, err := open(net, bob, bad); err == nil {
			t.Errorf("a frame opens although byte %d was changed", i)
		}
	}
}

// sealPlain seals what somebody who does not follow the rules may write.
func sealPlain(t *testing.T, net [32]byte, to *identity, plain []byte) []byte {
	t.Helper()
	key, err := to.hpkeKey()
	if err != nil {
		t.Fatal(err)
	}
	frame, err := hpke.Seal(key.PublicKey(), hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(net, to.hashid()), plain)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// opened returns what is inside a frame.
func opened(t *testing.T, net [32]byte, to *identity, frame []byte) []byte {
	t.Helper()
	key, err := to.hpkeKey()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info(net, to.hashid()), frame)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// Bob passes on to carol what alice wrote to him, sealed anew, as if alice had
// written it to her, and does the same in another network.
func TestPassedOnMessageIsRefused(t *testing.T) {
	net := [32]byte{1}
	alice, bob, carol := testIdentity(t), testIdentity(t), testIdentity(t)
	frame, err := seal(net, alice, keyRecordOf(bob), testText(1, "hi"))
	if err != nil {
		t.Fatal(err)
	}
	plain := opened(t, net, bob, frame)
	if _, _, err := open(net, bob, sealPlain(t, net, bob, plain)); err != nil {
		t.Fatalf("the same message to the same person: %v", err)
	}
	if _, _, err := open(net, carol, sealPlain(t, net, carol, plain)); err == nil {
		t.Error("a message to bob opens as one to carol")
	}
	if _, _, err := open([32]byte{2}, bob, sealPlain(t, [32]byte{2}, bob, plain)); err == nil {
		t.Error("a message opens in another network")
	}
	copy(plain, carol.public())
	if _, _, err := open(net, bob, sealPlain(t, net, bob, plain)); err == nil {
		t.Error("a message of alice opens as one of carol")
	}
}

// A frame whose signature is right and whose message is not one that Append
// would have written.
func TestMalformedMessageIsRefused(t *testing.T) {
	net := [32]byte{1}
	alice, bob := testIdentity(t), testIdentity(t)
	frame, err := seal(net, alice, keyRecordOf(bob), testText(1, "hi"))
	if err != nil {
		t.Fatal(err)
	}
	plain := opened(t, net, bob, frame)
	plain[len(plain)-1] = 1 // padding
	copy(plain[32:], signAs(net, alice, bob, plain[96:]))
	if _, _, err := open(net, bob, sealPlain(t, net, bob, plain)); err == nil {
		t.Error("a malformed message opens")
	}
	if _, _, err := open(net, bob, sealPlain(t, net, bob, plain[:50])); err == nil {
		t.Error("a short frame opens")
	}
}

func FuzzOpen(f *testing.F) {
	net := [32]byte{1}
	alice, bob := testIdentity(f), testIdentity(f)
	frame, err := seal(net, alice, keyRecordOf(bob), testText(1, "hi"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, uint16(0), false)
	f.Add(make([]byte, frameSize), uint16(7), true)
	f.Add([]byte{1}, uint16(0), true)
	f.Add([]byte{1}, uint16(encapsulatedSize), true)
	f.Add([]byte{1}, uint16(frameSize-1), true)
	// What comes from outside alone, or as a change to a good frame.
	f.Fuzz(func(t *testing.T, b []byte, at uint16, change bool) {
		in, same := b, false
		if change {
			in = bytes.Clone(frame)
			for i := range b {
				in[(int(at)+i)%frameSize] ^= b[i]
			}
			same = bytes.Equal(in, frame)
		}
		from, msg, err := open(net, bob, in)
		if (err == nil) != same {
			t.Errorf("open: %v, and the frame is the same: %v", err, same)
		}
		if err == nil && (from != alice.hashid() || string(msg.Text) != "hi") {
			t.Error("a frame says something else")
		}
	})
}
