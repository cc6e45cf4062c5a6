package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/rogpeppe/go-internal/testscript"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"chatnt": main})
}

// The transcripts in testdata run the program itself. Beside testscript's own
// commands they use those of this file:
//
//	fails CODE REGEXP ARGS...   chatnt ARGS exits with CODE after one sentence
//	                            on standard error that matches, and nothing else
//	json FILE                   standard output was JSON objects, a line each; those
//	                            that are no "relays" match the lines of FILE, in order
//	start NAME ARGS...          chatnt ARGS runs in the background until it is ready
//	tell NAME LINE REGEXP       it answers a line with a done or error that matches
//	ask NAME LINE FIELD VARIABLE  it answers a line with a done, of which a field goes into a variable
//	hears NAME REGEXP           it tells of an event that matches, after the last one heard
//	hangup NAME CODE            its input ends, and it exits with CODE
//	ended NAME CODE             it exits with CODE of itself
//	signal NAME INT|TERM CODE   it gets a signal, and exits with CODE
//	set VARIABLE FILE           sets a variable to a file's only line
//	binary FILE                 makes a file of lines that are no text
//	same FILE FILE              compares two files byte for byte
//	cut FILE TO N               copies the first N bytes of a file
func TestTranscripts(t *testing.T) {
	var nodes nodes
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("CHATNT_PASSPHRASE", "a passphrase for tests")
			for name, make := range map[string]func() (string, error){
				"EXPIRED": expired, "NEWER": newer, "PERSON": person, "NEITHER": neither, "INVITE": usable, "PUBLIC": public,
			} {
				text, err := make()
				if err != nil {
					return err
				}
				env.Setenv(name, text)
			}
			env.Setenv("HASHID", hashid.ID{1}.String())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails": fails, "json": jsonLines, "binary": binary, "same": same, "set": set, "cut": cut,
			"start": nodes.start, "tell": nodes.tell, "ask": nodes.ask, "hears": nodes.hears, "hangup": nodes.hangup, "signal": nodes.signal, "ended": nodes.ended,
		},
	})
}

func usable() (string, error) { return invite(3, false, time.Time{}) }
func public() (string, error) { return invite(3, true, time.Time{}) }
func expired() (string, error) {
	return invite(3, false, time.Now().Add(-time.Hour).Truncate(time.Second))
}

func invite(hops int, public bool, expires time.Time) (string, error) {
	n, err := network.New("other", hops, public)
	if err != nil {
		return "", err
	}
	n.Expires = expires
	return (&network.Invite{Network: n}).Text()
}

func person() (string, error) { return (&network.Invite{Person: hashid.ID{1}}).Text() }

// newer is an invite of a version that does not exist yet.
func newer() (string, error) { return encoded(2, 0, 0, 0) }

// neither is an invite to nothing.
func neither() (string, error) { return encoded(1) }

func encoded(b ...byte) (string, error) {
	digits, err := bech32.ConvertBits(b, 8, 5, true)
	if err != nil {
		return "", err
	}
	text, err := bech32.EncodeM("chatnt", digits)
	return strings.Replace(text, "1", ":", 1), err
}

func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails CODE REGEXP ARGS...")
	}
	code := exitOf(ts, ts.Exec("chatnt", args[2:]...))
	sentence := ts.ReadFile("stderr")
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
	if strings.Count(sentence, "\n") != 1 || !strings.HasPrefix(sentence, "chatnt: ") || !strings.HasSuffix(sentence, "\n") {
		ts.Fatalf("standard error is not one sentence")
	}
	if !regexp.MustCompile(args[1]).MatchString(sentence) {
		ts.Fatalf("the sentence does not match %q", args[1])
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("there is something on standard output")
	}
}

func exitOf(ts *testscript.TestScript, err error) string {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	if exit == nil {
		return "0"
	}
	return strconv.Itoa(exit.ExitCode())
}

func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: json FILE")
	}
	want := strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n")
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		line = strings.TrimSuffix(line, "\n")
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			ts.Fatalf("standard output has a line that is no JSON object: %q", line)
		}
		if event["event"] == "relays" {
			continue // whenever the network has news
		}
		if len(want) == 0 {
			ts.Fatalf("one event too many: %.200s", line)
		}
		if !regexp.MustCompile(want[0]).MatchString(line) {
			ts.Fatalf("the event does not match %q:\n%.200s", want[0], line)
		}
		want = want[1:]
	}
	if len(want) > 0 {
		ts.Fatalf("no event matches %q", want[0])
	}
}

func set(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

func binary(ts *testscript.TestScript, _ bool, args []string) {
	lines := []string{
		"\xff\xfe\x00\x01binary",
		"/msg nobody \x00",
		"\x1b]0;title\x07",
		strings.Repeat("x", 200_000),
		"/nick \xc3",
		"/nick ada",
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines, "\n")), 0o600))
}

func same(ts *testscript.TestScript, neg bool, args []string) {
	if (ts.ReadFile(args[0]) == ts.ReadFile(args[1])) == neg {
		ts.Fatalf("%s and %s: the same is %v", args[0], args[1], neg)
	}
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.ReadFile(args[0])[:n]), 0o600))
}

// nodes are the running programs of all transcripts.
type nodes struct {
	mu      sync.Mutex
	running map[string]*running // guarded by mu; by the transcript's directory and the name
}

type running struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	events *bufio.Scanner
	told   []string      // events that tell has passed over, for hears
	errors *bytes.Buffer // to be read once the program has ended
}

func (n *nodes) start(ts *testscript.TestScript, _ bool, args []string) {
	file, err := exec.LookPath("chatnt")
	ts.Check(err)
	cmd := exec.Command(file, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "CHATNT_PASSPHRASE="+ts.Getenv("CHATNT_PASSPHRASE"), "HOME="+ts.Getenv("HOME"))
	r := &running{cmd: cmd, errors: new(bytes.Buffer)}
	cmd.Stderr = r.errors
	r.in, err = cmd.StdinPipe()
	ts.Check(err)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	r.events = bufio.NewScanner(out)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running == nil {
		n.running = make(map[string]*running)
	}
	n.running[filepath.Join(ts.MkAbs("."), args[0])] = r
	if !r.events.Scan() || !strings.HasPrefix(r.events.Text(), `{"event":"ready"`) {
		ts.Fatalf("the first event is not that the node is ready: %s %s", r.events.Text(), r.errors)
	}
}

func (n *nodes) of(ts *testscript.TestScript, name string) *running {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.running[filepath.Join(ts.MkAbs("."), name)]
	if r == nil {
		ts.Fatalf("no node %q was started", name)
	}
	return r
}

func (n *nodes) tell(ts *testscript.TestScript, _ bool, args []string) {
	answer := n.of(ts, args[0]).answer(ts, args[1])
	if !regexp.MustCompile(args[2]).MatchString(answer) {
		ts.Fatalf("the answer to %q is %s", args[1], answer)
	}
}

func (n *nodes) ask(ts *testscript.TestScript, _ bool, args []string) {
	answer := n.of(ts, args[0]).answer(ts, args[1])
	var fields map[string]any
	ts.Check(json.Unmarshal([]byte(answer), &fields))
	text, ok := fields[args[2]].(string)
	if fields["event"] != "done" || !ok {
		ts.Fatalf("the answer to %q is %s", args[1], answer)
	}
	ts.Setenv(args[3], text)
}

// answer is what comes of a line, a done or an error.
func (r *running) answer(ts *testscript.TestScript, line string) string {
	_, err := io.WriteString(r.in, line+"\n")
	ts.Check(err)
	for r.events.Scan() {
		var event struct{ Event, Line string }
		ts.Check(json.Unmarshal(r.events.Bytes(), &event))
		if event.Event != "done" && event.Event != "error" {
			r.told = append(r.told, r.events.Text())
			continue
		}
		if event.Line != line {
			ts.Fatalf("the answer to %q is %s", line, r.events.Text())
		}
		return r.events.Text()
	}
	ts.Fatalf("no answer to %q: %s", line, r.errors)
	return ""
}

func (n *nodes) hears(ts *testscript.TestScript, _ bool, args []string) {
	r, want := n.of(ts, args[0]), regexp.MustCompile(args[1])
	for i, event := range r.told {
		if want.MatchString(event) {
			r.told = r.told[i+1:]
			return
		}
	}
	r.told = nil
	late := time.AfterFunc(time.Minute, func() { _ = r.cmd.Process.Kill() })
	defer late.Stop()
	for r.events.Scan() {
		if want.MatchString(r.events.Text()) {
			return
		}
	}
	ts.Fatalf("%s tells of nothing that matches %q: %s", args[0], args[1], r.errors)
}

func (n *nodes) hangup(ts *testscript.TestScript, _ bool, args []string) {
	r := n.of(ts, args[0])
	ts.Check(r.in.Close())
	r.end(ts, args[1])
}

func (n *nodes) ended(ts *testscript.TestScript, _ bool, args []string) {
	n.of(ts, args[0]).end(ts, args[1])
}

func (n *nodes) signal(ts *testscript.TestScript, _ bool, args []string) {
	r := n.of(ts, args[0])
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}
	ts.Check(r.cmd.Process.Signal(signals[args[1]]))
	r.end(ts, args[2])
}

// end waits for the program to exit, which it does within three seconds whatever
// the network does; a second more is the machine's.
func (r *running) end(ts *testscript.TestScript, code string) {
	began := time.Now()
	for r.events.Scan() { // to its end
	}
	if got := exitOf(ts, r.cmd.Wait()); got != code {
		ts.Fatalf("exit code %s, want %s: %s", got, code, r.errors)
	}
	if took := time.Since(began); took > 4*time.Second {
		ts.Fatalf("it took %v to end", took)
	}
}
