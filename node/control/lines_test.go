package control_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"chatnt/node/control"
)

// transcript reads everything and returns the lines, "!" before the prefix of
// each that was too long, and the final error.
func transcript(l *control.Lines) (got []string, err error) {
	for {
		line, err := l.Next()
		var long *control.LineTooLongError
		switch {
		case errors.As(err, &long):
			got = append(got, "!"+long.Prefix)
		case err != nil:
			if line != "" {
				got = append(got, "a line with an error: "+line)
			}
			return got, err
		default:
			got = append(got, line)
		}
	}
}

func TestLines(t *testing.T) {
	full := strings.Repeat("x", control.MaxLine)
	prefix := "!" + full[:256]
	for name, test := range map[string]struct {
		in   string
		want []string
	}{
		"nothing":             {"", nil},
		"one":                 {"a\n", []string{"a"}},
		"empty lines":         {"\n\n", []string{"", ""}},
		"no end":              {"a\nb", []string{"a", "b"}},
		"carriage returns":    {"a\r\nb\rc\r\n\r\n", []string{"a", "b\rc", ""}},
		"a return at the end": {"a\r", []string{"a\r"}},
		"binary":              {"\x00\xff\x1b[2J\n", []string{"\x00\xff\x1b[2J"}},
		"full":                {full + "\n", []string{full}},
		"full, CRLF":          {full + "\r\nb\n", []string{full, "b"}},
		"full, no end":        {full, []string{full}},
		"one over":            {full + "x\nb\n", []string{prefix, "b"}},
		"one over, CRLF":      {full + "x\r\nb\n", []string{prefix, "b"}},
		"one over, no end":    {full + "x", []string{prefix}},
		"two over":            {full + "xx\nb\n", []string{prefix, "b"}},
		"far over":            {strings.Repeat(full, 5) + "\nb\n", []string{prefix, "b"}},
		"far over, no end":    {"a\n" + strings.Repeat(full, 5), []string{"a", prefix}},
		"two in a row":        {full + "xxxx\n" + full + "xxxx\nb", []string{prefix, prefix, "b"}},
	} {
		for kind, r := range map[string]io.Reader{
			"whole":  strings.NewReader(test.in),
			"halves": iotest.HalfReader(strings.NewReader(test.in)),
			"at end": iotest.DataErrReader(strings.NewReader(test.in)),
		} {
			got, err := transcript(control.NewLines(r))
			if !errors.Is(err, io.EOF) || strings.Join(got, "\n|") != strings.Join(test.want, "\n|") || len(got) != len(test.want) {
				t.Errorf("%s, %s: %.60q..., %v", name, kind, got, err)
			}
		}
	}
}

func TestLinesReaderFails(t *testing.T) {
	failure := errors.New("failure")
	r := io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(failure))
	got, err := transcript(control.NewLines(r))
	if !errors.Is(err, failure) || strings.Join(got, "|") != "a|b" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Who never ends a line is told at once, and costs no more memory.
func TestLinesEndless(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = w.Write(make([]byte, control.MaxLine+2)) }() // and never an end
	var long *control.LineTooLongError
	if _, err := control.NewLines(r).Next(); !errors.As(err, &long) || len(long.Prefix) != 256 {
		t.Errorf("got %v", err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("", uint32(0))
	f.Add("a\r\nb\x00\n", uint32(3))
	f.Add("a\n", uint32(control.MaxLine))
	f.Fuzz(func(t *testing.T, in string, pad uint32) {
		in += strings.Repeat("p", int(pad%(3*control.MaxLine))) + "\n" + in
		var want []string
		for line := range strings.SplitSeq(strings.TrimSuffix(in, "\n"), "\n") {
			want = append(want, line)
		}
		got, err := transcript(control.NewLines(strings.NewReader(in)))
		if !errors.Is(err, io.EOF) || len(got) != len(want) {
			t.Fatalf("%d lines of %d, %v", len(got), len(want), err)
		}
		for i, line := range got {
			full := want[i]
			if i < len(got)-1 || strings.HasSuffix(in, "\n") {
				full = strings.TrimSuffix(full, "\r")
			}
			if len(full) > control.MaxLine {
				full = "!" + full[:256]
			}
			if line != full {
				t.Fatalf("line %d is %.40q, want %.40q", i, line, full)
			}
		}
	})
}
