package integration

import (
	"bytes"
	"sync"

	"chatnt/discovery/hashid"
)

// trace is something that is looked for, and who may have it.
type trace struct {
	what  string
	known []hashid.NodeID
}

// traces are all that is looked for, in all forms that it may have.
type traces struct {
	mu    sync.Mutex // guards the fields below
	all   []trace
	forms [][]byte
	trace []int // of each form, its place in all
}

// add adds bytes, to be found as they are: any 16 of them in a row are.
func (s *traces) add(what string, raw []byte, known ...hashid.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, trace{what, known})
	s.form(raw)
}

// addSecret adds something in all the forms that files and logs are searched for.
func (s *traces) addSecret(secret secret, known ...hashid.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, trace{secret.what, known})
	for _, f := range secret.forms {
		s.form(f.bytes)
		if f.folded {
			s.form(bytes.ToUpper(f.bytes))
		}
	}
}

// addNode adds what a node is known by.
func (s *traces) addNode(who string, n *loner, known ...hashid.NodeID) {
	s.addSecret(newSecret(who+"'s node id", n.self[:]), known...)
	s.addSecret(newSecret(who+"'s node key", n.public), known...)
	s.addSecret(newTextSecret("libp2p's id of "+who+"'s node", n.host.ID().String()), known...)
}

// form is called with mu held.
func (s *traces) form(raw []byte) {
	if len(raw) >= shortestRun {
		s.forms, s.trace = append(s.forms, raw), append(s.trace, len(s.all)-1)
	}
}

// finder finds all that was added so far.
func (s *traces) finder() *finder {
	s.mu.Lock()
	defer s.mu.Unlock()
	return newFinder(s.forms)
}

// of returns what was found.
func (s *traces) of(m match) trace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[s.trace[m.needle]]
}
