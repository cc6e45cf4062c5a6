// Command benchtable reads what `go test -bench` prints and writes the promised
// ratios as a table:
//
//	go test -bench . ./... | benchtable
//
// A benchmark takes part by reporting its own time, that of its floor, the two
// taken in turn within one run, and their ratio: the metrics us/ours, us/floor and
// x-floor. What it reads is copied to standard error as it comes, for whoever
// waits and for the benchmarks that have no floor.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Stdin, os.Stdout, os.Stderr, time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

// result is what one benchmark measured, by unit.
type result map[string]float64

func run(in io.Reader, out, progress io.Writer, now time.Time) error {
	var (
		results = make(map[string]result)
		cpu     = "processor unknown"
		failed  bool
	)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(progress, line)
		if name, ok := strings.CutPrefix(line, "cpu: "); ok {
			cpu = name
		}
		failed = failed || strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "--- FAIL")
		if name, r, ok := parse(line); ok {
			results[name] = r
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s, %d cores, %s\n\n", now.Format("2 January 2006"), cpu, runtime.NumCPU(), runtime.Version())
	fmt.Fprintln(out, "| what | floor, µs | ours, µs | ratio | promised |")
	fmt.Fprintln(out, "|---|---|---|---|---|")
	for _, r := range rows() {
		got, ok := results[r.benchmark]
		if !ok {
			return fmt.Errorf("the input has no result of %s", r.benchmark)
		}
		fmt.Fprintf(out, "| %s | %.1f | %.1f | %.2f | %s |\n", r.what, got["us/floor"], got["us/ours"], got["x-floor"], r.promised)
	}
	if failed {
		return fmt.Errorf("a benchmark failed")
	}
	return nil
}

// parse reads one line of results: a name, the number of rounds, and pairs of a
// value and its unit. It takes only benchmarks that have a floor.
func parse(line string) (name string, r result, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return "", nil, false
	}
	name, _, _ = strings.Cut(fields[0], "-") // the number of processors
	r = make(result)
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return "", nil, false
		}
		r[fields[i+1]] = value
	}
	_, ours := r["us/ours"]
	_, floor := r["us/floor"]
	_, ratio := r["x-floor"]
	return name, r, ours && floor && ratio
}
