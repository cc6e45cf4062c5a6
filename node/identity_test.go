package node

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

func signAs(net [32]byte, from, to *identity, encoded []byte) []byte {
	return ed25519.Sign(from.sign, signed(net, from.public(), to.hashid(), encoded))
}

func TestIdentityIsStoredWhole(t *testing.T) {
	id := testIdentity(t)
	raw := id.append([]byte("x"))[1:]
	if len(raw) != 165 || raw[0] != 1 {
		t.Errorf("an identity is stored in %d bytes, version %d", len(raw), raw[0])
	}
	again, err := parseIdentity(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.append(nil), raw) || again.hashid() != id.hashid() {
		t.Error("an identity is another one after it was stored")
	}
	frame, err := seal([32]byte{}, id, keyRecordOf(id), testText(1, "hi"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := open([32]byte{}, again, frame); err != nil {
		t.Errorf("a stored identity does not open what was written to it: %v", err)
	}
	for _, size := range []int{0, 1, len(raw) - 1, len(raw) + 1} {
		if _, err := parseIdentity(append(raw, 0)[:size]); err == nil {
			t.Errorf("an identity of %d bytes is taken", size)
		}
	}
	raw[0] = 2
	if _, err := parseIdentity(raw); err == nil || !strings.Contains(err.Error(), "version 2: a newer program") {
		t.Errorf("an identity of version 2: %v", err)
	}
}

func TestKeyRecordIsSound(t *testing.T) {
	id, now := testIdentity(t), time.Now()
	net, node := [32]byte{1}, hashid.NodeID{2}
	raw, err := id.keyRecord(node, 7, now).Sign(net, id.sign)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.ParseKeyRecord(net, raw)
	if err != nil || r.Hashid() != id.hashid() || r.Inbox.Node != node || r.Sequence != 7 || r.Prekey.ID != r.KEMPrekey.ID {
		t.Errorf("the record is %v, %v", r, err)
	}
	if err := r.CheckTime(now); err != nil {
		t.Error(err)
	}
	if len(raw) > record.MaxKeyRecord {
		t.Errorf("the record has %d bytes", len(raw))
	}
}
