package repl

import (
	"strings"
	"testing"
	"time"

	"chatnt/node/control"
)

func TestTextToldAgainSaysSo(t *testing.T) {
	e := control.MessageReceived{Name: "bob", Text: "hi", At: time.Unix(0, 0)}
	if got := Event(e); !strings.HasSuffix(got, "] bob: hi") {
		t.Errorf("told as %q", got)
	}
	e.Again = true
	if got := Event(e); !strings.HasSuffix(got, "] (again) bob: hi") {
		t.Errorf("told again as %q", got)
	}
}

func TestWrongClockIsSaid(t *testing.T) {
	if got := Event(control.Warning{About: "clock", Text: "The clock is wrong.\x1b[2J"}); !strings.HasPrefix(got, "The clock is wrong.") || strings.Contains(got, "\x1b") {
		t.Errorf("told as %q", got)
	}
	for off, want := range map[int]string{7200: "2h0m0s ahead of", -360: "6m0s behind"} {
		if got := Status(control.Status{ClockOff: off}); !strings.Contains(got, "\nclock        "+want+" those of other nodes") {
			t.Errorf("%d seconds are shown as\n%s", off, got)
		}
	}
	if got := Status(control.Status{}); strings.Contains(got, "clock ") {
		t.Errorf("a right clock is shown as\n%s", got)
	}
}

// What a command does stands in one column, below the command where that is long.
func TestHelpIsAColumn(t *testing.T) {
	long := "/set [history on|off | ttl TIME|off] [NAME]"
	got := Result(control.Help{Commands: []control.CommandHelp{{Usage: "/quit", Help: "stop"}, {Usage: long, Help: "keep"}}})
	blank := strings.Repeat(" ", 32)
	if want := "/quit" + blank + "stop\n" + long + "\n     " + blank + "keep"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
