//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	shownColumns = 60
	hostileWait  = time.Minute
)

// hostile is what somebody may write who wants to steer a terminal, or to be taken for another. Each has a part
// that would do it, which is not to be found on the screen.
func hostile() map[string]string {
	return map[string]string{
		"red\x1b[31m alert":                              "\x1b[31m",
		"gone\x1b[2J\x1b[1;1H":                           "\x1b[2J",
		"up\x1b[9A\x1b[2K":                               "\x1b[9A",
		"title\x1b]0;root\x07":                           "\x1b]",
		"clip\x1b]52;c;Y3VybA==\x1b\\":                   "\x1b]52",
		"link\x1b]8;;http://evil\x07here":                "\x1b]8",
		"dcs\x1bP+q\x1b\\":                               "\x1bP",
		"c1\u009b31m\u009d0;x\u009c":                     "\u009b",
		"bell\x07\x07 back\x08\x08\x08\x08":              "\x07",
		"right\u202eeviL":                                "\u202e",
		"isolate\u2067x":                                 "\u2067",
		"zero\u200bwidth\u2060\ufeff":                    "\u200b",
		"tags\U000e0041\U000e0042":                       "\U000e0041",
		"line\r[12:01] ada: yes":                         "\r[12:01]",
		"two\n[12:01] ada: yes":                          "\n[12:01]",
		"sep\u2028[12:01] ada: yes\u0085x":               "\u2028",
		"del\x7f\x7f":                                    "\x7f",
		strings.Repeat("wrap ", 14) + "[12:01] ada: yes": "\r\n[12:01] ada",
	}
}

// party is a running program that a test drives over pipes.
type party struct {
	t      *testing.T
	in     io.Writer
	mu     sync.Mutex
	more   *sync.Cond
	events []map[string]any // guarded by mu
	raw    []byte           // guarded by mu: what is on its screen
	ended  bool             // guarded by mu
}

func chatnt(t *testing.T, dir, data string, args ...string) *exec.Cmd {
	t.Helper()
	file, err := exec.LookPath("chatnt")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file, append(args, "--data", dir+"/"+data)...)
	cmd.Env = []string{"HOME=" + dir, "CHATNT_PASSPHRASE=a passphrase for tests"}
	return cmd
}

func newParty(t *testing.T, cmd *exec.Cmd, in io.Writer, read func(p *party)) *party {
	p := &party{t: t, in: in}
	p.more = sync.NewCond(&p.mu)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		read(p)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = true
		p.more.Broadcast()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		<-done
	})
	return p
}

// atPipes runs a node that is driven with JSON.
func atPipes(t *testing.T, dir, data string) *party {
	t.Helper()
	cmd := chatnt(t, dir, data, "node", "--json", "--listen", "/ip4/127.0.0.1/tcp/0")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := newParty(t, cmd, in, func(p *party) {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e map[string]any
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil || strings.ContainsFunc(lines.Text(), func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' }) {
				t.Errorf("a line is %q, %v", lines.Text(), err)
			}
			p.mu.Lock()
			p.events = append(p.events, e)
			p.more.Broadcast()
			p.mu.Unlock()
		}
	})
	p.event("ready", map[string]any{"event": "ready"})
	return p
}

// atTerminal runs the program as a person at a terminal does.
func atTerminal(t *testing.T, dir, data string) *party {
	t.Helper()
	person, program := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: shownColumns, Row: 200}); err != nil {
		t.Fatal(err)
	}
	cmd := chatnt(t, dir, data, "node", "--listen", "/ip4/127.0.0.1/tcp/0")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	p := newParty(t, cmd, person, func(p *party) {
		b := make([]byte, 4096)
		for {
			n, err := person.Read(b)
			p.mu.Lock()
			p.raw = append(p.raw, b[:n]...)
			p.more.Broadcast()
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	program.Close() // the program's own is left, so that its end ends the reading
	p.screen("Ready in")
	return p
}

// wait waits until ok, which is called with mu held, says so.
func (p *party) wait(what string, ok func() bool) {
	p.t.Helper()
	late := false
	timer := time.AfterFunc(hostileWait, func() { p.mu.Lock(); defer p.mu.Unlock(); late = true; p.more.Broadcast() })
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !ok() {
		if late || p.ended {
			p.t.Fatalf("waited for %s; there is %.3000q %v", what, p.raw, p.events[max(0, len(p.events)-5):])
		}
		p.more.Wait()
	}
}

func (p *party) screen(want string) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%q", want), func() bool { return strings.Contains(string(p.raw), want) })
}

// event waits for an event with some fields and returns it.
func (p *party) event(what string, fields map[string]any) (found map[string]any) {
	p.t.Helper()
	p.wait(what, func() bool {
		for _, e := range p.events {
			same := true
			for key, value := range fields {
				same = same && e[key] == value
			}
			if same {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// do has a line carried out.
func (p *party) do(line string) map[string]any {
	p.t.Helper()
	p.say(line + "\n")
	return p.event(line, map[string]any{"event": "done", "line": line})
}

func (p *party) say(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, keys); err != nil {
		p.t.Fatal(err)
	}
}

// The editor's own sequences: where the cursor goes, what is cleared, and how a paste is marked. A space that it takes
// back makes the terminal begin a row.
var editing = regexp.MustCompile(`\x1b\[(\?2004[hl]|[0-9]*[ACGDK]|J)| ?\x08`)

// ofOurs is how the rows begin that the program makes, on the screen of ada, who knows bob and nobody else.
var ofOurs = regexp.MustCompile(`^(\[[0-9-]*[ ]?[0-9:]{5}\] (bob|\(you\)): |        |> |bob> |  |error: |Ready |Somebody |You call |What you |Nobody |Joined |bob |Nothing |Compare |If )`)

// Whatever others write, in a text, as a nick, with a request or in a name of a file or a network: a terminal
// shows it in its place and does nothing else, and a program on a pipe gets each byte of it.
func TestHostileTexts(t *testing.T) {
	dir := t.TempDir()
	invite, err := chatnt(t, dir, "mallory", "network", "create", "\u05d0\u05d1 5", "--hops", "1", "--listen", "/ip4/127.0.0.1/tcp/0").Output()
	if err != nil {
		t.Fatal(err)
	}
	id := make(map[string]string)
	for _, data := range []string{"ada", "bob", "eve"} {
		if err := chatnt(t, dir, data, "network", "join", strings.TrimSpace(string(invite))).Run(); err != nil {
			t.Fatal(err)
		}
		out, err := chatnt(t, dir, data, "id").Output()
		if err != nil {
			t.Fatal(err)
		}
		id[data] = strings.TrimSpace(string(out))
	}
	mallory, bob, eve := atPipes(t, dir, "mallory"), atPipes(t, dir, "bob"), atPipes(t, dir, "eve")
	ada := atTerminal(t, dir, "ada")

	// Strangers ask, by names and with words of their own. Each gets a few of the worst.
	all := hostile()
	var texts []string
	for text := range all {
		texts = append(texts, text)
	}
	for i, p := range []*party{mallory, bob} {
		nick, words := "", "begins"
		for j, text := range texts {
			if one := strings.Map(oneLine, text); j%2 == i && len(nick)+len(one) <= 60 {
				nick += one
			}
			words += " " + strings.Map(oneLine, text)
		}
		p.do("/nick " + nick)
		p.do("/add " + id["ada"] + " ada " + words + " ends" + fmt.Sprint(i))
		ada.screen("ends" + fmt.Sprint(i))
		if i == 1 {
			continue
		}
		p.do("/add " + id["eve"] + " eve " + words)
		asked := eve.event("the request", map[string]any{"event": "request"})
		if asked["name"] != strings.TrimSpace(nick) || asked["text"] != words {
			t.Errorf("a program is told of %q, want %q and %q", asked, nick, words)
		}
	}
	ada.say("/accept " + id["bob"] + " bob\r")
	bob.event("ada's yes", map[string]any{"event": "contact", "state": "accepted"})
	bob.do("/add " + id["eve"] + " eve")
	eve.event("bob's request", map[string]any{"event": "request", "from": id["bob"]})
	eve.do("/accept " + id["bob"] + " bob")

	// Texts, each exact on the pipe and harmless on the terminal, live and from the history.
	ada.say("/set history on bob\r/query bob\r")
	ada.screen("bob> ")
	for i, text := range texts {
		quoted, err := json.Marshal(fmt.Sprint("begins ", text, " ends-", i, "-"))
		if err != nil {
			t.Fatal(err)
		}
		bob.do("/msg -json ada " + string(quoted))
		bob.do("/msg -json eve " + string(quoted))
		eve.event("the text", map[string]any{"event": "message", "text": fmt.Sprint("begins ", text, " ends-", i, "-")})
		ada.screen(fmt.Sprintf("ends-%d-", i))
	}
	ada.say("/history\r/requests\r/contacts\r/msg nobody\u202e\u05d0\u0663x hi\r/verify bob\r/nick \u05d0\u0661\u202ex\r/nonsense\u202e\u05d0\r")
	ada.screen("You call yourself")
	ada.screen("there is no command")

	ada.mu.Lock()
	shown := editing.ReplaceAllString(string(ada.raw), "")
	ada.mu.Unlock()
	for text, part := range all {
		if strings.Contains(shown, part) {
			t.Errorf("%q reached the terminal", text)
		}
	}
	for row := range strings.SplitSeq(shown, "\r\n") {
		row = row[strings.LastIndexByte(row, '\r')+1:] // the editor draws the line being typed anew
		if n := len([]rune(strings.ReplaceAll(row, "\u200e", ""))); n > shownColumns && !strings.HasPrefix(row, "bob> ") && !strings.HasPrefix(row, "> ") {
			t.Errorf("a row has %d cells: %q", n, row)
		}
		if bare := strings.TrimPrefix(row, "\u200e"); bare != "" && !ofOurs.MatchString(bare) && !strings.ContainsAny(row, "█▀▄") {
			t.Errorf("a row is %q", row)
		}
	}

	// What is typed on a command line comes back in errors.
	for text, part := range all {
		for _, args := range [][]string{
			{"send", text, "hi"}, {"network", "join", text}, {"id", "--passphrase-file", dir + "/" + text}, {"demo", "--script", dir + "/" + text}, {"status", "--" + text},
		} {
			cmd := chatnt(t, dir, "new", args...)
			said, _ := cmd.CombinedOutput() // it fails, one way or the other
			if cmd.ProcessState.ExitCode() == 0 || strings.Count(string(said), "\n") != 1 || strings.Contains(strings.TrimSuffix(string(said), "\n"), part) {
				t.Errorf("%q exits with %d and says %q", args, cmd.ProcessState.ExitCode(), said)
			}
		}
	}
	if said, err := chatnt(t, dir, "zoe", "network", "join", strings.TrimSpace(string(invite))).CombinedOutput(); err != nil || !strings.Contains(string(said), "\u200e\u05d0\u05d1 5\u200e") {
		t.Errorf("joining says %q, %v", said, err)
	}
}

// oneLine makes of a text what a line of input may hold.
func oneLine(r rune) rune {
	if r == '\n' {
		return -1
	}
	return r
}
