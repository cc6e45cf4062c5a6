package repl

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"rsc.io/qr"
)

// The drawing is the code: read back cell by cell, quiet zone aside.
func TestPrintQR(t *testing.T) {
	text := strings.Repeat("invite", 11)[:65]
	var b bytes.Buffer
	if err := PrintQR(&b, text); err != nil {
		t.Fatal(err)
	}
	want, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) > 20 {
		t.Errorf("%d lines", len(lines))
	}
	const quiet = 2
	for y := range want.Size {
		line := []rune(lines[(y+quiet)/2])
		for x := range want.Size {
			upper, lower := line[x+quiet] == ' ' || line[x+quiet] == '▄', line[x+quiet] == ' ' || line[x+quiet] == '▀'
			if black := [2]bool{upper, lower}[(y+quiet)%2]; black != want.Black(x, y) {
				t.Fatalf("cell %d, %d is wrong", x, y)
			}
		}
	}
	for _, line := range lines {
		if strings.Trim(line, " ▄▀█") != "" || utf8.RuneCountInString(line) < want.Size+quiet {
			t.Fatalf("odd line %q", line)
		}
	}
}

func TestPrintQRErrors(t *testing.T) {
	if err := PrintQR(io.Discard, strings.Repeat("\x80", maxQR)); err != nil {
		t.Errorf("the longest text: %v", err)
	}
	if PrintQR(io.Discard, strings.Repeat("\x80", maxQR+1)) == nil {
		t.Error("drew a text that does not fit")
	}
	r, w := io.Pipe()
	r.Close()
	if err := PrintQR(w, "text"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a writer that fails: %v", err)
	}
}

// In the prompt, an invite is drawn where there is room, and it is that invite.
func TestInviteQR(t *testing.T) {
	const invite = "chatnt:qyxq8pqqq"
	var want bytes.Buffer
	if err := PrintQR(&want, strings.ToUpper(invite)); err != nil {
		t.Fatal(err)
	}
	columns := utf8.RuneCountInString(strings.SplitAfter(want.String(), "\n")[0]) - 1
	if got := inviteQR(invite, columns); got+"\n" != want.String() {
		t.Errorf("%d columns:\n%s\nwant\n%s", columns, got, want.String())
	}
	if got := inviteQR(invite, columns-1); !strings.Contains(got, "columns") || strings.ContainsAny(got, "▄▀█") {
		t.Errorf("in too few columns: %q", got)
	}
	if got := inviteQR(strings.Repeat("x", 2*maxQR), 80); !strings.Contains(got, "do not fit") {
		t.Errorf("a text that fits no code: %q", got)
	}
}
