package integration

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chatnt/node/vault"
)

// TestMoveToAnotherMachine backs up alice's profile with the real program, has the two go on, and then takes her
// machine away for good: what she had is restored somewhere else, as another node. Whatever either
// side still holds comes out once and in order, bob is told of new keys, and nothing that was sealed
// for the old machine opens on the new one.
func TestMoveToAnotherMachine(t *testing.T) {
	t.Parallel()
	invite := newRelays(t, 5)
	for i, tt := range []struct {
		name string
		play func(r *rollback, file string)
	}{
		{"texts are under way to a machine that is gone", func(r *rollback, file string) {
			quitAll(r.bob)
			r.queue(r.alice) // these wait in the backup, and come out before it is restored
			r.queue(r.alice)
			r.backUp(r.alice, file)
			r.run(r.bob)
			r.settle()
			r.talk(2)
			quitAll(r.alice)
			for range 3 { // these are sealed for the old machine
				r.queue(r.bob)
			}
			r.moveTo(r.alice, file)
			r.queue(r.alice)
			r.settle()
		}},
		{"the other is away meanwhile", func(r *rollback, file string) {
			r.talk(1)
			quitAll(r.alice)
			r.queue(r.bob)
			r.queue(r.bob)
			quitAll(r.bob)
			r.run(r.alice)
			r.queue(r.alice)
			r.backUp(r.alice, file)
			quitAll(r.alice)
			r.moveTo(r.alice, file)
			r.queue(r.alice)
			r.run(r.bob)
			r.settle()
		}},
		{"the other has nothing to say", func(r *rollback, file string) {
			r.backUp(r.alice, file)
			r.talk(1)
			quitAll(r.alice)
			r.moveTo(r.alice, file)
			r.says(r.alice, 1)
		}},
		{"twice from one backup", func(r *rollback, file string) {
			r.backUp(r.alice, file)
			r.talk(1)
			for range 2 {
				quitAll(r.alice)
				r.queue(r.bob)
				r.moveTo(r.alice, file)
				r.settle()
				r.talk(1)
			}
		}},
	} {
		if i >= count(3, 4) {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &rollback{t: t, copies: t.TempDir(), said: make(map[*party][]heard)}
			r.alice, r.bob = newContacts(t, invite)
			quitAll(r.alice, r.bob)
			r.alice.runs, r.bob.runs = nil, nil
			r.run(r.alice, r.bob)
			tt.play(r, filepath.Join(r.copies, "backup"))
			r.says(r.bob, 2)
			r.says(r.alice, 2)
			r.check()
		})
	}
}

// backUp stops somebody, makes a backup, and starts them again.
func (r *rollback) backUp(p *party, file string) {
	r.t.Helper()
	quitAll(p)
	run(r.t, 0, "backup", file, "--data", p.dir)
	r.run(p)
}

// moveTo takes away the machine of somebody whose program does not run, and runs what the backup holds on
// another.
func (r *rollback) moveTo(p *party, file string) {
	r.t.Helper()
	old := keysOf(r.t, p.dir)
	if err := os.RemoveAll(p.dir); err != nil {
		r.t.Fatal(err)
	}
	p.dir = filepath.Join(r.t.TempDir(), "another", p.name)
	run(r.t, 0, "restore", file, "--data", p.dir)
	if id := strings.TrimSpace(run(r.t, 0, "id", "--data", p.dir)); id != p.hashid {
		r.t.Errorf("%s is %s after the move, and was %s", p.name, id, p.hashid)
	}
	restored := keysOf(r.t, p.dir)
	if len(old.sessions) == 0 || len(restored.sessions) > 0 {
		r.t.Errorf("%d sessions were there, %d are restored", len(old.sessions), len(restored.sessions))
	}
	if old.prekeys == restored.prekeys || old.node == restored.node {
		r.t.Error("the prekeys, or the node's key, are those of the old machine")
	}
	r.restored = append(r.restored, p)
	began := time.Now()
	r.run(p)
	r.waiting = append(r.waiting, func() { // after what was said before the move
		r.t.Logf("what waited for %s is there %.1f s after the start", p.name, time.Since(began).Seconds())
	})
}

// keys are what opens frames that come to a profile, but for its identity.
type keys struct {
	sessions      []string // with what came early, sealed frames and first messages
	prekeys, node string
}

func keysOf(t *testing.T, dir string) (k keys) {
	t.Helper()
	v, err := vault.Open(filepath.Join(dir, "vault.db"), []byte(passphrase), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = v.View(func(tx *vault.Tx) error {
		var errs []error
		for _, bucket := range []string{"talks", "early", "frames", "hellos"} {
			errs = append(errs, tx.ForEach(bucket, func(key string, _ []byte) error {
				k.sessions = append(k.sessions, key)
				return nil
			}))
		}
		prekeys, err := tx.Get("profile", "prekeys")
		node, failed := tx.Get("profile", "node key")
		k.prekeys, k.node = string(prekeys), string(node)
		return errors.Join(append(errs, err, failed)...)
	})
	if err = errors.Join(err, v.Close()); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestRestoreKilled kills the program while it restores: there is no profile then, or a whole one, and a second
// try makes it.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, data := filepath.Join(dir, "backup"), filepath.Join(dir, "p")
	run(t, 0, "network", "create", "family", "--listen", loopback, "--data", data)
	id := run(t, 0, "id", "--data", data)
	run(t, 0, "backup", file, "--data", data)
	began := time.Now()
	run(t, 0, "restore", file, "--data", filepath.Join(dir, "whole"))
	took := time.Since(began)
	none := 0
	tries := count(4, 60)
	for i := range tries {
		data := filepath.Join(dir, "killed", string('a'+rune(i)))
		killAfter(t, took*time.Duration(i+1)/time.Duration(tries), "restore", file, "--data", data)
		if !vault.Exists(filepath.Join(data, "vault.db")) {
			none++
			run(t, 0, "restore", file, "--data", data)
		}
		if got := run(t, 0, "id", "--data", data); got != id {
			t.Errorf("the restored hashid is %s, want %s", got, id)
		}
	}
	if none == 0 {
		t.Error("the program was never killed before it was done")
	}
	t.Logf("a restore takes %.1f s; no profile after %d kills", took.Seconds(), none)
	if names, err := filepath.Glob(filepath.Join(dir, "whole", "*")); err != nil || !slices.Equal(names, []string{filepath.Join(dir, "whole", "config.toml"), filepath.Join(dir, "whole", "vault.db")}) {
		t.Errorf("a restored profile is %v, %v", names, err)
	}
}

// killAfter starts the program and kills it after a while, which is the experiment, unless it has ended.
func killAfter(t *testing.T, wait time.Duration, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), build(t), args...)
	cmd.Env = append(environment(t), "CHATNT_PASSPHRASE="+passphrase)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-time.After(wait)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}
