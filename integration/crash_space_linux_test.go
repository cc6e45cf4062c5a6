package integration

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk fills the disk below a running program. What cannot be stored is
// refused, aloud if a person asked for it; nothing that was taken is lost, nor the
// program; and it goes on when there is space again.
func TestFullDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	goHome(t)
	ip(t, "link set lo up")
	d := newDisk(t)
	invite := newRelays(t, 5)
	alice, bob := newParty(t, "alice", invite), newPartyIn(t, d.dir, "bob", invite)
	meetEachOther(alice, bob)
	alice.runs, bob.runs = alice.runs[:0], bob.runs[:0]
	for _, p := range []*party{alice, bob} {
		quitAll(p)
		p.start()
	}
	var fromAlice, fromBob []heard

	// Bob says things until one is refused, and hears what cannot be kept.
	d.fill()
	refused := ""
	for i := 0; refused == ""; i++ {
		text := numbered("bob", i, strings.Repeat("on and on. ", 150))
		mark, line := len(bob.all()), "/msg alice "+text
		bob.write(line)
		e := bob.awaitFunc(mark, "an answer", func(e event) bool { return e["line"] == line })
		if e["event"] == "done" {
			fromBob = append(fromBob, heard{e["id"].(string), text})
		} else {
			refused = e["error"].(string)
		}
		if i > 500 {
			t.Fatal("bob's disk is not full")
		}
	}
	t.Logf("after %d texts more: %s", len(fromBob), refused)
	if !aboutSpace(refused) {
		t.Errorf("a text that cannot be stored is answered with %q", refused)
	}
	for i := range 5 {
		text := numbered("alice", i, strings.Repeat("and on and on. ", 110))
		fromAlice = append(fromAlice, heard{alice.say(bob, text), text})
	}
	alice.await(0, "status", has{"id": fromAlice[4].id, "state": "sent"}) // bob's node has it, and cannot keep it
	bob.do("/status")

	// There is space again.
	d.free()
	settled := func(from, to *party, texts []heard) {
		t.Helper()
		last := texts[len(texts)-1]
		to.await(0, "message", has{"id": last.id, "text": last.text})
		from.await(0, "status", has{"id": last.id, "state": "delivered"})
	}
	text := "there is space again"
	fromBob = append(fromBob, heard{bob.say(alice, text), text})
	settled(alice, bob, fromAlice)
	settled(bob, alice, fromBob)

	// The program is killed, and started on a full disk: it runs or says why not.
	quitAll(alice)
	text = "nobody is there"
	fromBob = append(fromBob, heard{bob.say(alice, text), text})
	bob.kill()
	soundEnd(t, bob)
	d.fill()
	before := bob.file()
	bob.begin()
	runs := bob.readyOrEnded()
	t.Logf("started on a full disk the program runs: %v", runs)
	if !runs {
		if text := bob.errs.String(); strings.Count(text, "\n") != 1 || !aboutSpace(text) {
			t.Errorf("on a full disk the program ends with\n%s", text)
		}
		if !bytes.Equal(bob.file(), before) {
			t.Error("and it has changed the profile")
		}
	} else {
		bob.kill()
		soundEnd(t, bob)
	}
	d.free()
	bob.start()
	alice.start()
	settled(bob, alice, fromBob)
	text = "all is well"
	fromAlice = append(fromAlice, heard{alice.say(bob, text), text})
	settled(alice, bob, fromAlice)
	quitAll(alice, bob)
	for _, one := range []struct {
		to   *party
		from string
		want []heard
	}{{alice, bob.hashid, fromBob}, {bob, alice.hashid, fromAlice}} {
		if got := one.to.heard(t, one.from); !slices.Equal(got, one.want) {
			t.Errorf("%s heard %d texts, or others than the %d that were said:\n%.40q\n%.40q", one.to.name, len(got), len(one.want), got, one.want)
		}
	}

	// A profile that finds no place is not half made.
	d.fill()
	if _, refused := refuses(t, "a new profile", filepath.Join(d.dir, "carol"), ofSpace, "id"); !refused {
		t.Error("a profile was made on a full disk")
	}
	if entries, err := os.ReadDir(filepath.Join(d.dir, "carol")); !errors.Is(err, os.ErrNotExist) && len(entries) > 0 {
		t.Errorf("what is left of it: %v, %v", entries, err)
	}
}

// TestReadOnlyDisk runs the program on a profile that it cannot write to.
func TestReadOnlyDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	goHome(t)
	ip(t, "link set lo up")
	d := newDisk(t)
	p := &party{t: t, name: "p", dir: filepath.Join(d.dir, "p")}
	run(t, 0, "network", "create", "family", "--listen", loopback, "--data", p.dir)
	before := p.file()
	if err := syscall.Mount("", d.dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"node", "--json"}, {"node"}, {"network", "create", "other"}} {
		if _, refused := refuses(t, "read-only", p.dir, "read-only", args...); !refused {
			t.Errorf("chatnt %q runs", args)
		}
	}
	if !bytes.Equal(p.file(), before) {
		t.Error("the file was changed")
	}
}

// disk is a small one of its own.
type disk struct {
	t   *testing.T
	dir string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{t: t, dir: t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, "size=2m,mode=700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) })
	return d
}

func (d *disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill takes all the space that is left.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.Create(d.filler())
	if err != nil {
		d.t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *disk) free() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

// file is the party's vault as it lies on the disk.
func (p *party) file() []byte {
	p.t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.dir, "vault.db"))
	if err != nil {
		p.t.Fatal(err)
	}
	return raw
}

// readyOrEnded waits until a run is ready, or has ended of itself.
func (p *party) readyOrEnded() bool {
	for {
		p.mu.Lock()
		more, is := p.more, slices.ContainsFunc(p.events, func(e event) bool { return e["event"] == "ready" })
		p.mu.Unlock()
		if is {
			return true
		}
		select {
		case <-more:
		case <-p.closed:
			_ = p.cmd.Wait()
			return false
		}
	}
}

// soundEnd holds a run whose disk was full to this: it has logged that, and no worse.
func soundEnd(t *testing.T, p *party) {
	t.Helper()
	for line := range strings.Lines(p.errs.String()) {
		if !strings.HasPrefix(line, "time=") || !strings.Contains(line, " level=ERROR ") {
			t.Errorf("%s says on standard error:\n%.2000s", p.name, &p.errs)
			return
		}
	}
}

// ofSpace is what somebody must read to know that the disk is full.
const ofSpace = "no space left|disk is full"

func aboutSpace(text string) bool { return regexp.MustCompile(ofSpace).MatchString(text) }
