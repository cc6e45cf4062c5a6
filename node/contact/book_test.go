package contact

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
)

func TestNamesAndHashidsFindPeople(t *testing.T) {
	ada, bob := hashid.ID{1}, hashid.ID{2}
	b := New([]Contact{{Hashid: ada, Name: "ada", State: Accepted}}, []Request{{From: bob, Nick: "bob"}})
	for _, name := range []string{"ada", "@ada", ada.String()} {
		if c, err := b.Named(name); err != nil || c.Hashid != ada {
			t.Errorf("Named(%q) = %v, %v", name, c, err)
		}
	}
	if _, err := b.Named("bob"); !errors.Is(err, ErrUnknown) {
		t.Errorf("a stranger is found as a contact: %v", err)
	}
	for _, name := range []string{"bob", bob.String()} {
		if r, err := b.Asking(name); err != nil || r.From != bob {
			t.Errorf("Asking(%q) = %v, %v", name, r, err)
		}
	}
	b.Put(Contact{Hashid: bob, Name: "robert", State: Accepted})
	if _, open := b.Request(bob); open {
		t.Error("a request stays open after it was answered")
	}
}

func TestTwoOfOneNickMustBeToldApart(t *testing.T) {
	b := New(nil, []Request{{From: hashid.ID{1}, Nick: "bob"}, {From: hashid.ID{2}, Nick: "bob"}})
	if r, err := b.Asking("bob"); err == nil {
		t.Errorf("one of two bobs was chosen: %v", r.From)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	b := New(nil, nil)
	for i := range MaxRequests {
		if err := b.Ask(Request{From: hashid.ID{byte(i)}, At: time.Unix(int64(i), 0)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Ask(Request{From: hashid.ID{0xff}}); !errors.Is(err, ErrTooMany) {
		t.Errorf("one request too many: %v", err)
	}
	if err := b.Ask(Request{From: hashid.ID{0}, Text: "again"}); err != nil {
		t.Errorf("a repeated request: %v", err)
	}
}

func TestNames(t *testing.T) {
	ada := hashid.ID{1}
	b := New([]Contact{{Hashid: ada, Name: "ada"}}, nil)
	for _, bad := range []string{"", "a b", "@a", "#a", "/a", "-a", "a\x1b", "a\u202e", "a\u200b", "\xff", strings.Repeat("x", MaxName+1), "ada"} {
		if b.CheckName(bad, hashid.ID{2}) == nil {
			t.Errorf("the name %q is allowed", bad)
		}
	}
	for _, good := range []string{"zoë", "b-1", "李", "ada"} {
		if err := b.CheckName(good, ada); err != nil {
			t.Errorf("the name %q: %v", good, err)
		}
	}
	for nick, want := range map[string]string{"bob": "bob", "b o\x1bb": "bob"} {
		if got := b.NameFor(nick, hashid.ID{2}); got != want {
			t.Errorf("NameFor(%q) = %q, want %q", nick, got, want)
		}
	}
	for _, nick := range []string{"", "ada", "\u202e"} {
		got := b.NameFor(nick, hashid.ID{2})
		if err := b.CheckName(got, hashid.ID{2}); err != nil {
			t.Errorf("NameFor(%q) = %q: %v", nick, got, err)
		}
	}
}

// Who calls itself by somebody's hashid is not taken for that person.
func TestHashidsAreNoNames(t *testing.T) {
	ada, eve := hashid.ID{1}, hashid.ID{2}
	b := New(nil, []Request{{From: eve, Nick: ada.String()}})
	for _, name := range []string{ada.String(), "@" + ada.String()} {
		if r, err := b.Asking(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("Asking(%q) found %v, %v", name, r.From, err)
		}
	}
	if r, err := b.Asking(eve.String()); err != nil || r.From != eve {
		t.Errorf("by her own hashid: %v, %v", r.From, err)
	}
	if err := b.CheckName(ada.String(), eve); err == nil {
		t.Error("a hashid is allowed as a name")
	}
	if name := b.NameFor(ada.String(), eve); strings.HasPrefix(name, ada.String()) || b.CheckName(name, eve) != nil {
		t.Errorf("she is called %q", name)
	}
	// Even if it was stored once.
	b.Put(Contact{Hashid: eve, Name: ada.String(), State: Accepted})
	if c, err := b.Named(ada.String()); !errors.Is(err, ErrUnknown) {
		t.Errorf("Named found %v, %v", c.Hashid, err)
	}
	b.Put(Contact{Hashid: ada, Name: "ada", State: Accepted})
	for range 20 { // the order of a map is random
		if c, err := b.Named(ada.String()); err != nil || c.Hashid != ada {
			t.Fatalf("Named found %v, %v", c.Hashid, err)
		}
	}
}

// A rejected contact keeps its name from nobody who is called so on purpose.
func TestRejectedYieldTheirNames(t *testing.T) {
	eve, ada, third := hashid.ID{1}, hashid.ID{2}, hashid.ID{3}
	b := New([]Contact{{Hashid: eve, Name: "ada", State: Rejected}, {Hashid: third, Name: "bob", State: Requested}}, nil)
	if err := b.CheckName("ada", ada); err != nil {
		t.Error(err)
	}
	if name := b.NameFor("ada", ada); name == "ada" {
		t.Error("a nick took the name of somebody else")
	}
	if y := b.Yield("ada", eve); len(y) != 0 {
		t.Errorf("its own name is taken from it: %v", y)
	}
	if y := b.Yield("bob", ada); len(y) != 0 {
		t.Errorf("the name of one who is not rejected is taken: %v", y)
	}
	y := b.Yield("ada", ada)
	if len(y) != 1 || y[0].Hashid != eve || y[0].Name != eve.String() || y[0].State != Rejected {
		t.Fatalf("those who give up their name: %v", y)
	}
	b.Put(y[0])
	b.Put(Contact{Hashid: ada, Name: "ada", State: Requested})
	if c, err := b.Named("ada"); err != nil || c.Hashid != ada {
		t.Errorf("Named found %v, %v", c.Hashid, err)
	}
	if c, err := b.Named(eve.String()); err != nil || c.Hashid != eve {
		t.Errorf("Named found %v, %v", c.Hashid, err)
	}
}

// Names that look the same are the same.
func TestInvisibleRunesMakeNoNames(t *testing.T) {
	for _, bad := range []string{
		"ada\ufe0f", "ada\U000e0100", "ada\u034f", "\u3164", "\uffa0", "\u115f", "\u1160", "\u17b4", "\u180b", "\u2800",
		"\U00013441", "\U00016fe4", "\U0001d159",
	} {
		if New(nil, nil).CheckName(bad, hashid.ID{1}) == nil {
			t.Errorf("the name %+q is allowed", bad)
		}
	}
	for _, old := range []string{"zo\u00eb", "zoe\u0308", "zo\u00eb\ufe0f"} {
		b := New([]Contact{{Hashid: hashid.ID{1}, Name: old, State: Accepted}}, nil)
		for _, name := range []string{"zo\u00eb", "zoe\u0308"} {
			if b.CheckName(name, hashid.ID{2}) == nil {
				t.Errorf("the name %+q is allowed beside %+q", name, old)
			}
		}
	}
}

// What a thousand contacts cost at the start, and with each text.
func BenchmarkBook(b *testing.B) {
	var contacts []Contact
	for i := range 1000 {
		contacts = append(contacts, Contact{Hashid: hashid.ID{byte(i), byte(i >> 8)}, Name: fmt.Sprintf("alice%d", i), Nick: "Alice", State: Accepted})
	}
	book := New(contacts, nil)
	b.Run("New", func(b *testing.B) {
		for b.Loop() {
			New(contacts, nil)
		}
	})
	b.Run("Named", func(b *testing.B) {
		for b.Loop() {
			if _, err := book.Named("ALICE999"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Tag", func(b *testing.B) {
		for b.Loop() {
			book.Tag(contacts[999].Hashid)
		}
	})
	b.Run("NameFor", func(b *testing.B) {
		for b.Loop() {
			book.NameFor("alice7", hashid.ID{0xff, 0xff})
		}
	})
}
