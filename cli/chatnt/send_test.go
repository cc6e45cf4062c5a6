package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatnt/node/control"
	"chatnt/node/message"
)

// What comes of a text is told from what a node says of it, time after time.
func TestSendAwaits(t *testing.T) {
	broken := errors.New("the node is busy")
	changed := control.Text{State: "queued", Reason: "another key", Changed: true}
	for name, test := range map[string]struct {
		answers []any // to /status, control.Text or error; the last again and again
		wait    time.Duration
		code    int
		says    string
		back    []error // to /cancel, so too
	}{
		"delivered":            {[]any{control.Text{State: "queued"}, broken, control.Text{State: "sent"}, control.Text{State: "delivered"}}, time.Minute, 0, "", nil},
		"given up":             {[]any{control.Text{State: "failed", Reason: "the contact said no"}}, time.Minute, 1, "given up: the contact said no", nil},
		"not waited for":       {[]any{control.Text{State: "queued"}}, 0, 3, "queued and not delivered yet: then", nil},
		"waits for a reason":   {[]any{control.Text{State: "queued", Reason: "3 missing"}}, 0, 3, "not delivered yet (3 missing): then", nil},
		"not confirmed":        {[]any{control.Text{State: "queued"}, control.Text{State: "sent"}}, sendLook / 2, 3, "sent and not confirmed yet: then", nil},
		"to another key":       {[]any{control.Text{State: "queued"}, changed}, time.Minute, 6, "taken back: the identity key of this contact has changed", []error{nil}},
		"taken back later":     {[]any{changed}, time.Minute, 6, "taken back: the identity key", []error{broken, broken, nil}},
		"gone out before":      {[]any{changed}, sendLook / 2, 3, "not delivered yet (another key): then", []error{errors.New("gone out")}},
		"and delivered":        {[]any{changed, control.Text{State: "delivered"}}, time.Minute, 0, "", []error{errors.New("gone out")}},
		"the node ends":        {[]any{control.Text{State: "queued"}, control.ErrNotRunning}, time.Minute, 3, "the node has ended", nil},
		"the node never says":  {[]any{broken}, sendLook / 2, 3, "queued, and what came of it is not known: the node is busy", nil},
		"the program is ended": {[]any{context.Canceled}, time.Minute, 1, "canceled", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			asked, cancelled := 0, 0
			s := &outgoingText{wait: test.wait}
			err := s.await(ctx, func(line string, result any) error {
				switch {
				case line == "/cancel 7" && len(test.back) > 0:
					cancelled++
					return test.back[min(cancelled, len(test.back))-1]
				case line != "/status 7":
					t.Errorf("asked %q", line)
				}
				answer := test.answers[min(asked, len(test.answers)-1)]
				asked++
				switch answer := answer.(type) {
				case control.Text:
					*result.(*control.Text) = answer
				case error:
					if errors.Is(answer, context.Canceled) {
						cancel()
					}
					return answer
				}
				return nil
			}, "7", "then")
			if got := exitCode(err); got != test.code || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("exits with %d: %v", got, err)
			}
			if cancelled < len(test.back) {
				t.Errorf("it was asked %d times to take it back", cancelled)
			}
		})
	}
}

// A text whose identity is not in use any more waits, which is another thing than one that is not known.
func TestSendWhileIdentitiesChange(t *testing.T) {
	unknown := errors.New("no text with this id is known")
	for name, test := range map[string]struct {
		before, after string // the hashids of whose node runs
		code          int
		says          string
	}{
		"another's":          {"a", "b", exitQueued, "another identity is in use now: it goes on when that which sends it is used again"},
		"the same":           {"a", "a", exitQueued, "what came of it is not known: no text with this id is known"},
		"nobody's is known":  {"", "b", exitQueued, "what came of it is not known"},
		"none answers to it": {"a", "", exitQueued, "what came of it is not known"},
	} {
		s, first := &outgoingText{wait: 2 * sendLook}, true
		ask := func(line string, result any) error {
			switch {
			case line == "/id" && test.after != "":
				result.(*control.ID).Hashid = test.after
				return nil
			case first:
				first = false
				*result.(*control.Text) = control.Text{State: "queued"}
				return nil
			}
			return unknown
		}
		err := s.await(t.Context(), sameIdentity(ask, control.ID{Hashid: test.before}), "7", "then")
		if got := exitCode(err); got != test.code || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: exits with %d: %v", name, got, err)
		}
	}
}

// What is on standard input is the text, without the end of its last line.
func TestSendReadsStandardInput(t *testing.T) {
	for in, want := range map[string]string{
		"hi": "hi", "hi\n": "hi", "hi\r\n": "hi", "two\nlines\n\n": "two\nlines\n", "\n\n": "\n",
		strings.Repeat("x", message.MaxText): strings.Repeat("x", message.MaxText), strings.Repeat("x", message.MaxText) + "\n": strings.Repeat("x", message.MaxText),
		strings.Repeat("x", message.MaxText+1): "", strings.Repeat("x", 4*message.MaxText): "", "": "", "\n": "", "\xff": "", "a\x00b": "",
	} {
		path := filepath.Join(t.TempDir(), "text")
		if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s := &outgoingText{common: common{std: stdio{in: file}}}
		err = s.read([]string{"bob"})
		file.Close()
		if want == "" {
			if err == nil {
				t.Errorf("%.20q is sent as %.20q", in, s.text)
			}
			continue
		}
		if err != nil || s.text != want {
			t.Errorf("%.20q is sent as %.20q, %v", in, s.text, err)
			continue
		}
		line, err := s.line()
		if err != nil || strings.ContainsAny(line, "\r\n") || !strings.HasPrefix(line, `/msg -json bob "`) {
			t.Errorf("%.20q becomes %.40q, %v", in, line, err)
		}
	}
	s := &outgoingText{name: "bob", text: strings.Repeat("\x01", 20_000)}
	if _, err := s.line(); exitCode(err) != exitUsage {
		t.Errorf("a line that is too long: %v", err)
	}
}
