package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

const printed = `goos: linux
cpu: A Processor
BenchmarkUnwrapOverFloor-2   	   15000	         0 ns/op	        38.10 us/floor	        39.20 us/ours	         1.029 x-floor
BenchmarkUnwrap-2            	   15000	     39000 ns/op	 105.1 MB/s	     688 B/op	       6 allocs/op
BenchmarkWrapOverFloor-2     	    4000	         0 ns/op	       250.0 us/floor	       300.0 us/ours	         1.200 x-floor
PASS
BenchmarkRelayCPU-2          	    4000	         0 ns/op	        10.0 us/floor	       15.0 us/ours	         1.500 x-floor
BenchmarkMessageOverFloor-2  	    4000	         0 ns/op	         9.0 us/floor	        14.0 us/ours	         1.556 x-floor
BenchmarkTurnOverX25519/key-2         	    4000	         0 ns/op	        43.0 us/floor	       195.0 us/ours	         4.535 x-floor
BenchmarkTurnOverX25519/ciphertext-2  	    4000	         0 ns/op	        43.0 us/floor	       292.0 us/ours	         6.791 x-floor
BenchmarkHandshakeOverFloor-2         	    4000	         0 ns/op	       517.0 us/floor	       521.0 us/ours	         1.008 x-floor
BenchmarkQueue/1000-2        	    4000	         0 ns/op	       544.0 us/floor	       581.0 us/ours	         1.068 x-floor
BenchmarkOneWay-2         	    4000	         0 ns/op	       300.0 us/floor	       360.0 us/ours	         1.200 x-floor
BenchmarkRoundTrip-2         	    4000	         0 ns/op	       500.0 us/floor	       600.0 us/ours	         1.200 x-floor	   7 us/plain
ok  	chatnt/overlay/onion	2.0s
`

func TestTable(t *testing.T) {
	var out, progress strings.Builder
	day := time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC)
	if err := run(strings.NewReader(printed), &out, &progress, day); err != nil {
		t.Fatal(err)
	}
	if progress.String() != printed {
		t.Error("what was read was not copied")
	}
	for _, want := range []string{
		"22 November 2026, A Processor, ",
		" | 38.1 | 39.2 | 1.03 | 1.15 |\n",
		" | 500.0 | 600.0 | 1.20 | 1.5 |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestFailures(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":          "",
		"a row is missing": strings.Replace(printed, "BenchmarkRelayCPU", "BenchmarkOther", 1),
		"no ratio":         strings.Replace(printed, "1.029 x-floor", "1.029 x", 1),
		"no number":        strings.Replace(printed, "39.20 us/ours", "fast us/ours", 1),
		"failed":           printed + "FAIL\tchatnt/overlay/link\n",
	} {
		if err := run(strings.NewReader(in), io.Discard, io.Discard, time.Time{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestReadme holds the README to the table: it shows a copy of every row.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows() {
		if !strings.Contains(string(readme), "| "+r.what+" |") {
			t.Errorf("the README's table has no row %q", r.what)
		}
	}
}
