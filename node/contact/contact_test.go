package contact

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/safety"
)

// What an earlier version stored is read, and what it did not know is not written
// before there is something to say.
func TestStoredContactsStayReadable(t *testing.T) {
	id := hashid.ID{1}
	old := `{"hashid":"` + id.String() + `","name":"ada","nick":"Ada","state":"accepted","since":"2026-01-02T03:04:05Z"}`
	var c Contact
	if err := json.Unmarshal([]byte(old), &c); err != nil {
		t.Fatal(err)
	}
	if c.Hashid != id || c.Name != "ada" || c.State != Accepted || !c.Last.IsZero() || c.Key != (IdentityKey{}) || c.Verified != (Verification{}) {
		t.Errorf("read %+v", c)
	}
	if again, err := json.Marshal(c); err != nil || string(again) != old {
		t.Errorf("written %s, %v", again, err)
	}
	request := `{"from":"` + id.String() + `","nick":"n","text":"t","at":"2026-01-02T03:04:05Z"}`
	var r Request
	if err := json.Unmarshal([]byte(request), &r); err != nil || r.Work != 0 {
		t.Errorf("read %+v, %v", r, err)
	}
	if again, err := json.Marshal(r); err != nil || string(again) != request {
		t.Errorf("written %s, %v", again, err)
	}

	c.Last, c.Key, c.Identity, c.Offered, c.Refused = time.Unix(1, 0).UTC(), IdentityKey{2}, IdentityKey{4}, IdentityKey{5}, IdentityKey{6}
	c.Verified = Verification{Pair: safety.Pair{3}, At: time.Unix(2, 0).UTC()}
	full, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back Contact
	if err := json.Unmarshal(full, &back); err != nil || back != c {
		t.Errorf("%s was read as %+v, %v", full, back, err)
	}
	for _, damaged := range []string{"", "00", strings.Repeat("g", 64), strings.Repeat("0", 66)} {
		if new(IdentityKey).UnmarshalText([]byte(damaged)) == nil {
			t.Errorf("the key %q is read", damaged)
		}
	}
}

func TestKeysAreHeld(t *testing.T) {
	first, other := safety.Keys{Identity: [32]byte{9}, Agreement: [32]byte{1}}, safety.Keys{Identity: [32]byte{9}, Agreement: [32]byte{2}}
	if _, met := (Contact{Name: "ada"}).Keys(); met {
		t.Error("who was not met has keys")
	}
	c, err := Contact{Name: "ada"}.Meet(first)
	if err != nil || c.Key != first.Agreement || c.Identity != first.Identity || c.Name != "ada" {
		t.Fatalf("the first key: %+v, %v", c, err)
	}
	if same, err := c.Meet(first); err != nil || same != c {
		t.Errorf("the same key: %v", err)
	}
	c.Verified = Verification{Pair: safety.Pair{3}}
	if kept, err := c.Meet(other); !errors.Is(err, ErrKeyChanged) || kept != c {
		t.Errorf("another key: %+v, %v", kept, err)
	}
	if keys, met := c.Keys(); !met || keys != first {
		t.Errorf("the keys are %+v", keys)
	}
	c.Offered = other.Agreement
	if keys, met := c.Keys(); !met || keys != other {
		t.Errorf("the keys to look at are %+v", keys)
	}
	renewed := c.Trust(other.Agreement)
	if renewed.Key != other.Agreement || !renewed.Offered.IsZero() || renewed.Identity != first.Identity || renewed.Verified != (Verification{}) || renewed.Name != "ada" {
		t.Errorf("another key, trusted: %+v", renewed)
	}
	if _, err := renewed.Meet(first); !errors.Is(err, ErrKeyChanged) {
		t.Errorf("the old key: %v", err)
	}
}

// A verification holds for the keys that were compared and for no others.
func TestVerificationIsOfKeys(t *testing.T) {
	we, they := safety.Keys{Identity: [32]byte{1}}, safety.Keys{Identity: [32]byte{2}}
	c := Contact{Verified: Verification{Pair: safety.Of(we, they)}}
	if !c.VerifiedAs(safety.Of(they, we)) {
		t.Error("the answer is forgotten")
	}
	theirs, ours := they, we
	theirs.Agreement[0]++
	ours.Agreement[0]++
	for _, now := range []safety.Pair{safety.Of(we, theirs), safety.Of(ours, they), {}} {
		if c.VerifiedAs(now) {
			t.Error("the answer holds for other keys")
		}
	}
	if (Contact{}).VerifiedAs(safety.Pair{}) {
		t.Error("nobody knows the keys, and they are verified")
	}
}

func TestRename(t *testing.T) {
	ada, bob := hashid.ID{1}, hashid.ID{2}
	b := New([]Contact{{Hashid: ada, Name: "ada", State: Accepted, Nick: "n"}, {Hashid: bob, Name: "bob", State: Accepted}}, nil)
	c, err := b.Rename("@ADA", "Zoe\u0308")
	if err != nil || c.Name != "Zo\u00eb" || c.Hashid != ada || c.State != Accepted || c.Nick != "n" {
		t.Fatalf("%+v, %v", c, err)
	}
	if still, err := b.Named("ada"); err != nil || still.Hashid != ada {
		t.Errorf("renamed before it was put: %v", err)
	}
	b.Put(c)
	if _, err := b.Named("ada"); !errors.Is(err, ErrUnknown) {
		t.Errorf("the old name is kept: %v", err)
	}
	if c, err := b.Named("zo\u00cb"); err != nil || c.Hashid != ada {
		t.Errorf("the new name: %v", err)
	}
	if c, err := b.Rename("bob", "BOB"); err != nil || c.Name != "BOB" { // its own in capitals
		t.Errorf("%+v, %v", c, err)
	}
	for _, to := range []string{"zoë", "two words", "", "p\u0430ypal"} {
		if _, err := b.Rename("bob", to); err == nil {
			t.Errorf("bob is renamed %q", to)
		}
	}
	if _, err := b.Rename("nobody", "eve"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func TestBlock(t *testing.T) {
	ada, bob, eve, stranger := hashid.ID{1}, hashid.ID{2}, hashid.ID{3}, hashid.ID{4}
	b := New([]Contact{{Hashid: ada, Name: "ada", State: Rejected, Ours: true}, {Hashid: bob, Name: "bob", State: Accepted}},
		[]Request{{From: eve, Nick: "eve", Text: "hi"}})
	for name, want := range map[string]Contact{
		"ada":             {Hashid: ada, Name: "ada", State: Blocked},
		"@bob":            {Hashid: bob, Name: "bob", State: Blocked},
		bob.String():      {Hashid: bob, Name: "bob", State: Blocked},
		"Eve":             {Hashid: eve, Name: Nameless(eve), Nick: "eve", State: Blocked},
		eve.String():      {Hashid: eve, Name: Nameless(eve), Nick: "eve", State: Blocked},
		stranger.String(): {Hashid: stranger, Name: Nameless(stranger), State: Blocked},
	} {
		if got, err := b.Block(name); err != nil || got != want {
			t.Errorf("Block(%q) = %+v, %v", name, got, err)
		}
	}
	if _, err := b.Block("nobody"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}

	// Silence: a blocked person's request, open before or new, is none.
	c, _ := b.Block("eve")
	b.Put(c)
	if _, open := b.Request(eve); open {
		t.Error("a request stays open after its asker was blocked")
	}
	if err := b.Ask(Request{From: eve, Work: 255}); !errors.Is(err, ErrBlocked) || len(b.Requests()) != 0 {
		t.Errorf("a blocked person asks: %v", err)
	}
	if err := b.CheckName("Eve", bob); err != nil {
		t.Errorf("the name of a blocked asker: %v", err)
	}

	// Its name is free, as that of a rejected one is.
	c, _ = b.Block("bob")
	b.Put(c)
	if err := b.CheckName("bob", stranger); err != nil {
		t.Error(err)
	}
	if y := b.Yield("Bob", stranger); len(y) != 1 || y[0].Hashid != bob || y[0].Name != Nameless(bob) || y[0].State != Blocked {
		t.Errorf("who gives up the name: %+v", y)
	}

	b.Remove(eve)
	if err := b.Ask(Request{From: eve, Nick: "eve"}); err != nil {
		t.Errorf("a removed person is a stranger again: %v", err)
	}
	b.Remove(eve)
	if len(b.Requests()) != 0 {
		t.Error("a removed request stays open")
	}
}

// Blocking is silent, so it must not hit the wrong one.
func TestBlockOneOfTwo(t *testing.T) {
	for _, requests := range [][]Request{
		{{From: hashid.ID{2}, Nick: "Bob"}},
		{{From: hashid.ID{2}, Nick: "bob"}, {From: hashid.ID{3}, Nick: "b\u043eb"}},
	} {
		b := New([]Contact{{Hashid: hashid.ID{1}, Name: "bob", State: Accepted}}, requests)
		if c, err := b.Block("bob"); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("%v was blocked: %v", c.Hashid, err)
		}
	}
	b := New(nil, []Request{{From: hashid.ID{2}, Nick: "bob"}, {From: hashid.ID{3}, Nick: "bob"}})
	if c, err := b.Block("bob"); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("%v was blocked: %v", c.Hashid, err)
	}
}
