//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkDemo times the built program from its start to the answer to its
// first message, which is typed before it is ready.
func BenchmarkDemo(b *testing.B) {
	build(b)
	var answered []time.Duration
	for b.Loop() {
		p := newProcess(b, "demo", "demo", "--json")
		p.write("@bob hello")
		answer := p.await(0, "message", has{"text": "hello"})
		answered = append(answered, time.Duration(answer["after"].(float64)*float64(time.Second)))
		p.quit()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(answered).Seconds(), "s/answer")
}

// BenchmarkResident reports the memory of each of seven nodes of one network,
// processes of their own, half a minute after they were ready.
func BenchmarkResident(b *testing.B) {
	dir := b.TempDir()
	data := func(i int) string { return filepath.Join(dir, strconv.Itoa(i)) }
	invite := strings.TrimSpace(run(b, 0, "network", "create", "family", "--listen", loopback, "--data", data(0)))
	var nodes []*process
	for i := range 7 {
		if i > 0 {
			run(b, 0, "network", "join", invite, "--data", data(i))
		}
		nodes = append(nodes, newProcess(b, fmt.Sprintf("n%d", i), "node", "--json", "--data", data(i), "--listen", loopback))
	}
	for _, n := range nodes {
		n.await(0, "ready", nil)
	}
	<-time.After(30 * time.Second) // what is measured is the memory by then
	var most float64
	for b.Loop() {
		for _, n := range nodes {
			most = max(most, resident(b, n.cmd.Process.Pid))
		}
	}
	for _, n := range nodes {
		n.quit()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(most, "MB/node")
}

// resident returns the resident memory of a process in MB (10^6 bytes).
func resident(b testing.TB, pid int) float64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		var kib float64
		if n, _ := fmt.Sscanf(lines.Text(), "VmRSS: %f kB", &kib); n == 1 {
			return kib * 1024 / 1e6
		}
	}
	b.Fatal("the process tells no resident memory")
	return 0
}
