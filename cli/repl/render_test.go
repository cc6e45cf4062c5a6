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
