package contact

import (
	"strings"
	"testing"

	"chatnt/discovery/hashid"
)

func TestNormal(t *testing.T) {
	for name, want := range map[string]string{
		"bob": "bob", "Bob": "Bob", "zoe\u0308": "zo\u00eb", "\uff22\uff4f\uff42": "Bob", "\U0001d41b\U0001d428\U0001d41b": "bob",
		"\u2126": "\u03a9", "\ufb01n": "fin", "李": "李", "राम": "राम", "ก้อง": "ก้อง", "𝟙st": "1st", "🦊": "🦊", "O'Brien": "O'Brien", "O’Brien": "O’Brien",
		"Дима": "Дима", "נועה": "נועה", "ليلى": "ليلى", "b.o_b-1": "b.o_b-1", "김철수": "김철수", "さくら": "さくら",
	} {
		got, err := Normal(name)
		if err != nil || got != want {
			t.Errorf("Normal(%+q) = %+q, %v", name, got, err)
			continue
		}
		if again, err := Normal(got); err != nil || again != got {
			t.Errorf("normalised again, %+q is %+q, %v", got, again, err)
		}
	}
	for kind, names := range map[string][]string{
		"empty, too long, not UTF-8": {"", strings.Repeat("x", MaxName+1), "\xff", strings.Repeat("\ufdfb", 20)},
		"what commands begin with":   {"@a", "#a", "/a", "-a", "\uff20a", "\uff03a", "\uff0fa", "\uff0da"},
		"spaces":                     {"a b", "a\u00a0b", "a\u3000b", "\u00b4a", "\ufdfa", "\u00a8"},
		"controls":                   {"a\x1bb", "a\u009bb", "a\x00", "a\nb"},
		"invisible":                  {"a\u200b", "a\u200d", "\u3164", "\uffa0", "\u115f", "a\ufe0f", "\u2800", "\u00ad", "a\u034f", "\U000e0041"},
		"turning":                    {"a\u202e", "\u2066a\u2069", "a\u200f", "\u061ca"},
		"private and unassigned":     {"a\ue000", "a\u0378", "\U0010fffd"},
		"what lines are made of": {
			"(you)", "ada:", "ada\uff1a", "ada\u2236yes", "ada\ua789", "ada\u0589", "[12]", "ada>", "\u2039ada", "\"ada\"", "\u201cada\u201d", "a\\b", "a⏎", "a;", "a`", "a\u05f4", "a\u276e", "「ada」", "«ada»", "“ada",
		},
		"marks":         {"\u0301a", "e\u0301\u0301", "a\u0300\u0301\u0302\u0303\u0304", "\u093ea"},
		"old Hangul":    {"\u1100", "\u1161"},
		"mixed scripts": {"p\u0430ypal", "\u0391lice", "Дима-work", "aβ"},
		"mixed digits":  {"1\u0661", "\u0661\u06f2"},
		"a hashid":      {hashid.ID{1}.String(), "\uff41" + hashid.ID{1}.String()[1:]},
	} {
		for _, name := range names {
			if got, err := Normal(name); err == nil {
				t.Errorf("%s: Normal(%+q) = %+q", kind, name, got)
			} else if strings.ContainsAny(err.Error()[:1], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") || strings.HasSuffix(err.Error(), ".") {
				t.Errorf("%s: the error %q", kind, err)
			}
		}
	}
}

// One name has one owner, in whatever spelling.
func TestSpellingsOfOneName(t *testing.T) {
	ada, bob := hashid.ID{1}, hashid.ID{2}
	b := New([]Contact{{Hashid: ada, Name: "Zo\u00eb", State: Accepted}, {Hashid: bob, Name: "ελένη", State: Accepted}}, nil)
	for spelling, id := range map[string]hashid.ID{
		"Zo\u00eb": ada, "zoe\u0308": ada, "ZO\u00cb": ada, "@zo\u00eb": ada, "\uff3ao\u00eb": ada, "ΕΛΈΝΗ": bob,
	} {
		if c, err := b.Named(spelling); err != nil || c.Hashid != id {
			t.Errorf("Named(%+q) = %v, %v", spelling, c.Hashid, err)
		}
		if name := strings.TrimPrefix(spelling, "@"); b.CheckName(name, hashid.ID{3}) == nil || b.CheckName(name, id) != nil {
			t.Errorf("%+q may be given to another, or not to its owner", spelling)
		}
	}
	if _, err := b.Named(""); err == nil {
		t.Error("a missing name names somebody")
	}
}

// Names that were stored when case counted are told apart as they are written.
func TestNamesStoredBefore(t *testing.T) {
	one, two, odd := hashid.ID{1}, hashid.ID{2}, hashid.ID{3}
	b := New([]Contact{{Hashid: one, Name: "bob"}, {Hashid: two, Name: "Bob"}, {Hashid: odd, Name: "ada:x"}, {Hashid: hashid.ID{4}, Name: "::"}}, nil)
	for range 20 { // the order of a map is random
		for name, id := range map[string]hashid.ID{"bob": one, "Bob": two, "ada:x": odd} {
			if c, err := b.Named(name); err != nil || c.Hashid != id {
				t.Fatalf("Named(%q) = %v, %v", name, c.Hashid, err)
			}
		}
	}
	for _, name := range []string{"BOB", "", "@", "\u200b"} {
		if c, err := b.Named(name); err == nil {
			t.Errorf("%+q names %v", name, c.Hashid)
		}
	}
}

// A nick is never a way to somebody else's name, nor to a line of theirs.
func TestNamesForHostileNicks(t *testing.T) {
	ada, eve := hashid.ID{1}, hashid.ID{2}
	b := New([]Contact{{Hashid: ada, Name: "alice", State: Accepted}}, nil)
	tag, bare := eve.String()[:tagSize], eve.String()[:2*tagSize]
	for nick, want := range map[string]string{
		"bob": "bob", "": bare, "\u202e\u200b": bare, "two words": "twowords", "\uff22ob": "Bob",
		"alice": "alice-" + tag, "Alice": "Alice-" + tag, "ALICE": "ALICE-" + tag, "al\u0456ce": bare, "a\u200blice": "alice-" + tag,
		"a1ice": "a1ice-" + tag, "al1ce": "al1ce-" + tag, "\u0430l\u0456ce": bare, "alicé": "alicé-" + tag,
		"alice: yes, and": "aliceyes,and", "[12:01] alice": "1201alice", "alice:": "alice-" + tag, "\u0391\u0399\u0399\u0421\u0395": bare,
		strings.Repeat("x", 64): strings.Repeat("x", 64), strings.Repeat("x", 90): bare, "e\u0301\u0301\u0301": bare,
		ada.String(): bare, ada.String() + " ": bare,
	} {
		if got := b.NameFor(nick, eve); got != want {
			t.Errorf("NameFor(%+q) = %+q, want %+q", nick, got, want)
		}
	}
	// A rejected contact gives its name up to a person's choice, and to no nick.
	b.Put(Contact{Hashid: hashid.ID{3}, Name: "alice-" + tag, State: Rejected})
	if got := b.NameFor("alice", eve); got != bare {
		t.Errorf("%q", got)
	}
	// Even the fallback may be taken, by someone who is called so on purpose.
	b.Put(Contact{Hashid: ada, Name: bare, State: Accepted})
	if got := b.NameFor("", eve); got != eve.String()[:2*tagSize+1] {
		t.Errorf("%q", got)
	}
}
