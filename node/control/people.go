package control

import (
	"encoding/json"
	"errors"
	"strings"
)

func (s *Dialogue) block(rest string) (any, error) { return nil, named(rest, "block", s.node.Block) }

func (s *Dialogue) unblock(rest string) (any, error) {
	return nil, named(rest, "unblock", s.node.Unblock)
}

func (s *Dialogue) remove(rest string) (any, error) { return nil, named(rest, "remove", s.node.Remove) }

// named carries out a command about one person.
func named(rest, command string, do func(name string) error) error {
	who, rest := word(rest)
	if who == "" || rest != "" {
		return usage(command)
	}
	return do(who)
}

func (s *Dialogue) rename(rest string) (any, error) {
	who, rest := word(rest)
	to, rest := word(rest)
	if to == "" || rest != "" {
		return nil, usage("rename")
	}
	return s.node.Rename(who, to)
}

// verify shows a safety number, or remembers what came of comparing it.
func (s *Dialogue) verify(rest string) (any, error) {
	who, said := word(rest)
	if who == "" {
		return nil, usage("verify")
	}
	if said = strings.TrimSpace(said); said == "" {
		return s.node.Safety(who)
	}
	compared, err := s.node.Compare(who, said)
	if err != nil {
		return nil, err
	}
	return Compared{compared}, nil
}

// Compared is the result of /verify with an answer: how the contact stands now.
type Compared struct{ Safety }

// asText reads a text that is written as a JSON string, so that it may have several lines.
func asText(quoted string) (text string, err error) {
	if json.Unmarshal([]byte(quoted), &text) != nil || strings.ContainsRune(text, 0) {
		return "", errors.New("with -json the text is a JSON string: \"hi\"")
	}
	return text, nil
}
