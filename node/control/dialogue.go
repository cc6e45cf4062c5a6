// Package control lets people and programs drive a node, line by line: the
// commands of the REPL, the JSON form of their results and of events, and the
// socket by which other processes reach a running node.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Dialogue is one dialogue with a node. Open may be called from any goroutine, all else from one.
type Dialogue struct {
	// Confirm asks a person whether something that cannot be undone is to be done; nil
	// if there is nobody to ask.
	Confirm func(question string) bool

	profile  Profile
	quitting chan struct{} // closed by /quit

	numbers map[string]string // by hashid, the safety numbers that were shown here; owned by who executes lines

	mu   sync.Mutex // taken by who calls Open, and by who changes what it guards
	node Node       // guarded by mu: that of the last line; nil if another is about to run
	with string     // guarded by mu: hashid of the open conversation, or ""
}

// NewDialogue begins a dialogue with the node of a profile, whichever runs at the time
// of a line.
func NewDialogue(p Profile) *Dialogue {
	s := newDialogue(p)
	s.node = p.Node()
	return s
}

// newDialogue waits for no node: another may be about to run, whose Ready nobody reads.
func newDialogue(p Profile) *Dialogue {
	return &Dialogue{profile: p, quitting: make(chan struct{}), numbers: make(map[string]string)}
}

// Open returns the contact of the open conversation as it is now; false if none is open.
func (s *Dialogue) Open() (Contact, bool) {
	s.mu.Lock()
	node, with := s.node, s.with
	s.mu.Unlock()
	if node == nil || with == "" {
		return Contact{}, false
	}
	c, err := node.Contact(with)
	return c, err == nil
}

// current is the hashid of the open conversation, or "".
func (s *Dialogue) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.with
}

func (s *Dialogue) open(with string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.with = with
}

// Over reports whether /quit was given.
func (s *Dialogue) Over() bool {
	select {
	case <-s.quitting:
		return true
	default:
		return false
	}
}

// Execute carries out one line. The result, if there is one, is a struct whose
// JSON fields are the result's.
//
//	/command ...   a command; an unknown one is an error and goes nowhere
//	@name text     text to a contact
//	//text         /text to the open conversation
//	text           text to the open conversation
func (s *Dialogue) Execute(line string) (any, error) {
	if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
		return nil, errors.New("this line is not text: it is not valid UTF-8, or has a zero byte")
	}
	command := strings.TrimLeft(line, " \t")                             // or a space too many would send it to somebody
	if name, _ := word(command); command != "/quit" && name != "/wipe" { // which wait for nothing
		s.turn(s.profile.Node())
	}
	switch {
	case strings.HasPrefix(command, "//"):
		return s.say(command[1:])
	case strings.HasPrefix(command, "/"):
		return s.slash(command[1:])
	case strings.HasPrefix(command, "@"):
		name, text := addressed(command[1:])
		if name == "" || text == "" {
			return nil, errors.New("this is written @NAME TEXT")
		}
		return s.send(name, text)
	case strings.HasPrefix(command, "#"):
		return nil, errors.New("there are no rooms yet")
	}
	return s.say(line)
}

// Ask carries out one line and copies the fields of its result into result, as the function of this
// name does with a node of another process.
func (s *Dialogue) Ask(line string, result any) error {
	done, err := s.Execute(line)
	if err != nil {
		return err
	}
	fields, err := json.Marshal(done)
	if err != nil {
		return err
	}
	return json.Unmarshal(fields, result)
}

func (s *Dialogue) slash(line string) (any, error) {
	name, rest := "", line // "/ x" is no command
	if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
		name, rest = word(line)
	}
	for _, c := range commands() {
		if c.name == name {
			if c.usage == "" && rest != "" {
				return nil, fmt.Errorf("/%s takes no arguments", name)
			}
			return c.run(s, rest)
		}
	}
	return nil, fmt.Errorf("there is no command /%s: /help lists them, and // sends a line that begins with /", name)
}

func (s *Dialogue) say(text string) (any, error) {
	with := s.current()
	if with == "" {
		return nil, errors.New("no conversation is open: /query NAME opens one, @NAME TEXT writes to somebody")
	}
	return s.send(with, text)
}

// aboutContacts lists the commands whose first argument is the name of a contact.
func aboutContacts() []string {
	return []string{"msg", "query", "verify", "block", "unblock", "remove", "rename", "history"}
}

// Complete returns what could follow the beginning of a line: commands, and
// names of contacts.
func (s *Dialogue) Complete(line string) []string {
	var all []string
	command, _, spaced := strings.Cut(line, " ")
	switch {
	case strings.HasPrefix(line, "/") && !spaced:
		for _, c := range commands() {
			all = append(all, "/"+c.name+" ")
		}
	case s.node == nil: // another is about to run
	case strings.HasPrefix(line, "@") && !spaced:
		for _, c := range s.node.Contacts() {
			all = append(all, "@"+c.Name+" ")
		}
	case strings.HasPrefix(line, "/") && slices.Contains(aboutContacts(), command[1:]):
		for _, c := range s.node.Contacts() {
			all = append(all, command+" "+c.Name+" ")
		}
	}
	var fit []string
	for _, candidate := range all {
		if strings.HasPrefix(candidate, line) {
			fit = append(fit, candidate)
		}
	}
	return fit
}
