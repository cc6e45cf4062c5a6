package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// lookThrough calls look with all that another process has in its memory and
// could write there, a piece at a time: heap, stacks and what is left in them of
// what was there before. Pieces overlap by what would fit a packet. The process,
// which is a child of this one, stands still meanwhile.
func lookThrough(t *testing.T, pid int, look func(piece []byte)) (size int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	const (
		overlap = 8 << 10
		shadow  = 256 << 20 // longer is the race detector's own memory, terabytes of it
	)
	piece := make([]byte, 4<<20)
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uint64
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(rights, "rw") || underRace && to-from > shadow {
			continue
		}
		for at := from; at < to; {
			n, err := memory.ReadAt(piece[:min(uint64(len(piece)), to-at)], int64(at))
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatalf("reading the memory of a child at %x: %v", at, err)
			}
			look(piece[:n])
			size += n
			if at += uint64(n); at < to {
				at -= overlap
			}
		}
	}
	return size
}
