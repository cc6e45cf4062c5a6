package control

import (
	"errors"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
)

// Invite is the result of /invite.
type Invite struct {
	Invite string `json:"invite"`
}

// invite makes a link to this person and the network, or to one of the two.
func (s *Dialogue) invite(rest string) (any, error) {
	what, more := word(rest)
	var (
		text string
		err  error
	)
	switch {
	case more != "":
		return nil, usage("invite")
	case what == "":
		text, err = s.node.InviteMe(true)
	case what == "me":
		text, err = s.node.InviteMe(false)
	case what == "network":
		text, err = s.node.Invite()
	case what == "new":
		if err := s.node.NewLink(); err != nil {
			return nil, err
		}
		text, err = s.node.InviteMe(true)
	default:
		return nil, usage("invite")
	}
	return Invite{text}, err
}

func (s *Dialogue) add(rest string) (any, error) {
	who, rest := word(rest)
	name, text := word(rest)
	if who == "" || name == "" {
		return nil, usage("add")
	}
	at, err := s.person(who)
	if err != nil {
		return nil, err
	}
	return nil, s.node.Add(at, name, text)
}

// person reads a hashid, or an invite that carries one.
func (s *Dialogue) person(who string) (record.Locator, error) {
	if !network.LooksLikeInvite(who) {
		id, err := hashid.Parse(who)
		return record.Locator{Hashid: id}, err
	}
	invite, err := network.ParseInvite(who)
	if err != nil {
		return record.Locator{}, err
	}
	if invite.Person.IsZero() {
		return record.Locator{}, errors.New("this invite names a network, but no person to add")
	}
	if invite.Network != nil {
		if err := invite.Network.CheckTime(time.Now()); err != nil {
			return record.Locator{}, err
		}
		if invite.Network.ID().String() != s.node.Status().NetworkID {
			return record.Locator{}, errors.New("this invite belongs to another network than this node")
		}
	}
	return invite.Locator(), nil
}

// Listing is the result of /set listed.
type Listing struct {
	Listed bool `json:"listed"`
}

// listed shows or sets whether whoever knows the hashid finds this person.
func (s *Dialogue) listed(rest string) (any, error) {
	value, rest := word(rest)
	if rest != "" || value != "" && value != "on" && value != "off" {
		return nil, usage("set")
	}
	if value != "" {
		if err := s.node.SetListed(value == "on"); err != nil {
			return nil, err
		}
	}
	return Listing{s.node.ID().Listed}, nil
}
