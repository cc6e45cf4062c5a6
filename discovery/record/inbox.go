package record

import (
	"errors"

	"chatnt/discovery/hashid"

	"golang.org/x/crypto/cryptobyte"
)

const inboxNode = 1 // kind: the person's own node answers for its inbox

// Inbox says where strangers leave their requests for a person: at Node.
type Inbox struct {
	Node hashid.NodeID
}

func (i Inbox) check() error {
	if i.Node.IsZero() {
		return errors.New("the inbox names no node")
	}
	return nil
}

func (i Inbox) add(b *cryptobyte.Builder) {
	b.AddUint8(inboxNode)
	b.AddBytes(i.Node[:])
}

func (i *Inbox) read(s cryptobyte.String) bool {
	var kind uint8
	return s.ReadUint8(&kind) && kind == inboxNode && s.CopyBytes(i.Node[:]) && s.Empty()
}
