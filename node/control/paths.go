package control

import "time"

// Path is the way the last message took.
type Path struct {
	ID     string   `json:"id"`
	Relays []string `json:"relays"` // node ids, in order
	End    string   `json:"end"`    // node id
}

// Paths are the relays that messages pass, as far as a person needs to know: which
// rules hold, and what is lost on the way.
type Paths struct {
	Guards   []Guard   `json:"guards"`   // the first relays, in the order in which they were picked
	Beside   []Guard   `json:"beside"`   // those next to them
	Prefixes int       `json:"prefixes"` // that the usable relays are in; 0 where the network has no prefix rule
	Resting  int       `json:"resting"`  // relays left out for a while because they lose packets
	Avoided  int       `json:"avoided"`  // pairs of neighbours left out for the same reason
	Lost     []float64 `json:"lost"`     // of the requests of the last minutes, 0 to 1: at the first relay, at each after it, and last at the end or for an unknown reason
	Meaning  string    `json:"meaning"`  // sentences
}

// Guard is a relay that is kept for long.
type Guard struct {
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Usable bool      `json:"usable"` // now
	InUse  bool      `json:"in_use"` // paths are drawn from it now
}
