package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"chatnt/node/contact"
	"chatnt/node/vault"
)

// The identities of a profile are listed outside all of their spaces, as one value.
const (
	bucketIdentities = "identities"
	keyRoster        = "roster"

	// firstIdentity is what the identity is called that a profile begins with.
	firstIdentity = "main"

	// maxIdentities bounds how many identities a profile has.
	maxIdentities = 32
)

var (
	errSideBySide = errors.New("a profile with a visible identity takes no hidden ones beside it: their node is run by the same machine, which a visible identity shows; make another profile with --data")
	errNoIdentity = errors.New("this profile has no identity of this name: /id list shows those that it has")
)

// roster is which identities a profile has, and which is in use.
type roster struct {
	Use        string    `json:"use"`
	Seen       time.Time `json:"seen,omitzero"` // not before this the node of the one in use is to be seen
	Identities []entry   `json:"identities"`
}

// entry is one identity. Whatever is stored of it is in a space of its own; only the
// first one's is outside all spaces, where profiles had their only one before there
// could be several.
type entry struct {
	Name   string    `json:"name"`
	Space  []byte    `json:"space,omitempty"` // 16 bytes; none for the first
	Made   time.Time `json:"made,omitzero"`   // zero if it was made before this was noted
	Hidden bool      `json:"hidden,omitempty"`

	// Restored says that it comes from a backup and has not been in use since: its
	// conversations are to be begun anew.
	Restored bool `json:"restored,omitempty"`
}

// in returns what a transaction shows of an identity.
func (e entry) in(tx *vault.Tx) *vault.Tx {
	if e.first() {
		return tx
	}
	return tx.Space(vault.SpaceID(e.Space))
}

// view is the same for a vault.
func (e entry) view(v *vault.Vault) *vault.Vault {
	if e.first() {
		return v.Whole()
	}
	return v.Space(vault.SpaceID(e.Space))
}

// first reports whether an identity is the one that its profile began with.
func (e entry) first() bool { return len(e.Space) == 0 }

// readRoster reads the roster. A profile that never had a second identity may have none.
func readRoster(tx *vault.Tx) (roster, error) {
	r, err := load[roster](tx, bucketIdentities, keyRoster)
	if errors.Is(err, vault.ErrNotFound) {
		return roster{Use: firstIdentity, Identities: []entry{{Name: firstIdentity}}}, nil
	}
	if err != nil {
		return roster{}, err
	}
	if _, err := r.named(r.Use); err != nil || slices.ContainsFunc(r.Identities, func(e entry) bool {
		return len(e.Space) != 0 && len(e.Space) != len(vault.SpaceID{})
	}) {
		return roster{}, errors.New("the list of identities is damaged")
	}
	return r, nil
}

// changeRoster changes and stores the roster, if what comes of it may be.
func changeRoster(tx *vault.Tx, change func(*roster) error) error {
	r, err := readRoster(tx)
	if err != nil {
		return err
	}
	if err := change(&r); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	return store(tx, bucketIdentities, keyRoster, r)
}

// check tells why identities cannot stand side by side in a profile, or nil.
//
// They share a machine. Whoever knows where that of a visible one is, and watches it,
// has found those of the others; so either none is visible, or all are.
func (r *roster) check() error {
	if len(r.Identities) > maxIdentities {
		return fmt.Errorf("a profile has at most %d identities: delete one, or make another profile with --data", maxIdentities)
	}
	hidden := 0
	for _, e := range r.Identities {
		if e.Hidden {
			hidden++
		}
	}
	if hidden != 0 && hidden != len(r.Identities) {
		return errSideBySide
	}
	return nil
}

// named returns the identity with a name, in any case.
func (r *roster) named(name string) (entry, error) {
	if normal, err := contact.Normal(name); err == nil {
		name = normal
	}
	for _, e := range r.Identities {
		if strings.EqualFold(e.Name, name) {
			return e, nil
		}
	}
	return entry{}, errNoIdentity
}
