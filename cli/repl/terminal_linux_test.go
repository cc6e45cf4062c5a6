//go:build linux

package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"chatnt/node/control"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reading starts a ReadLine and returns its result to come.
func reading(ctx context.Context, terminal *Terminal) <-chan line {
	result := make(chan line, 1)
	go func() {
		text, err := terminal.ReadLine(ctx)
		result <- line{text, err}
	}()
	return result
}

func expect(t *testing.T, result <-chan line, text string, err error) {
	t.Helper()
	got := <-result
	if got.text != text || !errors.Is(got.err, err) {
		t.Errorf("read %q, %v, want %q, %v", got.text, got.err, text, err)
	}
}

func TestTypeALine(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	if !terminal.Interactive() {
		t.Error("not interactive")
	}
	result := reading(t.Context(), terminal)
	p.wait(">")
	p.press("hallo, wörld\x1b[H\x1b[C\x7fh") // Home, right, erase, type
	p.wait("> hallo, wörld")
	p.press("\x1b[3~e\r") // delete
	expect(t, result, "hello, wörld", nil)
}

func TestLineAboveHalfTyped(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	terminal.Println("before any prompt")
	result := reading(t.Context(), terminal)
	p.wait("before any prompt", ">")
	p.press("half a li")
	p.wait("> half a li")
	terminal.Println("[12:01] bob: hi")
	p.wait("before any prompt", "[12:01] bob: hi", "> half a li")
	terminal.Println("two\nlines, one of them longer than the screen is wide")
	p.wait("[12:01] bob: hi", "two", "lines, one of them longer than the", "        screen is wide", "> half a li")
	p.press("ne\r")
	expect(t, result, "half a line", nil)
	p.wait("        screen is wide", "> half a line")
	terminal.Println("between two reads")
	p.wait("> half a line", "between two reads")
}

// A half-typed line may take several rows, with the cursor inside it.
func TestLineAboveLongLine(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	result := reading(t.Context(), terminal)
	p.wait(">")
	long := strings.Repeat("0123456789", 9)
	p.press(long + strings.Repeat("\x1b[D", 45))
	rows := []string{"> " + long[:38], long[38:78], long[78:]}
	p.wait(rows...)
	for i := range 3 {
		terminal.Println(fmt.Sprint("line ", i))
	}
	p.wait(append([]string{"line 0", "line 1", "line 2"}, rows...)...)
	p.press("\r")
	expect(t, result, long, nil)
}

func TestPaste(t *testing.T) {
	for name, test := range map[string]struct{ keys, want string }{
		"three lines":         {pasteStart + "one\rtwo\rthree" + pasteEnd, "one\ntwo\nthree"},
		"line ends of others": {pasteStart + "one\r\ntwo\nthree\n" + pasteEnd, "one\ntwo\nthree"},
		"into a line":         {"ab\x1b[D" + pasteStart + "1\r2" + pasteEnd + "x", "a1\n2xb"},
		"twice":               {pasteStart + "a\r" + pasteEnd + pasteStart + "b" + pasteEnd, "a\nb"},
		"controls":            {pasteStart + "a\x03\x04\x1b[2J\x00\tb\x1e\x1c\u009b" + pasteEnd, "a[2J b"},
		"our own mark":        {pasteStart + "a\ue00ab" + pasteEnd + "\ue00ac\x1e\x1cd", "abcd"},
		"empty":               {pasteStart + pasteEnd + "a", "a"},
		"unlike an end":       {pasteStart + "a\x1b[201b" + pasteEnd, "a[201b"},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPTY(t)
			terminal := p.terminal(nil)
			result := reading(t.Context(), terminal)
			p.wait(">")
			p.press(test.keys + "\r")
			expect(t, result, test.want, nil)
		})
	}
}

// What is invisible in a paste is in the line and not on the screen, where the cursor finds its way all the same.
func TestPasteOfTheInvisible(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	result := reading(t.Context(), terminal)
	p.wait(">")
	p.press(pasteStart + "a\u202eb\u2066c\U000e0041d\u200be\u2028f" + pasteEnd)
	p.wait("> abcde⏎f")
	p.press("\x01\x1b[C\x1b[C\x1b[CX") // to the start, and over three of them
	p.wait("> abXcde⏎f")
	p.press("\r")
	expect(t, result, "a\u202ebX\u2066c\U000e0041d\u200be\u2028f", nil)
	for _, r := range p.written() {
		if r != 0x1b && r != '\r' && r != '\n' && r != '\b' && (isHidden(r) || isLineBreak(r)) {
			t.Errorf("%+q reached the terminal", r)
		}
	}
	// So they are when they are typed, one by one, and when the line comes back.
	result = reading(t.Context(), terminal)
	p.press("\u202ex\u200by")
	p.wait("> xy")
	p.press("\x1b[A")
	p.wait("> abXcde⏎f")
	p.press("\r")
	expect(t, result, "a\u202ebX\u2066c\U000e0041d\u200be\u2028f", nil)
	if strings.ContainsAny(p.written(), "\u202e\u200b\u2066") {
		t.Error("what was typed reached the terminal")
	}
}

// A paste may come in any number of pieces, and lines may be printed meanwhile.
func TestPasteInPieces(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	result := reading(t.Context(), terminal)
	p.wait(">")
	for i, b := range []byte("x" + pasteStart + "eins\rzwölf" + pasteEnd) {
		p.press(string([]byte{b}))
		if i%4 == 0 {
			terminal.Println(fmt.Sprint("line ", i))
		}
	}
	p.wait("line 20", "> xeins⏎zwölf")
	p.press("\r")
	expect(t, result, "xeins\nzwölf", nil)
}

func TestLongPaste(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	for _, size := range []int{control.MaxLine, control.MaxLine + 1, 3 * control.MaxLine} {
		result := reading(t.Context(), terminal)
		text := strings.Repeat("p", size)
		p.wait(">")
		p.press(pasteStart + text + pasteEnd + "\r")
		got := <-result
		var long *control.LineTooLongError
		switch {
		case size <= control.MaxLine && (got.text != text || got.err != nil):
			t.Errorf("%d bytes came as %d, %v", size, len(got.text), got.err)
		case size > control.MaxLine && (!errors.As(got.err, &long) || long.Prefix != text[:256]):
			t.Errorf("%d bytes: %d, %v", size, len(got.text), got.err)
		}
	}
	result := reading(t.Context(), terminal)
	p.press("and on\r")
	expect(t, result, "and on", nil)
}

func TestInterruptAndEnd(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	result := reading(t.Context(), terminal)
	p.wait(">")
	p.press("half\x03")
	expect(t, result, "", ErrInterrupt)
	result = reading(t.Context(), terminal)
	p.press("\x1a\x12\x04") // Ctrl-Z and Ctrl-R do nothing
	expect(t, result, "", io.EOF)
}

func TestHistory(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	for _, text := range []string{"first", "second"} {
		result := reading(t.Context(), terminal)
		p.wait(">")
		p.press(text + "\r")
		expect(t, result, text, nil)
	}
	result := reading(t.Context(), terminal)
	p.press("\x1b[A\x1b[A\r")
	expect(t, result, "first", nil)
}

func TestComplete(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(func(head string) []string {
		if strings.HasPrefix(head, "/msg ") {
			return []string{"/msg bob ", "/msg bobby ", "/msg carol ", "/msg ca\x1b[2Jt ", "/msg bob "}
		}
		return []string{"/msg ", "/query "}
	})
	result := reading(t.Context(), terminal)
	p.wait(">")
	p.press("/m\tc\thi\r")
	expect(t, result, "/msg carol hi", nil)

	result = reading(t.Context(), terminal)
	p.press("/msg b\t\t")
	p.wait("bob  bobby", "> /msg bob")
	p.press("b\tx\x1b[D\x1b[D\tz\t\r") // and in the middle, and where nothing fits
	expect(t, result, "/msg bobby z x", nil)
}

func TestPassword(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(func(string) []string { return []string{"completed"} })
	got := make(chan line, 1)
	go func() {
		secret, err := terminal.ReadPassword("Passphrase: ")
		got <- line{string(secret), err}
	}()
	p.wait("Passphrase:")
	terminal.SetPrompt("* ")
	terminal.Println("a line meanwhile")
	p.wait("a line meanwhile", "Passphrase:")
	p.press("hush-hush\x01\x0b\x17\x15\x1dhushx\x7f\x1b[D\x1b[A\t" + pasteStart + "hush\n" + pasteEnd + "\r")
	expect(t, got, "hushhush", nil)

	result := reading(t.Context(), terminal)
	p.wait("*")
	p.press("\x1b[A\x19seen\r") // neither history nor yanking brings it back
	expect(t, result, "seen", nil)
	if strings.Contains(p.written(), "hush") {
		t.Errorf("the passphrase is on the screen: %q", p.written())
	}
}

func TestSetPrompt(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	result := reading(t.Context(), terminal)
	p.wait(">")
	p.press("text")
	p.wait("> text")
	terminal.SetPrompt("\x1b[32m@bob\x1b[0m> ")
	p.wait("@bob> text")
	terminal.SetPrompt("evil\x1b]52;c;eA==\x07 \x1b") // an unfinished sequence harms nobody
	p.wait("evil]52;c;eA== text")
	p.press("\r")
	expect(t, result, "text", nil)
}

// When its context ends, ReadLine returns, and what was typed stays.
func TestContext(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	ctx, cancel := context.WithCancel(t.Context())
	result := reading(ctx, terminal)
	p.wait(">")
	p.press("half ")
	p.wait("> half")
	cancel()
	expect(t, result, "", context.Canceled)
	if _, err := terminal.ReadPassword(""); err == nil {
		t.Error("asked for a passphrase in the middle of a line")
	}
	result = reading(t.Context(), terminal)
	p.press("and half\r")
	expect(t, result, "half and half", nil)
}

func TestClose(t *testing.T) {
	p := openPTY(t)
	before, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	terminal := p.terminal(nil)
	result := reading(t.Context(), terminal)
	p.wait(">")
	p.press("half typed")
	p.wait("> half typed")
	if err := errors.Join(terminal.Close(), terminal.Close()); err != nil {
		t.Error(err)
	}
	expect(t, result, "", io.EOF)
	if _, err := terminal.ReadLine(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after Close: %v", err)
	}
	after, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal is left as %+v, was %+v, %v", after, before, err)
	}
	terminal.Println("after")
	p.wait("after")
	modes := p.written()
	if on, off := strings.LastIndex(modes, "\x1b[?2004h"), strings.LastIndex(modes, "\x1b[?2004l"); on < 0 || off < on {
		t.Errorf("pastes are still marked: %q", modes)
	}
}

func TestCloseIdle(t *testing.T) {
	p := openPTY(t)
	if err := p.terminal(nil).Close(); err != nil {
		t.Error(err)
	}
}

// A terminal that goes away does not send what was half typed.
func TestHangUp(t *testing.T) {
	p := openPTY(t)
	terminal := p.terminal(nil)
	result := reading(t.Context(), terminal)
	p.wait(">")
	p.press("half typed")
	p.wait("> half typed")
	p.master.Close()
	expect(t, result, "", io.EOF)
}

// Lines from many goroutines while someone types, completes and pastes: none is
// lost and the typed lines come out whole.
func TestBusy(t *testing.T) {
	const writers, each = 4, 40
	p := openPTY(t)
	terminal := p.terminal(func(string) []string { return []string{"alice", "alan"} })
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				terminal.Println(fmt.Sprintf("<%d.%d>", i, j))
			}
		})
	}
	for range 5 {
		result := reading(t.Context(), terminal)
		p.waitUntil("raw mode", func([]string) bool { return strings.Contains(string(p.all), markPastes) })
		p.press("al\t\ti\t\x1b[A\x1b[B" + pasteStart + "1\r2" + pasteEnd + "\x15" + "line\r")
		expect(t, result, "line", nil)
	}
	wg.Wait()
	terminal.Println("<end>")
	p.waitUntil("<end>", func([]string) bool { return strings.Contains(string(p.all), "<end>") })
	for i := range writers {
		for j := range each {
			if want := fmt.Sprintf("<%d.%d>", i, j); strings.Count(p.written(), want) != 1 {
				t.Errorf("%s printed %d times", want, strings.Count(p.written(), want))
			}
		}
	}
}

func TestPlain(t *testing.T) {
	in, out := openPipe(t), openPipe(t)
	terminal, err := Open(in.r, out.w, nil)
	if err != nil {
		t.Fatal(err)
	}
	terminal.SetPrompt("> ")
	if _, err := terminal.ReadPassword("Passphrase: "); !errors.Is(err, ErrNoTerminal) || terminal.Interactive() {
		t.Errorf("asked a pipe for a passphrase: %v", err)
	}
	long := strings.Repeat("x", 200_000)
	go func() {
		_, _ = io.WriteString(in.w, "one\n\x00\xff\x03\n"+long+"\nlast")
		in.w.Close()
	}()
	for _, want := range []string{"one", "\x00\xff\x03", "", "last"} {
		text, err := terminal.ReadLine(t.Context())
		var tooLong *control.LineTooLongError
		if text != want || (want == "") != errors.As(err, &tooLong) {
			t.Errorf("read %q, %v, want %q", text, err, want)
		}
	}
	if _, err := terminal.ReadLine(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	terminal.Println("\x1b[1mbold\x1b[0m \x1b]0;title\x07")
	terminal.Close()
	out.w.Close()
	if got, _ := io.ReadAll(out.r); string(got) != "bold ]0;title\n" {
		t.Errorf("wrote %q", got)
	}
}

func TestPlainClose(t *testing.T) {
	in := openPipe(t)
	terminal, err := Open(in.r, in.w, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := terminal.ReadLine(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	result := reading(t.Context(), terminal)
	if err := errors.Join(terminal.Close(), terminal.Close()); err != nil {
		t.Error(err)
	}
	expect(t, result, "", io.EOF)
}

func TestNothingToRead(t *testing.T) {
	out := openPipe(t)
	terminal, err := Open(nil, out.w, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := terminal.ReadLine(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	if err := terminal.Close(); err != nil {
		t.Error(err)
	}
}

type pipe struct{ r, w *os.File }

func openPipe(t *testing.T) pipe {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return pipe{r, w}
}
