package overlay

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/path"
)

// recorder remembers what attempts have come to.
type recorder struct {
	Paths
	begun time.Time

	mu      sync.Mutex
	said    []report // guarded by mu
	doubted int      // guarded by mu; how often there was doubt
}

func (r *recorder) doubts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doubted
}

type report struct {
	Out, Back []hashid.NodeID
	End       hashid.NodeID
	Outcome
	at time.Duration
}

// passes reports whether a relay was on the way.
func (r report) passes(id hashid.NodeID) bool {
	return slices.Contains(r.Out, id) || slices.Contains(r.Back, id)
}

func (r *recorder) Report(way *path.Way, outcome Outcome) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	out, back := way.IDs()
	r.said = append(r.said, report{out, back, way.End, outcome, time.Since(r.begun)})
	doubt := r.Paths.Report(way, outcome)
	if doubt {
		r.doubted++
	}
	return doubt
}

// reports returns what was reported since the last call.
func (r *recorder) reports() []report {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := r.said
	r.said, r.begun = nil, time.Now()
	return said
}

// outcomes writes reports down, as "lost 2s, late 3s".
func outcomes(reports []report) (s string) {
	names := map[Outcome]string{Answered: "answered", Lost: "lost", Late: "late", Unsent: "unsent"}
	for i, r := range reports {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%s %v", names[r.Outcome], r.at)
	}
	return s
}
