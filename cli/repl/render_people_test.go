package repl

import (
	"strings"
	"testing"
	"time"

	"chatnt/node/control"
)

// How people are shown: with their tags where a name may mislead, and with how they stand.
func TestPeopleAreShown(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 1, 0, 0, time.Local)
	h := strings.Repeat("a", 56)
	for want, shown := range map[string]string{
		"[12:01] bob: hi":        Event(control.MessageReceived{Name: "bob", Text: "hi", At: at}),
		"[12:01] bob [aeq]: hi":  Event(control.MessageReceived{Name: "bob", Tag: "aeq", Text: "hi", At: at}),
		"[12:01] נועה [aeq]: hi": strings.ReplaceAll(Event(control.MessageReceived{Name: "נועה", Tag: "aeq", Text: "hi", At: at}), fence, ""),
		"Somebody asks to become a contact: /accept, /reject or /block\n  " + h + "\n    calls itself \"b\\\"ob\" [aeq], a name that may mislead\n    and says \"hi\"": Event(control.RequestReceived{From: h, Nick: `b"ob`, Tag: "aeq", Text: "hi"}),
		"bob [aeq] is a contact now: @bob TEXT writes to them.":                                   Event(control.ContactChanged{Local: "bob", Tag: "aeq", State: "accepted"}),
		"bob is blocked: nothing of theirs is heard or answered any more, and they are not told.": Event(control.ContactChanged{Local: "bob", State: "blocked"}),
		"bob is a stranger again, and what was said is deleted.":                                  Event(control.ContactChanged{Local: "bob", State: "removed"}),
		"error is rejected now.":          Event(control.ContactChanged{Local: "error", State: "rejected"}),
		"bob              accepted  " + h: Result(control.Contacts{Contacts: []control.Contact{{Name: "bob", State: "accepted", Hashid: h}}}),
		"bob [aeq]        accepted  " + h + "  verified  last 2026-11-22 12:01": Result(control.Contacts{Contacts: []control.Contact{{Name: "bob", Tag: "aeq", State: "accepted", Hashid: h, Verified: true, Last: at}}}),
		"bob              accepted  " + h + "  another key: see /verify":        Result(control.Contacts{Contacts: []control.Contact{{Name: "bob", State: "accepted", Hashid: h, Verified: true, Changed: true}}}),
		"Called bob [aeq] now.":                                             Result(control.Contact{Name: "bob", Tag: "aeq"}),
		"What you type goes to bob [aeq] now; /close ends that.":            Result(control.Conversation{Name: "bob", Tag: "aeq"}),
		"[2026-11-22 12:01] bob [aeq]: hi":                                  Result(control.History{Texts: []control.Said{{Name: "bob", Tag: "aeq", Text: "hi", At: at}}}),
		"[2026-11-22 12:01] you: I did it\n[2026-11-22 12:01] (you): what?": Result(control.History{Texts: []control.Said{{Name: "you", Text: "I did it", At: at}, {Name: "you", Own: true, Text: "what?", At: at}}}),
		"Nothing is kept of what you and bob [aeq] say.":                    Result(control.Settings{Name: "bob", Tag: "aeq"}),
		"delivered":            Result(control.Text{State: "delivered"}),
		"queued: no network":   Result(control.Text{State: "queued", Reason: "no network"}),
		"bob is verified.":     Result(control.Compared{Safety: control.Safety{Name: "bob", Verified: true}}),
		"bob is not verified.": Result(control.Compared{Safety: control.Safety{Name: "bob"}}),
		"bob [aeq] has another key still: see /verify.": Result(control.Compared{Safety: control.Safety{Name: "bob", Tag: "aeq", Changed: true}}),
	} {
		if shown != want {
			t.Errorf("shown is\n%q, want\n%q", shown, want)
		}
	}
}

// A safety number stands in rows that fit, and is followed by what to type.
func TestSafetyNumberIsShown(t *testing.T) {
	s := control.Safety{Name: "bob", Digits: strings.TrimSpace(strings.Repeat("12345 ", 12)), Words: strings.TrimSpace(strings.Repeat("abacus ", 20))}
	shown := Result(s)
	for _, row := range strings.Split(shown, "\n")[1:7] {
		if len(row) > 40 || !strings.HasPrefix(row, "  ") {
			t.Errorf("a row is %q", row)
		}
	}
	if !strings.Contains(shown, "If it is the same: /verify bob yes. If not, somebody stands between you two: /verify bob no.") {
		t.Errorf("shown is\n%s", shown)
	}
	s.Verified = true
	if shown := Result(s); !strings.Contains(shown, "You have compared it; /verify bob no takes that back.") {
		t.Errorf("of a verified contact is shown\n%s", shown)
	}
	s.Changed = true
	if shown := Result(s); !strings.HasPrefix(shown, "The identity key of bob has changed") || !strings.Contains(shown, "and it is refused") {
		t.Errorf("of a changed key is shown\n%s", shown)
	}
}
