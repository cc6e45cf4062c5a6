package control

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// historyShown is how many texts /history shows unless told otherwise.
const (
	historyShown = 20
	historyMost  = 1000
)

// set shows or changes the settings of a conversation: that with a name, or the open one.
func (s *Dialogue) set(rest string) (any, error) {
	what, rest := word(rest)
	switch what {
	case "listed":
		return s.listed(rest)
	case "visible":
		return s.visible(rest)
	case "latency":
		return s.latency(rest)
	}
	if what != "history" && what != "ttl" {
		if rest != "" {
			return nil, usage("set")
		}
		name, err := s.conversation(what)
		if err != nil {
			return nil, err
		}
		return s.node.Settings(name)
	}
	value, rest := word(rest)
	name, rest := word(rest)
	if value == "" || rest != "" {
		return nil, usage("set")
	}
	name, err := s.conversation(name)
	if err != nil {
		return nil, err
	}
	if what == "history" {
		if value != "on" && value != "off" {
			return nil, usage("set")
		}
		return s.node.SetHistory(name, value == "on")
	}
	ttl, err := parseTTL(value)
	if err != nil {
		return nil, err
	}
	return s.node.SetTTL(name, ttl)
}

// Latency is the result of /set latency.
type Latency struct {
	Latency string `json:"latency"` // fast, normal or slow
}

// latency shows or sets how long relays hold what this person sends.
func (s *Dialogue) latency(rest string) (any, error) {
	value, rest := word(rest)
	if rest != "" {
		return nil, usage("set")
	}
	if value != "" {
		if err := s.node.SetLatency(value); err != nil {
			return nil, err
		}
	}
	return Latency{s.node.Latency()}, nil
}

// parseTTL reads a time like 30s, 5m, 1h, 7d or 2w, or "off".
func parseTTL(value string) (time.Duration, error) {
	if value == "off" {
		return 0, nil
	}
	wrong := fmt.Errorf("%q is no time: 30s, 5m, 1h, 7d and 2w are, and off", value)
	if ttl, err := time.ParseDuration(value); err == nil {
		if ttl < time.Second {
			return 0, wrong
		}
		return ttl, nil
	}
	unit, number := value[len(value)-1], value[:len(value)-1]
	n, err := strconv.ParseUint(number, 10, 16)
	day := 24 * time.Hour
	switch {
	case err != nil || n == 0:
		return 0, wrong
	case unit == 'd':
		return time.Duration(n) * day, nil
	case unit == 'w':
		return time.Duration(n) * 7 * day, nil
	}
	return 0, wrong
}

// conversation is the contact that a command is about: the one named, or that of the
// open conversation.
func (s *Dialogue) conversation(name string) (string, error) {
	switch {
	case name != "":
		return name, nil
	case s.current() != "":
		return s.current(), nil
	}
	return "", errors.New("no conversation is open: /query NAME opens one, or name the contact")
}

// History is the result of /history.
type History struct {
	Texts []Said `json:"texts"` // the oldest first
}

func (s *Dialogue) history(rest string) (any, error) {
	name, rest := word(rest)
	count, rest := word(rest)
	if rest != "" {
		return nil, usage("history")
	}
	limit := historyShown
	if n, err := strconv.ParseUint(name, 10, 16); err == nil && count == "" && s.current() != "" {
		name, limit = "", int(n)
	} else if count != "" {
		n, err := strconv.ParseUint(count, 10, 16)
		if err != nil {
			return nil, usage("history")
		}
		limit = int(n)
	}
	name, err := s.conversation(name)
	if err != nil {
		return nil, err
	}
	texts, err := s.node.History(name, min(limit, historyMost))
	return History{Texts: append([]Said{}, texts...)}, err
}
