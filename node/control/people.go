package control

import (
	"encoding/json"
	"errors"
	"fmt"
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

// ErrOtherNumber says that a number is not the one that there is to compare with a contact.
var ErrOtherNumber = errors.New("this is not the number that /verify shows here: either it has a typing error, or somebody stands between you two. Nothing has changed")

// verify shows a safety number, or remembers what came of comparing it.
func (s *Dialogue) verify(rest string) (any, error) {
	who, said := word(rest)
	if who == "" {
		return nil, usage("verify")
	}
	switch said = strings.TrimSpace(said); said {
	case "":
		return s.number(who)
	case "yes", "no":
		return s.answer(who, said)
	}
	return compared(s.node.Compare(who, said, true))
}

// number shows a safety number, and remembers it for the answer.
func (s *Dialogue) number(who string) (any, error) {
	shown, err := s.node.Safety(who)
	if err != nil {
		return nil, err
	}
	s.numbers[shown.Hashid] = shown.QR
	return shown, nil
}

// answer takes a yes or no, which is about the number that this dialogue has shown, whatever
// keys there are by now, and whoever goes by that name.
func (s *Dialogue) answer(who, said string) (any, error) {
	c, err := s.node.Contact(who)
	if err != nil {
		return nil, err
	}
	number, looked := s.numbers[c.Hashid]
	if !looked {
		return nil, fmt.Errorf("there is nothing to say %s to yet: /verify %s shows the number to compare", said, who)
	}
	result, err := compared(s.node.Compare(c.Hashid, number, said == "yes"))
	if errors.Is(err, ErrOtherNumber) {
		return nil, fmt.Errorf("the keys have changed since you looked, and nothing was done: /verify %s shows the new number", who)
	}
	return result, err
}

func compared(s Safety, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return Compared{s}, nil
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
