package node

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chatnt/node/control"
	"chatnt/node/vault"
)

// runningNode is a Runner that runs, on the loopback interface.
type runningNode struct {
	*Runner
	t    *testing.T
	stop context.CancelFunc
	over chan error // what Run returned
}

func startRunner(t *testing.T, p *Profile, log *slog.Logger, listen ...string) *runningNode {
	t.Helper()
	if len(listen) == 0 {
		listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	r, err := NewRunner(Config{Profile: p, Listen: listen, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	run := &runningNode{r, t, cancel, make(chan error, 1)}
	go func() { run.over <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-r.ended
	})
	return run
}

// ready waits for the next Ready.
func (r *runningNode) ready() control.Ready {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for {
		e, err := r.Next(ctx)
		if err != nil {
			r.t.Fatal(err)
		}
		if e, ok := e.(control.Ready); ok {
			return e
		}
	}
}

func netProfile(t *testing.T, dir string) *Profile {
	t.Helper()
	p := openProfile(t, dir)
	if err := p.SetNetwork(testNetwork(t), nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// One identity's node follows another's in one process; whoever asks for the node gets
// the new one once its Ready was shown.
func TestRunnerChangesIdentity(t *testing.T) {
	dir := t.TempDir()
	main := netProfile(t, dir)
	port, err := FixPorts(addrs(t, "/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	r := startRunner(t, main, nil, port[0].String())
	first := r.ready()
	if !slices.Equal(first.Listen, texts(port)) {
		t.Errorf("the first listens on %v, not %v", first.Listen, port)
	}
	if !first.First || first.Identity != "" || first.Hashid != main.Hashid().String() {
		t.Errorf("the first is ready as %+v", first)
	}
	work, err := r.NewIdentity("work", false)
	if err := errors.Join(err, r.Told()); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteIdentity("main"); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the identity in use is deleted: %v", err)
	}
	if err := r.UseIdentity("main", true); err == nil || err.Error() != `the identity "main" is in use` {
		t.Errorf("use of what is in use: %v", err)
	}
	if err := r.UseIdentity("nobody", true); !errors.Is(err, errNoIdentity) {
		t.Errorf("use of nobody: %v", err)
	}
	if id := r.Node().ID(); id.Hashid != first.Hashid {
		t.Errorf("the node is %v", id)
	}
	if err := r.UseIdentity("work", true); err != nil {
		t.Fatal(err)
	}
	if err := r.UseIdentity("main", true); !errors.Is(err, errTurning) {
		t.Errorf("use of another while one starts: %v", err)
	}
	asked := make(chan control.Node, 1)
	go func() { asked <- r.Node() }()
	second := r.ready()
	if !second.First || second.Identity != "work" || second.Hashid != work.Hashid || second.Node != work.Node || slices.Equal(second.Listen, first.Listen) {
		t.Errorf("the second is ready as %+v", second)
	}
	select {
	case n := <-asked:
		t.Errorf("before its Ready was shown the node is %v", n.ID())
	default:
	}
	if _, err := r.Next(t.Context()); err != nil { // the number of relays
		t.Fatal(err)
	}
	if err := r.Told(); err != nil {
		t.Fatal(err)
	}
	if id := (<-asked).ID(); id.Hashid != work.Hashid || id.Node != work.Node {
		t.Errorf("the node is %v", id)
	}
	hashids := map[string]string{"main": first.Hashid, "work": work.Hashid}
	for _, want := range []string{"main", "work", "main"} {
		if err := r.UseIdentity(want, true); err != nil {
			t.Fatal(err)
		}
		again := r.ready()
		if again.First || again.Identity != want || again.Hashid != hashids[want] || slices.Equal(again.Listen, first.Listen) != (want == "main") {
			t.Errorf("back to %s: %+v", want, again)
		}
	}
	r.stop()
	if err := <-r.over; err != nil {
		t.Error(err)
	}
	if _, err := r.Next(context.Background()); !errors.Is(err, errEnded) {
		t.Errorf("Next after the end: %v", err)
	}
	if r.Node() == nil {
		t.Error("there is no node after the end")
	}
}

// Who is told what a first start shows is told of the identity whose Ready was shown, also when
// another has taken its place meanwhile.
func TestRunnerTellsOfWhoWasShown(t *testing.T) {
	r := startRunner(t, netProfile(t, t.TempDir()), nil)
	if err := r.Told(); err != nil || !r.ready().First {
		t.Errorf("somebody was told before anything was shown: %v", err)
	}
	if _, err := r.NewIdentity("work", false); err != nil {
		t.Fatal(err)
	}
	first := r.current()
	if err := r.UseIdentity("work", true); err != nil {
		t.Fatal(err)
	}
	<-first.after
	if err := r.Told(); err != nil || !r.ready().First {
		t.Errorf("of the second somebody was told before it was shown: %v", err)
	}
	if err := r.UseIdentity("main", true); err != nil {
		t.Fatal(err)
	}
	if r.ready().First {
		t.Error("of the first nobody was told")
	}
}

// Whoever stops a Runner while one node takes the place of another stops both.
func TestRunnerStopsBetween(t *testing.T) {
	p := netProfile(t, t.TempDir())
	if _, err := p.AddIdentity("work", time.Now()); err != nil {
		t.Fatal(err)
	}
	r := startRunner(t, p, nil)
	r.ready()
	if err := r.UseIdentity("work", true); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { r.Node(); close(done) }()
	r.stop()
	if err := <-r.over; err != nil {
		t.Error(err)
	}
	<-done
}

// A node that cannot start says for whom, and the person's wish stands.
func TestRunnerCannotStartTheNext(t *testing.T) {
	dir := t.TempDir()
	p := netProfile(t, dir)
	if _, err := p.AddIdentity("work", time.Now()); err != nil {
		t.Fatal(err)
	}
	r := startRunner(t, p, nil)
	r.ready()
	r.mu.Lock()
	r.cfg.Listen = []string{"/ip4/127.0.0.1/udp/0/quic-v1"} // which a private network does not have
	r.mu.Unlock()
	if err := r.UseIdentity("work", true); err != nil {
		t.Fatal(err)
	}
	if err := <-r.over; err == nil || !strings.Contains(err.Error(), `the node of the identity "work" cannot start: /ip4/127.0.0.1/udp/0/quic-v1: a private network uses TCP alone`) {
		t.Errorf("Run returned %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if again := openProfile(t, dir); again.name != "work" {
		t.Errorf("the next start is as %q", again.name)
	}
}

// Wiping while the node runs ends it, without a word in the log, and leaves nothing.
func TestRunnerWipes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "profile")
	p := netProfile(t, dir)
	var log bytes.Buffer
	r := startRunner(t, p, slog.New(slog.NewTextHandler(&log, nil)).With("a", 1).WithGroup("g"))
	r.ready()
	if _, err := r.NewIdentity("work", false); err != nil {
		t.Fatal(err)
	}
	if err := r.Wipe(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is there: %v", err)
	}
	if _, err := r.NewIdentity("more", false); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("an identity was made: %v", err)
	}
	if err := r.UseIdentity("work", true); !errors.Is(err, errEnded) {
		t.Errorf("an identity is used: %v", err)
	}
	if err := errors.Join(r.Wipe(), <-r.over, p.Close()); err != nil {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("the log has\n%s", &log)
	}
	fresh := openProfile(t, dir)
	if fresh.Hashid() == p.Hashid() || fresh.Network() != nil {
		t.Error("something of the old profile is there")
	}
}

// Another process can have the profile destroyed when nobody reads what the node tells any more, as
// when its terminal is gone, and another identity's is about to run.
func TestWipeWhenNobodyReads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "profile")
	p := netProfile(t, dir)
	r := startRunner(t, p, nil)
	r.ready()
	if _, err := r.NewIdentity("work", false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- control.Listen(ctx, r.Runner, dir) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	for control.Ask(dir, "/id use work -now", new(struct{})) != nil { // until it serves
		select {
		case err := <-served:
			served <- nil
			t.Fatal(err)
		default:
		}
	}
	if err := control.Ask(dir, "/wipe -now", new(struct{})); err != nil {
		t.Error(err)
	}
	if err := <-r.over; err != nil {
		t.Error(err)
	}
	if left := filesIn(t, dir); slices.Contains(left, vaultName) {
		t.Errorf("left are %q", left)
	}
}

// One that is in memory only takes the same commands; wiping it is ending it.
func TestRunnerOfTheEphemeral(t *testing.T) {
	r := startRunner(t, testProfile(t), nil)
	r.ready()
	work, err := r.NewIdentity("work", false)
	if err == nil {
		err = r.UseIdentity("work", true)
	}
	if err != nil {
		t.Fatal(err)
	}
	if ready := r.ready(); ready.Hashid != work.Hashid {
		t.Errorf("ready as %+v", ready)
	}
	if r.Kept() || !(&Runner{turn: &turn{profile: &Profile{dir: "somewhere"}}}).Kept() {
		t.Error("what is on the disk is not told from what is not")
	}
	if err := errors.Join(r.Wipe(), <-r.over); err != nil {
		t.Error(err)
	}
}

// A node on its own says that there is nothing beside it.
func TestNodeAlone(t *testing.T) {
	r := startRunner(t, testProfile(t), nil)
	r.ready()
	n := r.Node().(*Node)
	ids, err := n.Identities()
	if err != nil || len(ids) != 1 || ids[0].Hashid != n.ID().Hashid || !ids[0].Used || n.Node() != control.Node(n) {
		t.Errorf("the identities are %+v, %v", ids, err)
	}
	_, err = n.NewIdentity("work", false)
	for _, err := range []error{err, n.UseIdentity("work", true), n.DeleteIdentity("work"), n.Wipe()} {
		if !errors.Is(err, errAlone) {
			t.Errorf("got %v", err)
		}
	}
}
