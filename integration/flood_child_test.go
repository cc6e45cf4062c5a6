//go:build linux

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childVariable has the test binary, started by a test, become a child: the one
// process of a measurement that holds nothing but what is measured.
const childVariable = "CHATNT_CHILD"

// child is that process, as its parent sees it. It is asked a line of JSON at a
// time and answers each with one.
type child struct {
	t       testing.TB
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

// question is what a child is asked.
type question struct {
	What string `json:"what"`
	Args []byte `json:"args,omitempty"`
}

// usage is what a child has used so far.
type usage struct {
	CPU        time.Duration // user and system, of the whole process
	Resident   float64       // MB (10^6 bytes) at present
	Peak       float64       // MB, the most so far
	Heap       float64       // MB, of live objects and those not collected yet
	Goroutines int
}

// startChild runs a child of a kind that becomeChild knows, to be set up with config.
func startChild(t testing.TB, kind string, config any) *child {
	t.Helper()
	c := &child{t: t, process: exec.Command(os.Args[0], "-test.run", "^$")}
	c.process.Env = append(os.Environ(), childVariable+"="+kind)
	c.process.Stderr = os.Stderr
	var err error
	if c.in, err = c.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.in.Close() // the child ends when it is asked no more
		kill := time.AfterFunc(20*time.Second, func() { _ = c.process.Process.Kill() })
		defer kill.Stop()
		if err := c.process.Wait(); err != nil {
			t.Errorf("a child process ended badly: %v", err)
		}
	})
	c.ask("config", config, nil)
	return c
}

// ask puts a question and reads the answer into answer, unless that is nil.
func (c *child) ask(what string, args, answer any) {
	c.t.Helper()
	raw, err := json.Marshal(args)
	if err != nil {
		c.t.Fatal(err)
	}
	line, err := json.Marshal(question{what, raw})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		c.t.Fatal(err)
	}
	if !c.out.Scan() {
		c.t.Fatalf("the child process gave no answer to %q", what)
	}
	if answer != nil {
		if err := json.Unmarshal(c.out.Bytes(), answer); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *child) usage() (u usage) {
	c.t.Helper()
	c.ask("usage", nil, &u)
	return u
}

// wasChild reports whether this process was a child. It is at its end then.
func wasChild() bool {
	kind := os.Getenv(childVariable)
	if kind == "" {
		return false
	}
	if err := becomeChild(kind); err != nil {
		fmt.Fprintln(os.Stderr, "a child process:", err)
		os.Exit(1)
	}
	return true
}

// becomeChild is the whole life of a child process.
func becomeChild(kind string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var answer func(what string, args []byte) (any, error)
	var wait func() error
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		var (
			result any
			err    error
		)
		switch {
		case q.What == "usage":
			result, err = measure()
		case q.What != "config":
			result, err = answer(q.What, q.Args)
		case kind == "node":
			answer, wait, err = childNode(ctx, q.Args)
		case kind == "relay":
			answer, wait, err = childRelay(ctx, q.Args)
		default:
			err = errors.New("there is no such kind of child: " + kind)
		}
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
			return err
		}
	}
	cancel()
	if wait == nil {
		return nil
	}
	return wait()
}

func measure() (u usage, err error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return u, err
	}
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(raw)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			u.Resident = kib * 1024 / 1e6
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			u.Peak = kib * 1024 / 1e6
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.Heap, u.Goroutines = float64(m.HeapAlloc)/1e6, runtime.NumGoroutine()
	return u, nil
}
