package integration

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestRollback puts an older copy of a profile back in its place, as somebody does
// who restores a backup, and has the conversation go on, whoever writes first and
// however far it has come since the copy was made. Whatever is said from then on,
// or was waiting at either side, comes out once and in order; what the copy still
// holds as waiting though it came out long ago does not come out again; and the
// other side's person is told.
func TestRollback(t *testing.T) {
	t.Parallel()
	invite := newRelays(t, 5)
	for i, far := range []struct {
		name   string
		rounds int // between the copy and its return
	}{
		{"soon", 2},
		{"after many rounds", 14},
	} {
		for j, tt := range []struct {
			name string
			play func(r *rollback)
		}{
			{"the older one writes first", func(r *rollback) {
				r.copy(r.alice)
				r.talk(far.rounds)
				r.restore(r.alice)
				r.says(r.alice, 3)
				r.says(r.bob, 3)
				r.settle()
			}},
			{"the other writes first", func(r *rollback) {
				r.copy(r.alice)
				r.talk(far.rounds)
				r.restore(r.alice)
				r.says(r.bob, 3)
				r.says(r.alice, 3)
				r.settle()
			}},
			{"both write at once", func(r *rollback) {
				r.copy(r.alice)
				r.talk(far.rounds)
				r.restore(r.alice)
				for range 3 {
					r.queue(r.alice)
					r.queue(r.bob)
				}
				r.settle()
			}},
			{"texts wait at both when it is made and at the other when it returns", func(r *rollback) {
				quitAll(r.bob)
				r.queue(r.alice)
				r.queue(r.alice)
				quitAll(r.alice)
				r.run(r.bob)
				r.queue(r.bob)
				r.queue(r.bob)
				quitAll(r.bob)
				r.keep(r.alice)
				r.run(r.alice, r.bob)
				r.settle()
				r.talk(far.rounds)
				quitAll(r.alice)
				r.queue(r.bob)
				r.queue(r.bob)
				r.bringBack(r.alice)
				r.run(r.alice)
				r.settle()
				r.says(r.alice, 2)
				r.says(r.bob, 2)
				r.settle()
			}},
			{"both are older, each by another while", func(r *rollback) {
				r.copy(r.alice)
				r.talk(2)
				r.copy(r.bob)
				r.talk(far.rounds)
				r.restore(r.alice, r.bob)
				r.says(r.bob, 3)
				r.says(r.alice, 3)
				r.settle()
			}},
		} {
			if (i+j)%2 >= count(1, 2) { // every day each once
				continue
			}
			t.Run(far.name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				r := &rollback{t: t, copies: t.TempDir(), said: make(map[*party][]heard)}
				r.alice, r.bob = newContacts(t, invite)
				quitAll(r.alice, r.bob)
				r.alice.runs, r.bob.runs = nil, nil
				r.run(r.alice, r.bob)
				tt.play(r)
				r.check()
			})
		}
	}
}

// rollback is a conversation of two, of whose profiles copies are made.
type rollback struct {
	t          *testing.T
	alice, bob *party
	copies     string // directory
	said       map[*party][]heard
	waiting    []func() // for what was said and not waited for
	restored   []*party
}

func (r *rollback) other(p *party) *party {
	if p == r.alice {
		return r.bob
	}
	return r.alice
}

func (r *rollback) run(who ...*party) {
	r.t.Helper()
	for _, p := range who {
		p.begin()
	}
	for _, p := range who {
		p.ready()
	}
}

// copy stops somebody, keeps a copy of the profile, and starts them again.
func (r *rollback) copy(p *party) {
	r.t.Helper()
	quitAll(p)
	r.keep(p)
	r.run(p)
}

// keep copies the profile of somebody whose program does not run.
func (r *rollback) keep(p *party) {
	r.t.Helper()
	if err := os.CopyFS(filepath.Join(r.copies, p.name), os.DirFS(p.dir)); err != nil {
		r.t.Fatal(err)
	}
}

// restore stops people, puts the copies of their profiles in place, and starts them.
func (r *rollback) restore(who ...*party) {
	r.t.Helper()
	quitAll(who...)
	r.bringBack(who...)
	r.run(who...)
}

// bringBack replaces the profiles of people whose programs do not run.
func (r *rollback) bringBack(who ...*party) {
	r.t.Helper()
	for _, p := range who {
		if err := os.RemoveAll(p.dir); err != nil {
			r.t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(r.copies, p.name), p.dir); err != nil {
			r.t.Fatal(err)
		}
		r.restored = append(r.restored, p)
	}
}

// queue has somebody say something to the other, and does not wait for it.
func (r *rollback) queue(from *party) {
	r.t.Helper()
	to, text := r.other(from), numbered(from.name, len(r.said[from]), "one text more")
	one := heard{from.say(to, text), text}
	r.said[from] = append(r.said[from], one)
	r.waiting = append(r.waiting, func() {
		r.t.Helper()
		to.await(0, "message", has{"id": one.id, "text": text})
		from.await(0, "status", has{"id": one.id, "state": "delivered"})
	})
}

// says has somebody say n texts, one after the other has come out.
func (r *rollback) says(from *party, n int) {
	r.t.Helper()
	for range n {
		r.queue(from)
		r.settle()
	}
}

// settle waits until all that was said has come out, and this is known.
func (r *rollback) settle() {
	r.t.Helper()
	began := time.Now()
	for _, wait := range r.waiting {
		wait()
	}
	r.waiting = nil
	if took := time.Since(began); took > 2*time.Second {
		r.t.Logf("the texts are there after %.1f s", took.Seconds())
	}
}

// talk is n rounds: each answers what the other has said.
func (r *rollback) talk(n int) {
	r.t.Helper()
	for range n {
		r.says(r.alice, 1)
		r.says(r.bob, 1)
	}
}

// check ends the conversation and looks at it as a whole.
func (r *rollback) check() {
	r.t.Helper()
	quitAll(r.alice, r.bob)
	for _, from := range []*party{r.alice, r.bob} {
		to := r.other(from)
		if got := to.heard(r.t, from.hashid); !slices.Equal(got, r.said[from]) {
			r.t.Errorf("of %s's texts came out\n%q\nwant\n%q", from.name, got, r.said[from])
		}
	}
	if !slices.ContainsFunc(r.restored, func(p *party) bool { return r.other(p).toldOfRollback() }) {
		r.t.Errorf("nobody is told that the other side's profile is an older copy; alice is told of something: %v, bob: %v",
			r.alice.toldOfRollback(), r.bob.toldOfRollback())
	}
}

// toldOfRollback tells whether the person has been told, in the last run, that
// something is wrong with a conversation.
func (p *party) toldOfRollback() bool {
	return slices.ContainsFunc(p.all(), func(e event) bool { return e.has(has{"event": "warning", "about": "session"}) })
}
