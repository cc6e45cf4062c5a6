//go:build linux

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// found precedes, on a line of its own, what a test running alone reports.
const found = "found: "

// report hands what was found to whoever called alone.
func report(v any) {
	fmt.Println(found + asJSON(v))
}

// alone runs one test of this program in a process of its own, with some more
// environment, and reads what it reports into v.
func alone(t testing.TB, test string, attr *syscall.SysProcAttr, env []string, v any) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", test, "-test.v", "-test.timeout", "20m")
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = attr
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s, alone: %v\n%s", test, err, out.String())
	}
	for line := range strings.Lines(out.String()) {
		if text, ok := strings.CutPrefix(line, found); ok {
			if err := json.Unmarshal([]byte(text), v); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s, alone, reported nothing:\n%s", test, out.String())
}
