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
	for name, test := range map[string]struct {
		answers []any // control.Text or error; the last again and again
		wait    time.Duration
		code    int
		says    string
	}{
		"delivered":            {[]any{control.Text{State: "queued"}, broken, control.Text{State: "sent"}, control.Text{State: "delivered"}}, time.Minute, 0, ""},
		"given up":             {[]any{control.Text{State: "failed", Reason: "the contact said no"}}, time.Minute, 1, "given up: the contact said no"},
		"not waited for":       {[]any{control.Text{State: "queued"}}, 0, 3, "queued and not delivered yet: then"},
		"waits for a reason":   {[]any{control.Text{State: "queued", Reason: "3 missing"}}, 0, 3, "not delivered yet (3 missing): then"},
		"not confirmed":        {[]any{control.Text{State: "queued"}, control.Text{State: "sent"}}, sendLook / 2, 3, "sent and not confirmed yet: then"},
		"to another key":       {[]any{control.Text{State: "queued"}, control.Text{State: "queued", Changed: true}}, time.Minute, 6, "queued, and waits: the identity key of this contact has changed"},
		"the node ends":        {[]any{control.Text{State: "queued"}, control.ErrNotRunning}, time.Minute, 3, "the node has ended"},
		"the node never says":  {[]any{broken}, sendLook / 2, 1, "busy"},
		"the program is ended": {[]any{context.Canceled}, time.Minute, 1, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			asked := 0
			s := &outgoingText{wait: test.wait}
			err := s.await(ctx, func(line string, result any) error {
				if line != "/status 7" {
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
		})
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
