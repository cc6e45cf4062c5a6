package integration

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// snapshot is every name below some directories, with its kind and what it holds.
func snapshot(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			all[path] = info.Mode().String()
			if info.Mode().IsRegular() {
				raw, err := os.ReadFile(path)
				all[path] += " " + info.ModTime().String() + "\n" + string(raw)
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestEphemeralLeavesNothing talks as an identity that is not kept, and compares the
// profile, the home directory and that for temporary files byte for byte with what
// they were: while it runs, after it was killed, and after it has ended.
func TestEphemeralLeavesNothing(t *testing.T) {
	t.Parallel()
	invite := newRelays(t, 4)
	alice, bob := newParty(t, "alice", invite), newParty(t, "bob", invite)
	bob.start()
	home, temp := t.TempDir(), t.TempDir()
	dirs := []string{alice.dir, home, temp}
	before := snapshot(t, dirs...)
	same := func(when string) {
		t.Helper()
		if after := snapshot(t, dirs...); !maps.Equal(before, after) {
			t.Errorf("%s the disk is another; there are %q", when, slices.Sorted(maps.Keys(after)))
		}
	}
	var hashids []string
	for _, kill := range []bool{true, false} {
		cmd := exec.Command(build(t), "node", "--json", "--ephemeral", "--data", alice.dir, "--listen", loopback)
		cmd.Env = []string{"HOME=" + home, "TMPDIR=" + temp, "CHATNT_PASSPHRASE=" + passphrase}
		eve := startProcess(t, "eve", cmd)
		hashid := eve.await(0, "ready", nil)["hashid"].(string)
		hashids = append(hashids, hashid)
		eve.do("/nick eve")
		eve.do("/add " + bob.hashid + " bob")
		bob.await(0, "request", has{"from": hashid})
		bob.do("/accept " + hashid)
		eve.await(0, "contact", has{"hashid": bob.hashid, "state": "accepted"})
		eve.do("/set history on bob")
		id := eve.do("/msg bob nobody will know")["id"]
		eve.await(0, "status", has{"id": id, "state": "delivered"})
		eve.do("/id new other")
		eve.do("/id use other")
		eve.do("/nick another")
		same("while it runs")
		if kill {
			eve.kill()
			same("after it was killed")
			continue
		}
		eve.quit()
		same("after it has ended")
	}
	if hashids[0] == hashids[1] || slices.Contains(hashids, alice.hashid) {
		t.Error("an identity came back")
	}
	if out := run(t, 0, "id", "--data", alice.dir); strings.TrimSpace(out) != alice.hashid {
		t.Error("the profile has another identity")
	}
	quitAll(bob)
}
