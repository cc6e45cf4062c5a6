package repl

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/ergochat/readline"
	"golang.org/x/term"
)

const (
	// newline stands for a line end inside the line being typed: a private-use
	// rune, which keyboards and pastes are not let have.
	newline = '\ue00a'
	// newlineSign is what the screen shows for it, of the same width.
	newlineSign = '⏎'
	// hiddenSign is what it shows for a rune that has a width and shows nothing.
	hiddenSign = '\ufffd'

	historyLimit = 500

	// maxWaiting bounds the lines that wait to be printed; println blocks then.
	maxWaiting = 1024

	// A terminal that does not tell its size.
	defaultWidth, defaultHeight = 80, 24
)

// An editor is the console of a terminal. It wraps a line editor that was not
// made to be printed through from other goroutines: its search, its completion
// and its Enter key look at the line without a lock. So while a line is being
// read, only the reader's own goroutine draws: println leaves its line in a queue
// and wakes the reader by a key.
type editor struct {
	in       *source
	keyboard *keyboard
	screen   *screen
	rl       *readline.Instance
	complete func(head string) []string
	columns  func() int // of the terminal, now

	done chan struct{}
	wg   sync.WaitGroup

	// Owned by the goroutine that reads.
	pasted string // what the keyPaste under way stands for
	secret bool   // a passphrase is being read

	mu      sync.Mutex // guards the fields below
	room    *sync.Cond // the queue has been emptied, or the editor closed
	closed  bool
	reading bool // println must queue
	waiting []string
	prompt  string

	inFD     int         // read-only
	rawMu    sync.Mutex  // guards the fields below
	cooked   *term.State // how the terminal was before it was made raw, nil if it never was
	restored bool
}

func newEditor(in, out *os.File, s *source, complete func(string) []string) (*editor, error) {
	e := &editor{in: s, complete: complete, done: make(chan struct{}), inFD: int(in.Fd())}
	e.columns = func() int { columns, _ := size(out); return columns }
	e.room = sync.NewCond(&e.mu)

	chunks := make(chan []byte)
	e.keyboard = newKeyboard(chunks, e.done)
	e.screen = &screen{out: out, keyboard: e.keyboard}

	var resized func()
	rl, err := readline.NewFromConfig(&readline.Config{
		HistoryLimit:        historyLimit,
		Listener:            e.listen,
		Painter:             paint,
		FuncFilterInputRune: e.filter,
		Stdin:               e.keyboard,
		Stdout:              e.screen,
		Stderr:              e.screen,
		FuncIsTerminal:      func() bool { return true },
		FuncMakeRaw:         e.makeRaw,
		FuncExitRaw:         func() error { return nil },
		FuncGetSize:         func() (int, int) { return size(out) },
		FuncOnWidthChanged:  func(f func()) { resized = f },
	})
	if err != nil {
		return nil, err
	}
	e.rl = rl
	e.wg.Go(func() { e.pump(chunks) })
	e.wg.Go(func() { e.watchSize(resized) })
	return e, nil
}

// pump passes on the terminal's input until there is no more.
func (e *editor) pump(chunks chan<- []byte) {
	defer close(chunks)
	for {
		b := make([]byte, 4096)
		n, err := e.in.Read(b)
		if n > 0 {
			select {
			case chunks <- b[:n]:
			case <-e.done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (e *editor) watchSize(resized func()) {
	c := make(chan os.Signal, 1)
	notifyResize(c)
	defer signal.Stop(c)
	for {
		select {
		case <-c:
			resized()
		case <-e.done:
			return
		}
	}
}

func (e *editor) interactive() bool { return true }

func (e *editor) readLine() (string, error) {
	return e.read(func() (string, error) {
		c := e.rl.GetConfig()
		c.Prompt = e.currentPrompt()
		if err := e.rl.SetConfig(c); err != nil {
			return "", err
		}
		return e.rl.ReadLine()
	})
}

func (e *editor) readPassword(prompt string) (string, error) {
	return e.read(func() (string, error) {
		e.secret = true
		defer func() { e.secret = false }()
		c := e.rl.GetConfig()
		c.Prompt = coloursOnly(prompt)
		c.EnableMask = true // with no rune: nothing is shown, not even a length
		c.HistoryLimit = -1
		return e.rl.ReadLineWithConfig(c)
	})
}

// read runs one of the line editor's reads and makes of its result what ReadLine
// promises.
func (e *editor) read(read func() (string, error)) (string, error) {
	e.mu.Lock()
	e.reading = true
	e.mu.Unlock()

	text, err := read()

	e.mu.Lock()
	e.reading = false
	e.writeWaiting()
	e.mu.Unlock()

	switch {
	case errors.Is(err, readline.ErrInterrupt):
		return "", ErrInterrupt
	case err != nil:
		return "", err
	case e.keyboard.hasEnded():
		// The terminal went away, and the editor flushed what was half typed.
		return "", io.EOF
	}
	text = strings.ReplaceAll(text, string(newline), "\n")
	return strings.TrimRight(text, "\n"), nil
}

func (e *editor) println(line string) { e.print(hang(coloursOnly(line), e.columns())) }

func (e *editor) printRaw(line string) { e.print(coloursOnly(line)) }

func (e *editor) print(line string) {
	line += "\n"
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.reading && len(e.waiting) >= maxWaiting && !e.closed {
		e.room.Wait()
	}
	e.waiting = append(e.waiting, line)
	if e.reading {
		e.keyboard.wake()
		return
	}
	e.writeWaiting()
}

// writeWaiting writes what waits, while no line is being read. e.mu is held.
func (e *editor) writeWaiting() {
	if len(e.waiting) == 0 {
		return
	}
	// A terminal that cannot be written to is gone, and reading will show it.
	_, _ = e.screen.Write([]byte(strings.Join(e.waiting, "")))
	e.waiting = nil
	e.room.Broadcast()
}

func (e *editor) setPrompt(prompt string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.prompt = coloursOnly(prompt)
	if e.reading {
		e.keyboard.wake()
	}
}

func (e *editor) currentPrompt() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.prompt
}

// woken does, on the reader's goroutine, what others left for it.
func (e *editor) woken() {
	if c := e.rl.GetConfig(); !e.secret && c.Prompt != e.currentPrompt() {
		c.Prompt = e.currentPrompt()
		_ = e.rl.SetConfig(c) // fails only for a fresh Config
	}
	e.mu.Lock()
	lines := e.waiting
	e.waiting = nil
	e.room.Broadcast()
	e.mu.Unlock()
	if len(lines) > 0 {
		_, _ = e.rl.Write([]byte(strings.Join(lines, "")))
	}
}

// filter sees every key before the line editor does, and decides whether it does.
func (e *editor) filter(r rune) (rune, bool) {
	switch r {
	case keyWake:
		e.woken()
		return 0, false
	case keyPaste:
		e.pasted = e.keyboard.takePaste()
		return r, true
	}
	if e.secret {
		return filterSecret(r)
	}
	switch r {
	case readline.CharTab:
		return r, e.complete != nil
	case readline.CharBckSearch, readline.CharFwdSearch:
		return 0, false // the search reads history that println would disturb
	case readline.CharCtrlZ:
		return 0, false // a stopped node would be a dead relay to everyone else
	case newline, unicode.ReplacementChar:
		return unicode.ReplacementChar, r != newline
	}
	return r, r < 0 || !unicode.IsControl(r) || isEditKey(r)
}

// isEditKey reports whether the line editor does something with the control r;
// it would put the others into the line.
func isEditKey(r rune) bool {
	switch {
	case r >= readline.CharLineStart && r <= readline.CharNext, // Ctrl-A to Ctrl-N
		r == readline.CharPrev, r == readline.CharTranspose, r == readline.CharCtrlU,
		r == readline.CharCtrlW, r == readline.CharCtrlY, r == readline.CharBackspace:
		return true
	}
	return false
}

// filterSecret lets through what a passphrase needs. It must not meet the keys
// that keep what they cut, for Ctrl-Y to bring back on the next line; Ctrl-U
// therefore erases by a key of our own.
func filterSecret(r rune) (rune, bool) {
	switch r {
	case readline.CharCtrlU:
		return keyErase, true
	case readline.CharEnter, readline.CharCtrlJ, readline.CharInterrupt, readline.CharEOT,
		readline.CharBackspace, readline.CharCtrlH:
		return r, true
	}
	return r, r >= 0 && !unicode.IsControl(r)
}

// listen sees the line after every key, and may replace it. The keys that it acts
// on have been put into the line, as the line editor knows nothing better.
func (e *editor) listen(line []rune, pos int, key rune) ([]rune, int, bool) {
	if pos < 1 || pos > len(line) || line[pos-1] != key {
		return nil, 0, false
	}
	head, tail := line[:pos-1], line[pos:]
	switch key {
	case keyPaste:
		head = slices.Concat(head, pastedRunes(e.pasted))
		e.pasted = ""
	case keyErase:
		head = nil
	case readline.CharTab:
		head = slices.Concat(head, e.completed(string(head)))
	default:
		return nil, 0, false
	}
	return slices.Concat(head, tail), len(head), true
}

// completed returns what head surely goes on with. If that is nothing, and there
// is a choice, it prints the choice.
func (e *editor) completed(head string) []rune {
	lines := completions(head, e.complete)
	insert := common(lines, head)
	if insert == "" && len(lines) > 1 {
		_, _ = e.rl.Write([]byte(choices(lines) + "\n"))
	}
	return []rune(insert)
}

// pastedRunes makes of a paste what may stand in the line: line ends become the
// newline rune, tabs spaces, other controls nothing.
func pastedRunes(s string) []rune {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	rs := make([]rune, 0, len(s))
	for _, r := range s {
		switch {
		case r == '\n', r == '\r':
			rs = append(rs, newline)
		case r == '\t':
			rs = append(rs, ' ')
		case unicode.IsControl(r), r == newline:
		default:
			rs = append(rs, r)
		}
	}
	return rs
}

// makeRaw is called when a read begins. The terminal then stays raw until close:
// what is typed between two reads must not be echoed, nor be taken by the system
// for a signal or the end of the input.
func (e *editor) makeRaw() error {
	e.rawMu.Lock()
	defer e.rawMu.Unlock()
	if e.cooked != nil || e.restored {
		return nil
	}
	cooked, err := term.MakeRaw(e.inFD)
	if err != nil {
		return err
	}
	e.cooked = cooked
	_, err = e.screen.Write([]byte(markPastes))
	return err
}

// restore leaves the terminal as makeRaw found it.
func (e *editor) restore() error {
	e.rawMu.Lock()
	defer e.rawMu.Unlock()
	e.restored = true
	if e.cooked == nil {
		return nil
	}
	_, err := e.screen.Write([]byte(unmarkPastes))
	return errors.Join(err, term.Restore(e.inFD, e.cooked))
}

func (e *editor) close() error {
	e.mu.Lock()
	e.closed = true
	e.room.Broadcast()
	e.mu.Unlock()
	close(e.done) // the keyboard ends, and with it the read under way
	e.in.stop()
	e.wg.Wait()
	return errors.Join(e.rl.Close(), e.restore())
}

func size(out *os.File) (width, height int) {
	width, height, err := term.GetSize(int(out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return defaultWidth, defaultHeight
	}
	return width, height
}
