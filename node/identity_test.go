package node

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

func TestIdentityIsStoredWhole(t *testing.T) {
	id := testIdentity(t)
	raw := id.append([]byte("x"))[1:]
	if len(raw) != 65 || raw[0] != 2 {
		t.Errorf("an identity is stored in %d bytes, version %d", len(raw), raw[0])
	}
	again, err := parseIdentity(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.append(nil), raw) || again.hashid() != id.hashid() || !again.agreement.Equal(id.agreement) {
		t.Error("an identity is another one after it was stored")
	}
	for _, size := range []int{0, 1, len(raw) - 1, len(raw) + 1} {
		if _, err := parseIdentity(append(raw, 0)[:size]); err == nil {
			t.Errorf("an identity of %d bytes is taken", size)
		}
	}
	for _, version := range []byte{1, 3} {
		raw[0] = version
		if _, err := parseIdentity(raw); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("of version %d: another version", version)) {
			t.Errorf("an identity of version %d: %v", version, err)
		}
	}
}

func TestKeyRecordIsSound(t *testing.T) {
	id, now := testIdentity(t), time.Now()
	net, node := [32]byte{1}, hashid.NodeID{2}
	g, err := newGeneration(now)
	if err != nil {
		t.Fatal(err)
	}
	p := prekeys{generations: []generation{g}}
	raw, err := p.keyRecord(id, node, 7, now).Sign(net, id.sign)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.ParseKeyRecord(net, raw)
	if err != nil || r.Hashid() != id.hashid() || r.Inbox.Node != node || r.Sequence != 7 || r.Prekey.ID != g.id || r.KEMPrekey.ID != g.id {
		t.Errorf("the record is %v, %v", r, err)
	}
	if err := r.CheckTime(now); err != nil {
		t.Error(err)
	}
	if len(raw) > record.MaxKeyRecord {
		t.Errorf("the record has %d bytes", len(raw))
	}
}
