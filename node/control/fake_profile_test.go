package control_test

import (
	"errors"

	"chatnt/node/control"
)

// A fakeNode is the profile of itself, with an identity main in use and another, work.

func (f *fakeNode) Node() control.Node { return f }

func (f *fakeNode) Identities() ([]control.Identity, error) {
	return []control.Identity{{Name: "main", Hashid: "me", Node: "here", Used: true}, {Name: "work", Hashid: "too", Node: "there"}}, nil
}

func (f *fakeNode) NewIdentity(name string, unlisted bool) (control.Identity, error) {
	f.note("new identity %s", name)
	return control.Identity{Name: name, Hashid: "new", Unlisted: unlisted}, nil
}

func (f *fakeNode) UseIdentity(name string, now bool) error {
	if name == "main" {
		return errors.New("in use")
	}
	f.note("use %s, now: %v", name, now)
	return nil
}

func (f *fakeNode) DeleteIdentity(name string) error {
	if name != "work" {
		return errors.New("in use, or unknown")
	}
	f.note("delete %s", name)
	return nil
}

func (f *fakeNode) Visible() control.Visible {
	return control.Visible{Visible: !f.hidden, Why: "so it is"}
}

func (f *fakeNode) Told() error { f.note("told"); return nil }

func (f *fakeNode) SetVisible(on bool) (control.Visible, error) {
	if !on {
		return control.Visible{}, errors.New("not yet")
	}
	if f.hidden {
		f.note("visible %v", on)
	}
	f.hidden = false
	return f.Visible(), nil
}

func (f *fakeNode) Kept() bool { return !f.ephemeral }

func (f *fakeNode) Wipe() error { f.note("wipe"); return nil }
