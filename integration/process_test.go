package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSevenProcesses has seven processes of the real program, each with a profile
// of its own, form a network and talk all to all, driven as a script would.
func TestSevenProcesses(t *testing.T) {
	goHome(t)
	dir := t.TempDir()
	data := func(i int) string { return filepath.Join(dir, fmt.Sprintf("n%d", i)) }
	invite := run(t, 0, "network", "create", "family", "--listen", loopback, "--data", data(0))
	for i := 1; i < 7; i++ {
		run(t, 0, "network", "join", strings.TrimSpace(invite), "--data", data(i))
	}
	launch := func(i int) *process {
		args := []string{"node", "--json", "--data", data(i)}
		if i > 0 {
			args = append(args, "--listen", loopback)
		}
		return newProcess(t, fmt.Sprintf("n%d", i), args...)
	}
	var nodes []*process
	for i := range 7 {
		nodes = append(nodes, launch(i))
	}
	ids := make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = n.await(0, "ready", has{"network": "family"})["hashid"].(string)
	}
	for _, n := range nodes {
		seen := n.awaitFunc(0, "five usable relays", func(e event) bool {
			usable, ok := e["usable"].(float64)
			return e["event"] == "relays" && ok && usable >= 5
		})
		t.Logf("%s: five usable relays %.1f s after its start", n.name, seen["after"])
		if seen["after"].(float64) > 10 {
			t.Errorf("%s saw five usable relays only after %.1f s", n.name, seen["after"])
		}
	}

	// Everybody becomes everybody's contact.
	for i, n := range nodes {
		for j := i + 1; j < len(nodes); j++ {
			n.do(fmt.Sprintf("/add %s n%d", ids[j], j))
		}
	}
	for j, n := range nodes {
		for i := range j {
			n.await(0, "request", has{"from": ids[i]})
			n.do(fmt.Sprintf("/accept %s n%d", ids[i], i))
		}
	}
	for i, n := range nodes {
		for j := i + 1; j < len(nodes); j++ {
			n.await(0, "contact", has{"hashid": ids[j], "state": "accepted"})
		}
	}

	// All to all.
	texts := func(i, j int) (list []string) {
		for k := range count(3, 30) {
			list = append(list, fmt.Sprintf("%d from %d to %d", k, i, j))
		}
		return list
	}
	pairs := func(f func(i, j int)) {
		for i := range nodes {
			for j := range nodes {
				if i != j {
					f(i, j)
				}
			}
		}
	}
	lasts := make(map[[2]int]string) // ids of the last texts
	pairs(func(i, j int) {
		for _, text := range texts(i, j) {
			done := nodes[i].do(fmt.Sprintf("/msg n%d %s", j, text))
			if done["state"] != "queued" {
				t.Errorf("/msg is done with state %v", done["state"])
			}
			lasts[[2]int{i, j}] = done["id"].(string)
		}
	})
	pairs(func(i, j int) { nodes[i].await(0, "status", has{"id": lasts[[2]int{i, j}], "state": "delivered"}) })
	pairs(func(i, j int) {
		want := texts(i, j)
		nodes[j].await(0, "message", has{"from": ids[i], "text": want[len(want)-1]})
		if got := nodes[j].texts(ids[i]); !slices.Equal(got, want) {
			t.Errorf("%s got from n%d\n%q\nwant\n%q", nodes[j].name, i, got, want)
		}
	})
	path := nodes[2].do("/path")
	if relays, ok := path["relays"].([]any); !ok || len(relays) != 3 {
		t.Errorf("/path says %v", path)
	}

	// Other processes reach a running node.
	// No passphrase: the running node answers.
	for _, args := range [][]string{{"status"}, {"id"}, {"network", "show"}, {"network", "invite"}} {
		out := runWith(t, nil, 0, append(args, "--data", data(3))...)
		switch want := map[string]string{"id": ids[3], "show": "family", "status": ids[3]}[args[len(args)-1]]; {
		case strings.TrimSpace(out) == "":
			t.Errorf("%v prints nothing", args)
		case !strings.Contains(out, want):
			t.Errorf("%v prints\n%s\nwithout %q", args, out, want)
		}
	}
	second := run(t, 0, "network", "invite", "--data", data(3))
	run(t, 0, "network", "join", strings.TrimSpace(second), "--data", filepath.Join(dir, "late"))
	late := newProcess(t, "late", "node", "--json", "--listen", loopback, "--data", filepath.Join(dir, "late"))
	late.awaitFunc(0, "five usable relays", func(e event) bool {
		usable, ok := e["usable"].(float64)
		return e["event"] == "relays" && ok && usable >= 5
	})
	late.quit()
	run(t, 1, "node", "--json", "--data", data(3)) // a profile in use

	// One is killed and comes back.
	nodes[0].kill()
	id := nodes[2].do("/msg n0 while you were gone")["id"]
	nodes[2].await(0, "status", has{"id": id, "state": "queued"})
	nodes[0] = launch(0)
	back := nodes[0].await(0, "message", has{"from": ids[2], "text": "while you were gone"})
	t.Logf("the message is there %.1f s after the start of the killed node", back["after"])
	nodes[2].await(0, "status", has{"id": id, "state": "delivered"})
	id = nodes[0].do("/msg n2 here I am again")["id"]
	nodes[0].await(0, "status", has{"id": id, "state": "delivered"})
	nodes[2].await(0, "message", has{"from": ids[0], "text": "here I am again"})
	if got := nodes[0].texts(ids[2]); !slices.Equal(got, []string{"while you were gone"}) {
		t.Errorf("after the return came %q", got)
	}

	for _, n := range nodes {
		n.quit()
	}
}

// TestDemo runs the demo as a program would and from a script.
func TestDemo(t *testing.T) {
	t.Parallel()
	t.Run("json", func(t *testing.T) {
		demo := newProcess(t, "alice", "demo", "--json")
		id := demo.do("@bob hello")["id"]
		answer := demo.await(0, "message", has{"name": "bob", "text": "hello"})
		demo.await(0, "status", has{"id": id, "state": "delivered"})
		t.Logf("the first message is answered %.2f s after the program's start", answer["after"])
		demo.quit()
	})
	t.Run("script", func(t *testing.T) {
		script := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(script, []byte("@bob one\n@bob two\n/path\n/nonsense\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out := run(t, 0, "demo", "--json", "--script", script)
		var events []event
		for line := range strings.Lines(out) {
			var e event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("not an object on a line: %q", line)
			}
			events = append(events, e)
		}
		for _, want := range []has{
			{"event": "message", "name": "bob", "text": "one"},
			{"event": "message", "name": "bob", "text": "two"},
			{"event": "done", "line": "@bob two"},
			{"event": "done", "line": "/path"},
			{"event": "error", "line": "/nonsense"},
		} {
			if n := len(slices.DeleteFunc(slices.Clone(events), func(e event) bool { return !e.has(want) })); n != 1 {
				t.Errorf("%v happens %d times in\n%s", want, n, out)
			}
		}
		if plain := run(t, 0, "demo", "--script", script); !strings.Contains(plain, "bob: two") {
			t.Errorf("a person would read\n%s", plain)
		}
	})
}

// program is what users run, built when it is first needed.
var program struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func build(t testing.TB) string {
	t.Helper()
	program.once.Do(func() {
		program.dir, program.err = os.MkdirTemp("", "chatnt-integration-") //nolint:usetesting // it serves several tests
		if program.err != nil {
			return
		}
		program.path = filepath.Join(program.dir, "chatnt")
		cmd := exec.Command("go", "build", "-o", program.path, "chatnt/cli/chatnt")
		if out, err := cmd.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// removeBinary clears away what build made.
func removeBinary() {
	if program.dir != "" {
		if err := os.RemoveAll(program.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// run runs the program to its end, with a passphrase, and returns its output.
func run(t testing.TB, code int, args ...string) string {
	t.Helper()
	return runWith(t, []string{"CHATNT_PASSPHRASE=" + passphrase}, code, args...)
}

// runWith runs the program to its end in a bare environment and expects an exit code.
func runWith(t testing.TB, env []string, code int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), build(t), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(environment(t), env...), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("chatnt %q exits %d, want %d:\n%s%s", args, got, code, &out, &errs)
	}
	return out.String()
}

// environment is that of a user without a profile.
func environment(t testing.TB) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
}

// event is one JSON object that the program wrote; "after" is when, in seconds
// from the program's start.
type event map[string]any

// has are fields that an event should have.
type has map[string]any

func (e event) has(fields has) bool {
	for name, want := range fields {
		if e[name] != want {
			return false
		}
	}
	return true
}

// process is a running program that is driven through --json.
type process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	errs   bytes.Buffer // to be read once it has ended
	closed chan struct{}

	mu     sync.Mutex
	events []event       // guarded by mu
	more   chan struct{} // guarded by mu; closed and replaced when an event comes
}

func newProcess(t testing.TB, name string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(build(t), args...)
	cmd.Env = append(environment(t), "CHATNT_PASSPHRASE="+passphrase)
	return startProcess(t, name, cmd)
}

// startProcess runs a command that speaks as the program does with --json.
func startProcess(t testing.TB, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: cmd, closed: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Stderr = &p.errs
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(out, started)
	t.Cleanup(p.kill)
	return p
}

func (p *process) read(out io.Reader, started time.Time) {
	defer close(p.closed)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			p.t.Errorf("%s writes something else than JSON: %q", p.name, lines.Text())
			continue
		}
		e["after"] = time.Since(started).Seconds()
		p.mu.Lock()
		p.events = append(p.events, e)
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
	if err := lines.Err(); err != nil && !errors.Is(err, os.ErrClosed) {
		p.t.Errorf("%s: reading: %v", p.name, err)
	}
}

// do writes a line and waits until it is done.
func (p *process) do(line string) event {
	p.t.Helper()
	p.mu.Lock()
	mark := len(p.events)
	p.mu.Unlock()
	p.write(line)
	e := p.awaitFunc(mark, "the end of "+line, func(e event) bool {
		return (e["event"] == "done" || e["event"] == "error") && e["line"] == line
	})
	if e["event"] == "error" {
		p.t.Fatalf("%s: %s: %v", p.name, line, e["error"])
	}
	return e
}

func (p *process) write(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// await waits for an event with some fields.
func (p *process) await(mark int, kind string, fields has) event {
	p.t.Helper()
	return p.awaitFunc(mark, fmt.Sprintf("%s %v", kind, fields), func(e event) bool {
		return e["event"] == kind && e.has(fields)
	})
}

func (p *process) awaitFunc(mark int, what string, ok func(event) bool) event {
	p.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		events, more := p.events[mark:], p.more
		p.mu.Unlock()
		for _, e := range events {
			mark++
			if ok(e) {
				return e
			}
		}
		select {
		case <-more:
			continue
		case <-deadline.C:
			p.t.Fatalf("%s waited in vain for %s; the last events:\n%s", p.name, what, p.last())
		case <-p.closed:
			p.mu.Lock()
			rest := p.events[mark:]
			p.mu.Unlock()
			if len(rest) == 0 {
				p.t.Fatalf("%s ended before %s; the last events:\n%s", p.name, what, p.last())
			}
		}
	}
}

func (p *process) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, e := range p.events[max(0, len(p.events)-20):] {
		fmt.Fprintf(&b, "  %s\n", asJSON(e))
	}
	return b.String()
}

// texts are what somebody has said, in the order shown.
func (p *process) texts(from string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var texts []string
	for _, e := range p.events {
		if e.has(has{"event": "message", "from": from}) {
			texts = append(texts, e["text"].(string))
		}
	}
	return texts
}

// quit asks the program to end, which it does within three seconds and in order.
func (p *process) quit() {
	p.t.Helper()
	asked := time.Now()
	p.write("/quit")
	select {
	case <-p.closed:
	case <-time.After(patience):
		p.t.Fatalf("%s does not quit; the last events:\n%s", p.name, p.last())
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s: %v after /quit\n%s", p.name, err, &p.errs)
	}
	if took := time.Since(asked); took > 3*time.Second {
		p.t.Errorf("%s took %v to quit", p.name, took)
	}
	if p.errs.Len() > 0 {
		p.t.Errorf("%s says on standard error:\n%s", p.name, &p.errs)
	}
}

// kill ends the program if it still runs, without a chance to put things in order.
func (p *process) kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended just now
	<-p.closed
	_ = p.cmd.Wait()
}
