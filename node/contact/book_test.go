package contact

import (
	"errors"
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
