package control_test

import (
	"bytes"
	"errors"
	"testing"

	"chatnt/node/contact"
	"chatnt/node/control"
)

// What a program must tell from other errors stays so across the socket, and in the JSON of events.
func TestCauses(t *testing.T) {
	dir, n := t.TempDir(), newFake()
	listen(t, n, dir)
	here := control.NewDialogue(n)
	for line, want := range map[string]error{
		"/msg -verified changed hi":  contact.ErrKeyChanged,
		"/msg -verified stranger hi": contact.ErrUnverified,
		"/msg -verified nobody hi":   nil,
		"/msg nobody hi":             nil,
	} {
		for where, ask := range map[string]func(string, any) error{
			"here":  here.Ask,
			"there": func(line string, result any) error { return control.Ask(dir, line, result) },
		} {
			err := ask(line, new(control.Stored))
			if err == nil || want != nil && !errors.Is(err, want) || want == nil && (errors.Is(err, contact.ErrKeyChanged) || errors.Is(err, contact.ErrUnverified)) {
				t.Errorf("%s, %s: %v", line, where, err)
			}
		}
	}
	for where, ask := range map[string]func(string, any) error{
		"here":  here.Ask,
		"there": func(line string, result any) error { return control.Ask(dir, line, result) },
	} {
		var stored control.Stored
		if err := ask("/msg -verified bob hi", &stored); err != nil || stored.State != control.Queued {
			t.Errorf("%s: %+v, %v", where, stored, err)
		}
		if err := ask("/close", &stored); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if err := ask("/status 7", new([]string)); err == nil {
			t.Errorf("%s: a result that is something else", where)
		}
	}
	var b bytes.Buffer
	if err := errors.Join(control.NewWriter(&b).Error("x", contact.ErrUnverified), control.NewWriter(&b).Error("x", errors.New("no"))); err != nil {
		t.Fatal(err)
	}
	want := `{"event":"error","line":"x","error":"` + contact.ErrUnverified.Error() + `","cause":"not verified"}` + "\n" + `{"event":"error","line":"x","error":"no"}` + "\n"
	if b.String() != want {
		t.Errorf("written is\n%swant\n%s", b.String(), want)
	}
}
