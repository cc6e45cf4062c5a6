package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Profile is whose node is driven: package node's, whose documentation says what each
// method does. Its identities take turns, each with a node of its own.
type Profile interface {
	// Next waits for the next event of the node that runs now.
	Next(ctx context.Context) (Event, error)
	// Node returns the node that runs now. While one takes the place of another, it
	// waits until the Ready of the new one was shown.
	Node() Node

	Identities() ([]Identity, error)
	NewIdentity(name string, unlisted bool) (Identity, error)
	UseIdentity(name string, now bool) error
	DeleteIdentity(name string) error
	Visible() Visible
	Told() error // the person was told what First in Ready asks for
	SetVisible(on bool) (Visible, error)
	Kept() bool // it is on the disk, and so is what Wipe destroys
	Wipe() error
}

// Identity is one of a profile's.
type Identity struct {
	Name   string    `json:"name"` // local
	Hashid string    `json:"hashid"`
	Node   string    `json:"node"`
	Made   time.Time `json:"made,omitzero"`
	Used   bool      `json:"used"` // it is the one in use

	Unlisted bool `json:"unlisted,omitempty"` // the hashid is not enough to find it
	Damaged  bool `json:"damaged,omitempty"`  // it cannot be used
}

// Identities is the result of /id list.
type Identities struct {
	Identities []Identity `json:"identities"`
}

// NowUsed is the result of /id use. The Ready of the identity's node follows.
type NowUsed struct {
	Name string `json:"name"`
}

// Visible is the result of /set visible: whether who knows the hashid can find this
// person's node, and a sentence about it.
type Visible struct {
	Visible bool   `json:"visible"`
	Why     string `json:"why"`
}

// Wiped is the result of /wipe: that the profile is destroyed or, if it was nowhere on the
// disk, that what ran is forgotten.
type Wiped struct {
	Ephemeral bool `json:"ephemeral,omitempty"`
}

const (
	now        = "-now" // no question is asked, and nothing waited for
	unlistedAs = "-unlisted"
)

// idFlags are the flags that a name in /id may have behind it.
func idFlags(what, flag string) bool {
	switch what {
	case "use", "delete":
		return flag == now
	case "new":
		return flag == unlistedAs
	}
	return false
}

// id is /id: whose node this is, and all that has to do with other identities.
func (s *Dialogue) id(rest string) (any, error) {
	what, rest := word(rest)
	name, rest := word(rest)
	flag, rest := word(rest)
	bare := name == "" && flag == ""
	switch {
	case rest != "" || flag != "" && !idFlags(what, flag):
		return nil, usage("id")
	case what == "" && bare:
		return s.node.ID(), nil
	case what == "list" && bare:
		list, err := s.profile.Identities()
		return Identities{append([]Identity{}, list...)}, err
	case bare:
		return nil, usage("id")
	case what == "new":
		return s.profile.NewIdentity(name, flag == unlistedAs)
	case what == "use":
		if err := s.profile.UseIdentity(name, flag == now); err != nil {
			return nil, err
		}
		s.turn(nil) // the next line is for another node
		return NowUsed{name}, nil
	case what == "delete":
		return nil, s.deleteIdentity(name, flag == now)
	}
	return nil, usage("id")
}

func (s *Dialogue) deleteIdentity(name string, sure bool) error {
	if !sure {
		list, err := s.profile.Identities()
		if err != nil {
			return err
		}
		for _, one := range list { // rather than ask in vain
			if strings.EqualFold(one.Name, name) && !one.Used {
				err = s.confirm(fmt.Sprintf("this deletes the identity %s with its contacts and all that it holds, and cannot be undone", one.Name),
					"/id delete "+name+" "+now)
			}
		}
		if err != nil {
			return err
		}
	}
	return s.profile.DeleteIdentity(name)
}

// wipe is /wipe. It ends the dialogue, as the node has nothing left to run for.
func (s *Dialogue) wipe(rest string) (any, error) {
	flag, rest := word(rest)
	if rest != "" || flag != "" && flag != now {
		return nil, usage("wipe")
	}
	kept := s.profile.Kept()
	what := "this destroys the profile with all its identities, contacts and keys, and cannot be undone"
	if !kept {
		what = "this ends the identity that runs here, which is nowhere on the disk, and cannot be undone; a profile on the disk stays as it is"
	}
	if flag == "" {
		if err := s.confirm(what, "/wipe "+now); err != nil {
			return nil, err
		}
	}
	if err := s.profile.Wipe(); err != nil {
		return nil, err
	}
	_, err := s.quit("")
	return Wiped{Ephemeral: !kept}, err
}

// visible is /set visible.
func (s *Dialogue) visible(rest string) (any, error) {
	value, rest := word(rest)
	flag, rest := word(rest)
	switch {
	case rest != "" || flag != "" && (value != "on" || flag != now):
	case value == "":
		return s.profile.Visible(), nil
	case value == "off":
		return s.profile.SetVisible(false)
	case value == "on":
		if flag == "" && !s.profile.Visible().Visible {
			err := s.confirm("whoever knows your hashid then finds your node and its IP address, and this link cannot be taken back from who has seen it", "/set visible on "+now)
			if err != nil {
				return nil, err
			}
		}
		return s.profile.SetVisible(true)
	}
	return nil, usage("set")
}

// speaksFor returns an error unless the node is that of the identity of a name. It asks the
// node that a text goes to, as another may be about to take its place.
func (s *Dialogue) speaksFor(name string) error {
	if name == "" {
		return usage("msg")
	}
	list, err := s.profile.Identities()
	if err != nil {
		return err
	}
	used := ""
	for _, one := range list {
		if one.Hashid != s.node.ID().Hashid {
			continue
		}
		if strings.EqualFold(one.Name, name) {
			return nil
		}
		used = one.Name
	}
	return fmt.Errorf("the identity in use is %s, not %s: /id use changes it", used, name)
}

// confirm asks whether something that cannot be undone is to be done. Where nobody can
// be asked, the error names the line that does it without a question.
func (s *Dialogue) confirm(what, unasked string) error {
	switch {
	case s.Confirm == nil:
		return fmt.Errorf("%s: %s does it", what, unasked)
	case !s.Confirm(strings.ToUpper(what[:1]) + what[1:] + ". Do it?"):
		return errors.New("nothing was done")
	}
	return nil
}

// turn goes over to another node. What was open or shown belonged to another identity.
func (s *Dialogue) turn(n Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n != s.node {
		s.node, s.with = n, ""
		clear(s.numbers)
	}
}
