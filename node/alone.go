package node

import (
	"errors"

	"chatnt/node/control"
)

// What follows makes a control.Profile of a node that no Runner runs: it is all there is.

var errAlone = errors.New("this node runs for one identity alone, and keeps nothing: /quit ends it")

// Node returns n.
func (n *Node) Node() control.Node { return n }

// Identities returns the only one there is.
func (n *Node) Identities() ([]control.Identity, error) {
	id := n.ID()
	return []control.Identity{{Name: n.profile.name, Hashid: id.Hashid, Node: id.Node, Used: true}}, nil
}

// NewIdentity fails.
func (n *Node) NewIdentity(string, bool) (control.Identity, error) {
	return control.Identity{}, errAlone
}

// UseIdentity fails.
func (n *Node) UseIdentity(string, bool) error { return errAlone }

// DeleteIdentity fails.
func (n *Node) DeleteIdentity(string) error { return errAlone }

// Visible says whether who knows this person's hashid can find this node.
func (n *Node) Visible() control.Visible { return visible() }

// Told notes that the person was told so.
func (n *Node) Told() error { return n.profile.setTold() }

// SetVisible changes that, once it can be changed.
func (n *Node) SetVisible(on bool) (control.Visible, error) { return setVisible(on) }

// Kept reports whether the profile is on the disk.
func (n *Node) Kept() bool { return n.profile.dir != "" }

// Wipe fails.
func (n *Node) Wipe() error { return errAlone }
