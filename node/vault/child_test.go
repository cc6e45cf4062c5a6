package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Some tests need a process of their own, to kill it or to take the disk's space
// from it: this binary, told by the environment what to do, with the vault in its
// working directory.
const (
	childTask = "CHATNT_VAULT_CHILD"
	childFile = "vault.db"
)

// runChild is the main function of such a process.
func runChild(task string) int {
	do := map[string]func() error{"churn": churn, "upgrade": upgradeChild}[task]
	if do == nil {
		do = systemTask(task)
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child prepares a process that does task in dir.
func child(ctx context.Context, task, dir string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env, cmd.Dir = append(os.Environ(), childTask+"="+task), dir
	cmd.Stderr = os.Stderr
	return cmd
}

// count is few in an everyday run of the tests, many in a long one.
func count(few, many int) int {
	if os.Getenv("CHATNT_LONG") == "1" {
		return many
	}
	return few
}

// churn replaces and deletes values until it is killed. It says which round it is
// in, a line each, once that is stored: in round n the value of "b/round" and of
// "b/twin" is n, and of the keys 0 to 9 that of n mod 10 is gone.
func churn() error {
	d, err := openDisk(childFile)
	if err != nil {
		return err
	}
	v := &Vault{path: childFile, store: d, keys: testKeys()}
	for {
		var round int
		err := v.Update(func(tx *Tx) error {
			last, err := tx.Get("b", "round")
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(last))
			round = n + 1
			return errors.Join(err, churnRound(tx, round))
		})
		if err != nil {
			return err
		}
		fmt.Println(round)
		if round%3 == 0 {
			if err := v.Scrub(); err != nil {
				return err
			}
		}
	}
}

func churnRound(tx *Tx, n int) error {
	value := []byte(strconv.Itoa(n))
	errs := []error{tx.Put("b", "round", value), tx.Put("b", "twin", value), tx.Delete("b", strconv.Itoa(n%10))}
	for i := range 10 {
		if i != n%10 {
			errs = append(errs, tx.Put("b", strconv.Itoa(i), noise(i*i*200)))
		}
	}
	return errors.Join(errs...)
}

// A vault is whole whenever its process is killed, in the middle of a scrub too,
// holds what was said to be stored, and the next owner finds nothing else in it.
func TestKilledWhileScrubbing(t *testing.T) {
	path := filepath.Join(t.TempDir(), childFile)
	if err := write(filepath.Dir(path), path, golden(t, "header-v2"), testKeys()); err != nil {
		t.Fatal(err)
	}
	v := reopen(t, path, testKeys())
	if err := errors.Join(v.Update(func(tx *Tx) error { return churnRound(tx, 0) }), v.Close()); err != nil {
		t.Fatal(err)
	}
	var unclean int
	for i := range count(15, 200) {
		said := killed(t, path, 1+i%7)
		f, err := inspect(path, func([]byte) (*keys, error) { return testKeys(), nil })
		if err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		if left, err := notZero(path); err != nil || left > 1 {
			unclean++
		}
		v := reopen(t, path, f.keys)
		held, err := contents(v, "b")
		round, _ := strconv.Atoi(held["b/round"])
		if err != nil || round < said || round > said+1 || held["b/twin"] != held["b/round"] || len(held) != 11 {
			t.Fatalf("kill %d: in round %d of %d, %d entries, twin %s, %v", i, round, said, len(held), held["b/twin"], err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		// Of the free pages one holds the list of free pages before the last.
		if left, err := notZero(path); err != nil || left > 1 {
			t.Fatalf("kill %d: %d free pages are not empty, %v", i, left, err)
		}
	}
	if unclean == 0 {
		t.Error("no process was killed at a moment when there was something to scrub")
	}
}

// killed runs churn until it has stored so many rounds, kills it at once, and
// returns the last round that it said was stored.
func killed(t *testing.T, path string, rounds int) (said int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := child(ctx, "churn", filepath.Dir(path))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if said, err = strconv.Atoi(strings.TrimSpace(lines.Text())); err != nil {
			t.Fatal(err)
		}
		if rounds--; rounds == 0 {
			cancel() // SIGKILL; what it still wrote is read to the end
		}
	}
	if rounds > 0 {
		t.Error("the process ended by itself")
	}
	_ = cmd.Wait() // it was killed
	return said
}

// notZero counts the free pages, and those above the high-water mark, that hold
// anything.
func notZero(path string) (pages int, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return len(leftIn(raw)), nil
}
