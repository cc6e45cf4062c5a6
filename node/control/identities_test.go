package control_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"chatnt/node/control"
)

// What /id, /wipe and /set visible do, where nobody can be asked.
func TestIdentityCommands(t *testing.T) {
	f := newFake()
	s := control.NewDialogue(f)
	for _, step := range []struct{ line, did, result, fails string }{
		{line: "/id list", result: `{"identities":[{"name":"main","hashid":"me","node":"here","used":true},{"name":"work","hashid":"too","node":"there","used":false}]}`},
		{line: "/id list x", fails: "this is written /id ["},
		{line: "/id new", fails: "this is written /id ["},
		{line: "/id nonsense x", fails: "this is written /id ["},
		{line: "/id new x", did: "new identity x", result: `{"name":"x","hashid":"new","node":"","used":false}`},
		{line: "/id new x -unlisted", did: "new identity x", result: `{"name":"x","hashid":"new","node":"","used":false,"unlisted":true}`},
		{line: "/id use x -unlisted", fails: "this is written /id ["},
		{line: "/id new x -unlisted x", fails: "this is written /id ["},
		{line: "/id new x y", fails: "this is written /id ["},
		{line: "/id use work -later", fails: "this is written /id ["},
		{line: "/id list -now", fails: "this is written /id ["},
		{line: "/id new x -now", fails: "this is written /id ["},
		{line: "/id use main", fails: "in use"},
		{line: "/id delete", fails: "this is written /id ["},
		{line: "/id delete work", fails: "/id delete work -now does it"},
		{line: "/id delete WORK", fails: "this deletes the identity work"},
		{line: "/id delete main", fails: "in use, or unknown"},
		{line: "/id delete nobody", fails: "in use, or unknown"},
		{line: "/id delete work -now ", did: "delete work", result: "null"},
		{line: "/id delete work -now x", fails: "this is written /id ["},
		{line: "/set visible", result: `{"visible":true,"why":"so it is"}`},
		{line: "/set visible on", result: `{"visible":true,"why":"so it is"}`},
		{line: "/set visible off", fails: "not yet"},
		{line: "/set visible off -now", fails: "this is written /set ["},
		{line: "/set visible on -now", result: `{"visible":true,"why":"so it is"}`},
		{line: "/msg -id main bob hi", did: `send bob "hi"`, result: `{"id":"07000000000000000000000000000000","state":"queued"}`},
		{line: "/msg -json -id MAIN bob \"hi\"", did: `send bob "hi"`, result: `{"id":"07000000000000000000000000000000","state":"queued"}`},
		{line: "/msg -id work bob hi", fails: "the identity in use is main, not work: /id use changes it"},
		{line: "/msg -id nobody bob hi", fails: "the identity in use is main, not nobody"},
		{line: "/msg -id", fails: "this is written /msg ["},
		{line: "/id use work", did: "use work, now: false", result: `{"name":"work"}`},
		{line: "/id use work -now", did: "use work, now: true", result: `{"name":"work"}`},
		{line: "/set visible maybe", fails: "this is written /set ["},
		{line: "/set visible on on", fails: "this is written /set ["},
		{line: "/wipe", fails: "this destroys the profile with all its identities, contacts and keys, and cannot be undone: /wipe -now does it"},
		{line: "/wipe now", fails: "this is written /wipe [-now]"},
		{line: "/wipe -now x", fails: "this is written /wipe [-now]"},
	} {
		result, err := s.Execute(step.line)
		did := strings.Join(f.done(), "\n")
		switch {
		case did != step.did:
			t.Errorf("%s: did %q, want %q", step.line, did, step.did)
		case step.fails != "" && (err == nil || !strings.Contains(err.Error(), step.fails)):
			t.Errorf("%s: %v, want %q", step.line, err, step.fails)
		case step.fails == "" && err != nil:
			t.Errorf("%s: %v", step.line, err)
		case step.fails == "" && asJSON(t, result) != step.result:
			t.Errorf("%s: %s, want %s", step.line, asJSON(t, result), step.result)
		}
	}
	if s.Over() {
		t.Error("the dialogue is over before the profile is destroyed")
	}
	if _, err := s.Execute("/wipe -now"); err != nil || !s.Over() || !slices.Equal(f.done(), []string{"wipe"}) {
		t.Errorf("/wipe -now: %v, over: %v", err, s.Over())
	}
}

// Where nothing is on the disk, /wipe ends an identity and says so: who has a profile there too
// is not to take it for destroyed.
func TestWipeOfTheEphemeral(t *testing.T) {
	for ephemeral, want := range map[bool]struct{ asks, result string }{
		false: {"This destroys the profile with all its identities, contacts and keys, and cannot be undone. Do it?", `{}`},
		true: {
			"This ends the identity that runs here, which is nowhere on the disk, and cannot be undone; a profile on the disk stays as it is. Do it?",
			`{"ephemeral":true}`,
		},
	} {
		f := newFake()
		f.ephemeral = ephemeral
		s := control.NewDialogue(f)
		s.Confirm = func(question string) bool {
			if question != want.asks {
				t.Errorf("asked %q, want %q", question, want.asks)
			}
			return true
		}
		result, err := s.Execute("/wipe")
		if err != nil || asJSON(t, result) != want.result || !s.Over() || !slices.Equal(f.done(), []string{"wipe"}) {
			t.Errorf("ephemeral %v: %v, %v", ephemeral, result, err)
		}
	}
}

// Who becomes visible is told what cannot be taken back, and asked.
func TestBecomingVisibleIsAsked(t *testing.T) {
	f := newFake()
	f.hidden = true
	s := control.NewDialogue(f)
	if _, err := s.Execute("/set visible on"); err == nil || !strings.HasSuffix(err.Error(), "this link cannot be taken back from who has seen it: /set visible on -now does it") {
		t.Errorf("where nobody can be asked: %v", err)
	}
	var asked []string
	answer := false
	s.Confirm = func(question string) bool { asked = append(asked, question); return answer }
	if _, err := s.Execute("/set visible on"); err == nil || err.Error() != "nothing was done" {
		t.Errorf("after a no: %v", err)
	}
	if did := f.done(); did != nil {
		t.Errorf("after a no: %q", did)
	}
	answer = true
	result, err := s.Execute("/set visible on")
	if did := f.done(); err != nil || !slices.Equal(did, []string{"visible true"}) || asJSON(t, result) != `{"visible":true,"why":"so it is"}` {
		t.Errorf("after a yes: %q, %v, %v", did, result, err)
	}
	if len(asked) != 2 || !strings.HasPrefix(asked[1], "Whoever knows your hashid then finds your node and its IP address, and this link cannot be taken back") {
		t.Errorf("the questions are %q", asked)
	}
	if _, err := s.Execute("/set visible on"); err != nil || len(asked) != 2 {
		t.Errorf("who is visible is asked: %v, %q", err, asked)
	}
}

// Where somebody can be asked, only a yes does what cannot be undone.
func TestAsked(t *testing.T) {
	f := newFake()
	s := control.NewDialogue(f)
	var asked []string
	answer := false
	s.Confirm = func(question string) bool { asked = append(asked, question); return answer }
	for _, line := range []string{"/wipe", "/id delete work"} {
		if _, err := s.Execute(line); err == nil || err.Error() != "nothing was done" {
			t.Errorf("%s after a no: %v", line, err)
		}
	}
	if did := f.done(); did != nil || s.Over() {
		t.Errorf("after a no: %q", did)
	}
	if _, err := s.Execute("/id delete nobody"); err == nil || len(asked) != 2 {
		t.Errorf("asked in vain: %v, %q", err, asked)
	}
	answer = true
	for _, line := range []string{"/id delete work", "/wipe"} {
		if _, err := s.Execute(line); err != nil {
			t.Errorf("%s after a yes: %v", line, err)
		}
	}
	if did := f.done(); !slices.Equal(did, []string{"delete work", "wipe"}) || !s.Over() {
		t.Errorf("after a yes: %q, over: %v", did, s.Over())
	}
	for _, question := range asked {
		if !strings.HasPrefix(question, "This de") || !strings.HasSuffix(question, "cannot be undone. Do it?") {
			t.Errorf("the question is %q", question)
		}
	}
}

// Two identities, of which the second's node is ready once asked to be.
type turns struct {
	*fakeNode
	first  *fakeNode // the same
	second *fakeNode
	asked  bool
	ready  chan struct{}
}

func (p *turns) UseIdentity(string, bool) error { p.asked = true; return nil }

func (p *turns) Node() control.Node {
	if !p.asked {
		return p.first
	}
	<-p.ready
	return p.second
}

// A line that follows /id use waits for the other node, and what was open with a
// contact of one identity is not with whoever the other knows.
func TestUseClosesTheConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newFake()
		p := &turns{fakeNode: first, first: first, second: newFake(), ready: make(chan struct{})}
		s := control.NewDialogue(p)
		for _, line := range []string{"/query bob", "hi", "/verify bob", "/id use work"} {
			if _, err := s.Execute(line); err != nil {
				t.Fatal(err)
			}
		}
		if with, open := s.Open(); open || s.Complete("@") != nil {
			t.Errorf("still open: %+v, %q", with, s.Complete("@"))
		}
		done := make(chan error)
		go func() { _, err := s.Execute("meant for bob"); done <- err }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("before the other node was ready: %v", err)
		default:
		}
		close(p.ready)
		if err := <-done; err == nil || !strings.Contains(err.Error(), "no conversation is open") {
			t.Errorf("what was meant for another identity's contact: %v", err)
		}
		if _, err := s.Execute("/verify bob yes"); err == nil || !strings.Contains(err.Error(), "nothing to say yes to") {
			t.Errorf("a yes to the number of another identity: %v", err)
		}
		if _, err := s.Execute("@bob hello"); err != nil {
			t.Error(err)
		}
		if did := first.done(); !slices.Equal(did, []string{`send bob "hi"`}) {
			t.Errorf("the first node was told %q", did)
		}
		if did := p.second.done(); !slices.Equal(did, []string{`send bob "hello"`}) {
			t.Errorf("the second node was told %q", did)
		}
	})
}

// alternating is two nodes that take turns.
type alternating struct {
	*fakeNode
	mu    sync.Mutex
	nodes [2]*fakeNode // guarded by mu: that which runs first
}

func (a *alternating) UseIdentity(string, bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nodes[0], a.nodes[1] = a.nodes[1], a.nodes[0]
	return nil
}

func (a *alternating) Node() control.Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.nodes[0]
}

// Whoever shows the open conversation may ask for it at any time, also while another node takes the
// place of the one that it is open with: it is never open with that.
func TestOpenWhileIdentitiesChange(t *testing.T) {
	p := &alternating{fakeNode: newFake(), nodes: [2]*fakeNode{newFake(), newFake()}}
	s := control.NewDialogue(p)
	done, asked := make(chan struct{}), make(chan int, 1)
	go func() {
		open := 0
		for {
			if with, ok := s.Open(); ok && with.Hashid == bob().Hashid {
				open++
			}
			select {
			case <-done:
				asked <- open
				return
			default:
			}
		}
	}()
	for range 500 {
		for _, line := range []string{"/query bob", "hi", "/id use work"} {
			if _, err := s.Execute(line); err != nil {
				t.Fatal(err)
			}
		}
		if with, ok := s.Open(); ok {
			t.Fatalf("open with %+v", with)
		}
	}
	close(done)
	t.Logf("seen open %d times", <-asked)
}

// /quit waits for no node.
func TestQuitDoesNotWait(t *testing.T) {
	first := newFake()
	p := &turns{fakeNode: first, first: first, ready: make(chan struct{})}
	s := control.NewDialogue(p)
	p.asked = true
	if _, err := s.Execute(" /quit"); err != nil || !s.Over() {
		t.Errorf("/quit: %v", err)
	}
}

// Every Ready after the first is told as any event is.
func TestDriveTellsEveryReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newFake(control.Ready{Network: "fam"}, control.Ready{Network: "fam", Identity: "work"})
		ctx, cancel := context.WithCancel(t.Context())
		var out strings.Builder
		done := drive(ctx, n, nil, &out)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if strings.Count(out.String(), `"event":"ready"`) != 2 || !strings.Contains(out.String(), `"network":"fam","identity":"work"}`) {
			t.Errorf("it told\n%s", &out)
		}
	})
}

// wiper is a node that ends, and all that serves it, before Wipe has returned.
type wiper struct {
	*fakeNode
	end func()
}

func (w *wiper) Wipe() error { w.end(); return nil }

// What ends the node is answered all the same.
func TestSocketAnswersTheLastLine(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		n := &wiper{fakeNode: newFake()}
		n.end = func() { cancel(); <-ctx.Done() }
		go func() { gone <- control.Listen(ctx, n, dir) }()
		for control.Ask(dir, "/id", new(control.ID)) != nil {
			select {
			case err := <-gone:
				t.Fatalf("Listen: %v", err)
			default:
			}
		}
		if err := control.Ask(dir, "/wipe -now", new(struct{})); err != nil {
			t.Fatal(err)
		}
		if err := <-gone; err != nil {
			t.Error(err)
		}
	}
}
