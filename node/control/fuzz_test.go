package control_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"unicode/utf8"

	"chatnt/node/control"
)

// pieces hands out its bytes cut after every so many.
type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(len(p.rest), p.size)])
	p.rest = p.rest[n:]
	return n, nil
}

// FuzzDrive is a program that writes any bytes: each line that is not blank, up to
// the first /quit, gets one answer, in order, that names it.
func FuzzDrive(f *testing.F) {
	for _, in := range []string{
		"", "\n\n", "/id\n/peers", "/id\r\n", "\x00\n\xff\n", "/quit\n/id\n", " /quit ", "@bob hi\n//x\n#a b\n", "/msg bob \x1b[2J\u202e\"'\\\n",
		"\u2028\n\u0085\n \t\n", "/query bob\nhi\n", "/add chatnt:qqqq x\n", "/msg bob \"a \\\" b\" 'c'\n", "\xf0\x9f\n", "{\"event\":\"done\"}\n",
	} {
		f.Add([]byte(in), uint8(0), false)
		f.Add([]byte(in), uint8(2), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8, long bool) {
		if long { // the first line is too long
			in = append(bytes.Repeat([]byte{'x'}, control.MaxLine+1), in...)
		}
		var out bytes.Buffer
		n := newFake(control.Ready{})
		step := int(size) + 1
		if long {
			step *= 997 // or it takes all day
		}
		if err := control.Drive(t.Context(), n, &pieces{in, step}, &out); err != nil {
			t.Fatal(err)
		}
		answers := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")[1:] // after that it is ready
		for line := range strings.SplitSeq(string(in), "\n") {
			// The last line has an end only if nothing follows.
			full := strings.TrimSuffix(line, "\r")
			if strings.TrimSpace(full) == "" {
				continue
			}
			if len(answers) == 0 {
				t.Fatalf("%.80q is not answered", line)
			}
			var got struct{ Event, Line, Error string }
			if err := json.Unmarshal([]byte(answers[0]), &got); err != nil || !utf8.ValidString(answers[0]) {
				t.Fatalf("%q: %v", answers[0], err)
			}
			answers = answers[1:]
			want := []string{strings.ToValidUTF8(full, "\ufffd"), strings.ToValidUTF8(line, "\ufffd")}
			if len(full) > control.MaxLine {
				want[0] = strings.ToValidUTF8(full[:256], "\ufffd")
			}
			if got.Line != want[0] && got.Line != want[1] || got.Event != "done" && (got.Event != "error" || got.Error == "") {
				t.Fatalf("%.80q is answered by %+v", line, got)
			}
			if strings.Trim(full, " \t") == "/quit" {
				break
			}
		}
		if len(answers) > 0 {
			t.Fatalf("more was written than asked for: %q", answers)
		}
	})
}

// Thousands that connect, say half a line and stay cost the node sixteen
// clients, and leave nothing behind when they go.
func TestFloodOfClients(t *testing.T) {
	dir := t.TempDir()
	listen(t, newFake(), dir)
	var conns []net.Conn
	for range 2000 {
		conn := dial(t, dir)
		_, _ = io.WriteString(conn, "/i") // it may have been turned away already
		conns = append(conns, conn)
		if len(conns) == 500 { // of which the node holds sixteen
			if err := control.Ask(dir, "/id", new(control.ID)); err == nil {
				t.Error("one more is answered")
			}
			for _, c := range conns {
				c.Close()
			}
			conns = nil
		}
	}
	for control.Ask(dir, "/id", new(control.ID)) != nil {
		if t.Context().Err() != nil {
			t.Fatal("no room is made when they go")
		}
	}
}
