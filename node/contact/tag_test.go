package contact

import (
	"strings"
	"testing"

	"chatnt/discovery/hashid"
)

func TestTags(t *testing.T) {
	ada, eve, bob := hashid.ID{0x11}, hashid.ID{0x22}, hashid.ID{0x33}
	short := func(id hashid.ID) string { return id.String()[:tagSize] }
	b := New([]Contact{{Hashid: ada, Name: "alice", Nick: "Ada", State: Accepted}, {Hashid: bob, Name: "bob", State: Accepted}}, nil)
	tags := func(when string, want map[hashid.ID]string) {
		t.Helper()
		for id, tag := range want {
			if got := b.Tag(id); got != tag {
				t.Errorf("%s: the tag of %x is %q, want %q", when, id[0], got, tag)
			}
		}
	}
	tags("no two alike", map[hashid.ID]string{ada: "", bob: "", eve: ""})
	for _, nick := range []string{"alice", "Alice", "a1ice", "al\u0456ce", "al ice", "\u202ealice", "alice:"} {
		b.Remove(eve)
		if err := b.Ask(Request{From: eve, Nick: nick}); err != nil {
			t.Fatal(err)
		}
		tags(nick, map[hashid.ID]string{ada: short(ada), eve: short(eve), bob: ""})
	}
	b.Remove(eve)
	tags("gone again", map[hashid.ID]string{ada: "", bob: "", eve: ""})

	// As a contact calls itself: the name that its person here may remember.
	for nick, want := range map[string]string{"ada": short(eve), "eve": "", "": "", "\u200b": "", "p\u0430y": short(eve), "\U0001d429\u0430y": short(eve), "Дима": ""} {
		b.Remove(eve)
		if err := b.Ask(Request{From: eve, Nick: nick}); err != nil {
			t.Fatal(err)
		}
		tags(nick, map[hashid.ID]string{ada: "", eve: want, bob: ""})
	}

	b.Put(Contact{Hashid: eve, Name: "B0B", Nick: "alice", State: Blocked})
	tags("two contacts", map[hashid.ID]string{eve: short(eve), bob: short(bob), ada: ""})
	b.Put(Contact{Hashid: eve, Name: Nameless(eve), State: Blocked})
	tags("nameless", map[hashid.ID]string{eve: "", bob: "", ada: ""})
	b.Put(Contact{Hashid: eve, Name: "p\u0430ypal", State: Accepted}) // stored when that was allowed
	tags("mixed", map[hashid.ID]string{eve: short(eve), bob: "", ada: ""})
}

// Keys can be made until their hashids begin alike. Tags then grow until they differ.
func TestTagsDiffer(t *testing.T) {
	var first, second, third hashid.ID
	second[20], third[31] = 1, 1
	b := New([]Contact{{Hashid: first, Name: "bob", State: Accepted}, {Hashid: second, Name: "b0b", State: Accepted}}, []Request{{From: third, Nick: "BOB"}})
	one, two, three := b.Tag(first), b.Tag(second), b.Tag(third)
	if one == two || two == three || one == three {
		t.Errorf("tags %q, %q, %q", one, two, three)
	}
	for tag, id := range map[string]hashid.ID{one: first, two: second, three: third} {
		if len(tag) <= tagSize || !strings.HasPrefix(id.String(), tag) {
			t.Errorf("the tag of %v is %q", id, tag)
		}
	}
}
