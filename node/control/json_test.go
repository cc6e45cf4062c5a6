package control_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"chatnt/node/control"
)

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The lines that scripts rely on, to the letter.
func TestGoldenLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	for want, write := range map[string]func(*control.Writer) error{
		`{"event":"ready","hashid":"h","node":"n","listen":["/ip4/127.0.0.1/tcp/1"],"network":"fam"}`: event(control.Ready{
			Hashid: "h", Node: "n", Listen: []string{"/ip4/127.0.0.1/tcp/1"}, Network: "fam",
		}),
		`{"event":"message","id":"i","from":"h","name":"bob","text":"hi <b>&","at":"2026-01-02T03:04:05.006Z"}`: event(control.MessageReceived{
			ID: "i", From: "h", Name: "bob", Text: "hi <b>&", At: at,
		}),
		`{"event":"message","id":"i","from":"h","name":"bob","text":"hi","at":"2026-01-02T03:04:05.006Z","again":true}`: event(control.MessageReceived{
			ID: "i", From: "h", Name: "bob", Text: "hi", At: at, Again: true,
		}),
		`{"event":"status","id":"i","to":"h","state":"queued","reason":"why"}`: event(control.StatusChanged{ID: "i", To: "h", State: control.Queued, Reason: "why"}),
		`{"event":"status","id":"i","to":"h","state":"sent","reason":""}`:      event(control.StatusChanged{ID: "i", To: "h", State: control.Sent}),
		`{"event":"status","id":"i","to":"h","state":"delivered","reason":""}`: event(control.StatusChanged{ID: "i", To: "h", State: control.Delivered}),
		`{"event":"status","id":"i","to":"h","state":"failed","reason":""}`:    event(control.StatusChanged{ID: "i", To: "h", State: control.Failed}),
		`{"event":"request","from":"h","name":"bob","text":"me"}`:              event(control.RequestReceived{From: "h", Nick: "bob", Text: "me"}),
		`{"event":"contact","hashid":"h","name":"bob","state":"accepted"}`:     event(control.ContactChanged{Hashid: "h", Local: "bob", State: "accepted"}),
		`{"event":"relays","known":7,"usable":6}`:                              event(control.RelaysChanged{Known: 7, Usable: 6}),
		`{"event":"done","line":"/quit"}`:                                      func(w *control.Writer) error { return w.Done("/quit", nil) },
		`{"event":"done","line":"/msg bob hi","id":"i","state":"queued"}`: func(w *control.Writer) error {
			return w.Done("/msg bob hi", control.Stored{ID: "i", State: control.Queued})
		},
		`{"event":"done","line":" \t\"x\\ ","hashid":"h","node":"n","listed":false}`: func(w *control.Writer) error {
			return w.Done(" \t\"x\\ ", control.ID{Hashid: "h", Node: "n"})
		},
		`{"event":"error","line":"/x","error":"there is no command"}`: func(w *control.Writer) error {
			return w.Error("/x", errors.New("there is no command"))
		},
		// What could steer a terminal is escaped; other text is as it is.
		`{"event":"error","line":"\u001b[2J\u007f\u009b\u202e\u2066\u200b\u2028\udb40\udc41é😀","error":"\u0007"}`: func(w *control.Writer) error {
			return w.Error("\x1b[2J\x7f\u009b\u202e\u2066\u200b\u2028\U000e0041é😀", errors.New("\a"))
		},
		// Invalid UTF-8 is replaced.
		`{"event":"error","line":"a` + "\ufffd" + `b","error":"\ufffd"}`: func(w *control.Writer) error {
			return w.Error("a\xffb", errors.New("\xc3"))
		},
	} {
		var b bytes.Buffer
		if err := write(control.NewWriter(&b)); err != nil || b.String() != want+"\n" {
			t.Errorf("%v\n%swant\n%s", err, b.String(), want)
		}
	}
}

func event(e control.Event) func(*control.Writer) error {
	return func(w *control.Writer) error { return w.Event(e) }
}

func TestResultsAreObjects(t *testing.T) {
	var b bytes.Buffer
	if err := control.NewWriter(&b).Done("/x", []int{1}); err == nil || b.Len() > 0 {
		t.Errorf("a list was written as a result: %v %s", err, b.String())
	}
}

// Whatever is written is one line of JSON that says the same to a reader of JSON
// and has nothing in it that steers a terminal.
func FuzzWriter(f *testing.F) {
	for _, s := range []string{"", "/msg bob hi", "\x1b]0;x\x07", "\u202e\u2028\u0085\x7f", "\xff\xc3(", "\U000e0041\U0001d173😀", `"\u202e`, strings.Repeat("\n", 3)} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, line, text string) {
		var b bytes.Buffer
		w := control.NewWriter(&b)
		if err := errors.Join(
			w.Done(line, control.Nick{Nick: text}),
			w.Error(line, errors.New(text)),
			w.Event(control.MessageReceived{Text: text, Name: line}),
		); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 3 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, l := range lines {
			if i := strings.IndexFunc(l, steers); i >= 0 {
				t.Errorf("%q at %d of %q", l[i:], i, l)
			}
			var got struct{ Line, Name, Nick, Error, Text *string }
			if err := json.Unmarshal([]byte(l), &got); err != nil {
				t.Fatalf("%v: %s", err, l)
			}
			for _, s := range []*string{got.Line, got.Name} {
				if s != nil && utf8.ValidString(line) && *s != line {
					t.Errorf("%q came out as %q", line, *s)
				}
			}
			for _, s := range []*string{got.Nick, got.Error, got.Text} {
				if s != nil && utf8.ValidString(text) && *s != text {
					t.Errorf("%q came out as %q", text, *s)
				}
			}
		}
	})
}

func steers(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
