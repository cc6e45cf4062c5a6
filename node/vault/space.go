package vault

import (
	"crypto/hmac"
	"crypto/sha256"
)

// A SpaceID names a space: 16 random bytes, to be kept in the vault itself, outside
// the space.
type SpaceID [16]byte

// NewSpaceID draws the id of a space that holds nothing yet.
func NewSpaceID() SpaceID { return SpaceID(random(len(SpaceID{}))) }

// Space returns a view of the values of one space: the same file and lock, and no
// name in it is one of the vault's own or of another space. What concerns the whole
// file, such as Scrub and Close, does so whichever view it is called on. The space of
// a view is one of the whole vault: spaces do not nest.
func (v *Vault) Space(id SpaceID) *Vault { return &Vault{of: v.Whole(), space: id} }

// Whole returns the vault that v is a view of, or v itself: what is outside all spaces.
func (v *Vault) Whole() *Vault {
	if v.of != nil {
		return v.of
	}
	return v
}

// Space returns the same transaction in a space.
func (t *Tx) Space(id SpaceID) *Tx {
	k := t.root.inSpace(id)
	t.derived = append(t.derived, k)
	return &Tx{t.transaction, k}
}

// DropSpace deletes all values of a space. It opens every value of the vault.
func (t *Tx) DropSpace(id SpaceID) error {
	space := t.Space(id)
	return t.dropAll(func(at name, key string) bool { return space.keys.has(at, key) })
}

// DropRest deletes all values but those in the bucket keep outside all spaces, and
// those of the spaces named. It opens every value of the vault.
func (t *Tx) DropRest(keep string, spaces []SpaceID) error {
	kept := string(t.root.group(keep))
	var others []*keys
	for _, id := range spaces {
		others = append(others, t.Space(id).keys)
	}
	return t.dropAll(func(at name, key string) bool {
		if string(at[:groupSize]) == kept {
			return false
		}
		for _, k := range others {
			if k.has(at, key) {
				return false
			}
		}
		return true
	})
}

// dropAll deletes the values that are to go.
func (t *Tx) dropAll(goes func(at name, key string) bool) error {
	if err := t.check("-", "-", true); err != nil {
		return err
	}
	var found []name
	census := t.root.of("", censusKey)
	err := t.pages.scan(nil, func(at name, sealed []byte) error {
		key, value, err := t.root.openValue(at, sealed)
		clear(value)
		if err == nil && at != census && goes(at, key) {
			found = append(found, at)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, at := range found {
		t.removed.add(at)
		if err := t.pages.delete(at); err != nil {
			return err
		}
	}
	return nil
}

// inSpace returns the keys by which a space's values are named and sealed.
func (k *keys) inSpace(id SpaceID) *keys {
	s := &keys{version: k.version, seal: k.seal, space: true}
	mac := hmac.New(sha256.New, k.name[:])
	mac.Write([]byte{2})
	mac.Write(id[:])
	mac.Sum(s.name[:0])
	return s
}

// within returns the second half of the name of key in a space's bucket, of which
// group is the first.
func (k *keys) within(group []byte, key string) []byte {
	mac := hmac.New(sha256.New, k.name[:])
	mac.Write([]byte{3})
	mac.Write(group)
	mac.Write([]byte(key))
	return mac.Sum(nil)[:nameSize-groupSize]
}

// has reports whether the value of key at a name is one of the space.
func (k *keys) has(at name, key string) bool {
	return hmac.Equal(at[groupSize:], k.within(at[:groupSize], key))
}
