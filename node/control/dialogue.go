// Package control lets people and programs drive a node, line by line: the
// commands of the REPL, the JSON form of their results and of events, and the
// socket by which other processes reach a running node.
package control

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Dialogue is one dialogue with a node. It is not safe for concurrent use.
type Dialogue struct {
	// Ask asks a person whether something that cannot be undone is to be done; nil
	// if there is nobody to ask.
	Ask func(question string) bool

	profile     Profile
	node        Node   // of the last line; nil if another is about to run
	current     string // hashid of the open conversation, or ""
	currentName string
	quitting    chan struct{} // closed by /quit
}

// NewDialogue begins a dialogue with the node of a profile, whichever runs at the time
// of a line.
func NewDialogue(p Profile) *Dialogue {
	return &Dialogue{profile: p, node: p.Node(), quitting: make(chan struct{})}
}

// Current is the local name of the open conversation, or "".
func (s *Dialogue) Current() string { return s.currentName }

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
	command := strings.TrimLeft(line, " \t") // or a space too many would send it to somebody
	if command != "/quit" {                  // which waits for nothing
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
	if s.current == "" {
		return nil, errors.New("no conversation is open: /query NAME opens one, @NAME TEXT writes to somebody")
	}
	return s.send(s.current, text)
}

// Complete returns what could follow the beginning of a line: commands, and
// names of contacts.
func (s *Dialogue) Complete(line string) []string {
	var all []string
	switch {
	case strings.HasPrefix(line, "/") && !strings.Contains(line, " "):
		for _, c := range commands() {
			all = append(all, "/"+c.name+" ")
		}
	case s.node == nil: // another is about to run
	case strings.HasPrefix(line, "@") && !strings.Contains(line, " "):
		for _, c := range s.node.Contacts() {
			all = append(all, "@"+c.Name+" ")
		}
	case strings.HasPrefix(line, "/msg ") || strings.HasPrefix(line, "/query "):
		command, _ := word(line)
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
