package integration

import (
	"slices"
	"testing"
)

// heard is a text that came out, and under which id.
type heard struct{ id, text string }

// heard returns what came out from somebody over all runs, in order, and holds
// each run to this: what it shows follows on without a gap, either on what was shown
// last or, marked as told again, from a place before that; and what is told
// again comes before all that is new.
func (p *party) heard(t *testing.T, from string) []heard {
	t.Helper()
	var list []heard
	place := make(map[string]int) // by id
	for i, run := range p.runs {
		next, fresh := -1, false
		for _, e := range run.all() {
			if e["event"] != "message" {
				continue
			}
			again := e["again"] == true
			if again && fresh {
				t.Errorf("%s, run %d: told again after something new: %.80q", p.name, i, e["text"])
			}
			fresh = fresh || !again
			if e["from"] != from {
				continue
			}
			one := heard{e["id"].(string), e["text"].(string)}
			at, before := place[one.id]
			switch {
			case !before:
				at = len(list)
				list, place[one.id] = append(list, one), at
			case list[at] != one:
				t.Errorf("%s, run %d: %.80q comes under the id of %.80q", p.name, i, one.text, list[at].text)
			case !again:
				t.Errorf("%s, run %d: a second time: %.80q", p.name, i, one.text)
			}
			if next >= 0 && at != next {
				t.Errorf("%s, run %d: %.80q comes out of order", p.name, i, one.text)
			}
			next = at + 1
		}
	}
	return list
}

// check holds what a speaker said, over all runs, against what came out at the
// other side and against what the speaker was told of it.
func (s *speaker) check(t *testing.T) {
	t.Helper()
	got := s.to.heard(t, s.hashid)
	came := make(map[string]heard) // by text
	for _, one := range got {
		came[one.text] = one
	}
	prefix := "/msg " + s.to.name + " "
	var want []heard
	ids := make(map[any]bool)
	lost := 0
	for i, run := range s.runs {
		answers := s.told(t, i, run)
		cut := false // the program was killed before it came to this line
		for _, line := range s.said[i].lines {
			text := line[len(prefix):]
			id, answered := answers[line]
			one, out := came[text]
			switch {
			case answered:
				want = append(want, heard{id, text})
				ids[id] = true
			case out && cut:
				t.Errorf("%s, run %d: %.80q was queued, and the text before it was not", s.name, i, text)
			case out: // its answer was lost with the run
				want = append(want, one)
				ids[one.id] = true
			default:
				cut = true
				lost++
			}
		}
	}
	if !slices.Equal(got, want) {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Errorf("%d texts of %s came out, want %d; from the %dth on\n%.1000q\nwant\n%.1000q", len(got), s.name, len(want), at, got[at:], want[at:])
	}
	for i, run := range s.runs {
		for _, e := range run.all() {
			if e["event"] == "status" && !ids[e["id"]] {
				t.Errorf("%s, run %d: the state of a text that nobody said: %v", s.name, i, e)
			}
		}
	}
	t.Logf("%s: %d texts came out, %d were cut off with their commands, in %d runs", s.name, len(got), lost, len(s.runs))
}

// told returns the ids of the texts that a run took, by command, and holds the run
// to this: it tells of nothing but texts and relays, of each text's states at most once
// and in their order, and fails nothing.
func (s *speaker) told(t *testing.T, i int, run *process) map[string]string {
	t.Helper()
	answers := make(map[string]string)
	states := make(map[any]int)
	order := []any{"sent", "delivered"}
	for _, e := range run.all() {
		switch e["event"] {
		case "ready", "relays", "message":
		case "done":
			if id, ok := e["id"].(string); ok {
				answers[e["line"].(string)] = id
			}
		case "status":
			if e["state"] == "queued" {
				break
			}
			at := slices.Index(order, e["state"]) + 1
			if at <= states[e["id"]] {
				t.Errorf("%s, run %d: a state that was told already, or is none: %v", s.name, i, e)
			}
			states[e["id"]] = at
		default:
			t.Errorf("%s, run %d: an event out of place: %v", s.name, i, e)
		}
	}
	return answers
}
