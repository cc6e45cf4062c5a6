package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzAnswer reads what somebody says who claims to be the running node. A result
// is believed only if it is the first line and answers the line that was sent.
func FuzzAnswer(f *testing.F) {
	const line = "/id"
	for _, said := range []string{
		`{"event":"done","line":"/id","hashid":"h","node":"n"}` + "\n",
		`{"event":"done","line":"/id"}`,
		`{"event":"error","line":"/id","error":"no"}` + "\n",
		`{"event":"error","line":"/id","error":""}` + "\n",
		`{"event":"error","line":"/id","error":"\u001b[2J` + "\u202e" + `"}` + "\n",
		`{"event":"done","line":"/quit","hashid":"h"}` + "\n",
		`{"event":"ready","hashid":"h"}` + "\n" + `{"event":"done","line":"/id","hashid":"h"}` + "\n",
		`{"event":"done","line":"/id","hashid":["h"]}` + "\n",
		`{"event":"done","line":"/id","hashid":{"a":{"b":[[[[]]]]}}}` + "\n",
		`{"Event":"done","LINE":"/id","event":"x"}` + "\n",
		`{"event":"done","line":"/id","hashid":"\ud800\uffff"}` + "\n",
		`{"event":"done","line":"/id"}{"event":"done"}` + "\n",
		"\xef\xbb\xbf{}\n", "null\n", "[]\n", "\n", "", "{", "\x00", strings.Repeat("[", 20_000) + "\n",
	} {
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		var id ID
		err := readAnswer(bytes.NewReader(said), line, &id)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a sentence")
			}
			return
		}
		first, _, _ := bytes.Cut(said, []byte("\n"))
		var plain struct {
			Event, Line string
			ID
		}
		if err := json.Unmarshal(first, &plain); err != nil || plain.Event != "done" || plain.Line != line || plain.ID != id {
			t.Errorf("%q is believed to say %v", said, id)
		}
	})
}

// What a node's Writer writes is read as it was meant.
func TestReadAnswer(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	if err := errors.Join(w.Done("/id", ID{Hashid: "h", Node: "n"}), w.Error("/id", errors.New("not now"))); err != nil {
		t.Fatal(err)
	}
	var id ID
	done, failed, _ := strings.Cut(b.String(), "\n")
	if err := readAnswer(strings.NewReader(done), "/id", &id); err != nil || id != (ID{Hashid: "h", Node: "n"}) {
		t.Errorf("%s: %v, %v", done, id, err)
	}
	if err := readAnswer(strings.NewReader(failed), "/id", &id); err == nil || err.Error() != "not now" {
		t.Errorf("%s: %v", failed, err)
	}
	for _, said := range []string{done[:len(done)-1], strings.Replace(done, "done", "ready", 1), strings.Replace(done, "/id", "/peers", 1), "", strings.Repeat(" ", maxAnswer+1)} {
		if err := readAnswer(strings.NewReader(said), "/id", &id); err == nil || !strings.HasPrefix(err.Error(), "the running node") {
			t.Errorf("%.80q: %v", said, err)
		}
	}
}
