package control_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
	"chatnt/node/control"
)

// Whatever single character of a link is mistyped, left out or typed twice, /add says that it is a typing error, and
// asks nobody.
func TestTypingErrorsInALink(t *testing.T) {
	net, err := network.New("fam", 3, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, invite := range []*network.Invite{{Person: hashid.ID{4}}, {Person: hashid.ID{4}, Link: linkKey()}, {Network: net, Person: hashid.ID{4}, Link: linkKey()}} {
		text, err := invite.Text()
		if err != nil {
			t.Fatal(err)
		}
		f := newFake()
		s := control.NewDialogue(f)
		for i := range text {
			wrong := []string{text[:i] + text[i+1:], text[:i] + text[i:i+1] + text[i:]}
			for _, typed := range []string{"q", "z", "1", ":", "X", "-", "ä"} {
				if typed != text[i:i+1] {
					wrong = append(wrong, text[:i]+typed+text[i+1:])
				}
			}
			for _, wrong := range wrong {
				if _, err := s.Execute("/add " + wrong + " dan"); err == nil || !strings.Contains(err.Error(), "typing error") {
					t.Errorf("%s, %s with character %d wrong: %v", wrong, text, i, err)
				}
			}
		}
		if len(f.did) > 0 {
			t.Errorf("it has done %v", f.did)
		}
	}
}

// An invite that has expired is as void for /add as for network join.
func TestExpiredInvite(t *testing.T) {
	net, err := network.New("fam", 3, false)
	if err != nil {
		t.Fatal(err)
	}
	f := &member{newFake(), net.ID().String()}
	for _, tt := range []struct {
		expires time.Time
		want    error
	}{
		{time.Now().Add(-time.Hour).Truncate(time.Second), network.ErrExpired},
		{time.Now().Add(time.Hour).Truncate(time.Second), nil},
		{time.Time{}, nil},
	} {
		net.Expires = tt.expires
		text, err := (&network.Invite{Network: net, Person: hashid.ID{4}}).Text()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := control.NewDialogue(f).Execute("/add " + text + " dan"); !errors.Is(err, tt.want) {
			t.Errorf("expires at %v: %v", tt.expires, err)
		}
		if did := f.done(); len(did) == 0 != (tt.want != nil) {
			t.Errorf("expires at %v: it has done %v", tt.expires, did)
		}
	}
}

// member is a fake node of a network that has an id.
type member struct {
	*fakeNode
	network string
}

func (m *member) Node() control.Node     { return m }
func (m *member) Status() control.Status { return control.Status{NetworkID: m.network} }

// linkKey is the base point of Ed25519 (RFC 8032, section 5.1), as good a link key as any.
func linkKey() record.LinkKey {
	key := record.LinkKey(bytes.Repeat([]byte{0x66}, 32))
	key[0] = 0x58
	return key
}
