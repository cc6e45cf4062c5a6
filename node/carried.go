package node

import (
	"encoding/binary"
	"errors"
	"time"

	"chatnt/node/backup"
	"chatnt/node/contact"
	"chatnt/node/vault"
)

// The flags of an identity in a backup, whose bytes package backup shows.
const (
	carriedUsed   = 1
	carriedHidden = 2
	carriedPorts  = 4

	carriedHead = 1 + 8 // flags and time, before the keys

	// lastMade is the last second that JSON has a name for, in the year 9999.
	lastMade = 253402300799
)

// carried is the identity that begins a part of a backup.
type carried struct {
	entry entry // without its space
	used  bool
	keys  []byte
}

func (c *carried) append(dst []byte) []byte {
	flags := byte(0)
	for flag, is := range map[byte]bool{carriedUsed: c.used, carriedHidden: c.entry.Hidden, carriedPorts: c.entry.first()} {
		if is {
			flags |= flag
		}
	}
	made := uint64(0)
	if at := c.entry.Made.Unix(); 0 < at && at <= lastMade {
		made = uint64(at)
	}
	return append(binary.BigEndian.AppendUint64(append(dst, flags), made), c.keys...)
}

// parseCarried reads an identity. One that had a space gets a new one.
func parseCarried(name string, raw []byte) (*carried, error) {
	if len(raw) < carriedHead {
		return nil, wrongIf(true, "an identity")
	}
	if normal, err := contact.Normal(name); err != nil || normal != name {
		return nil, errors.Join(err, wrongIf(normal != name, "a name"))
	}
	flags, made := raw[0], binary.BigEndian.Uint64(raw[1:])
	if err := wrongIf(flags&^(carriedUsed|carriedHidden|carriedPorts) != 0 || made > lastMade, "an identity"); err != nil {
		return nil, err
	}
	c := &carried{entry: entry{Name: name, Hidden: flags&carriedHidden != 0}, used: flags&carriedUsed != 0, keys: raw[carriedHead:]}
	if made > 0 {
		c.entry.Made = time.Unix(int64(made), 0).UTC()
	}
	if flags&carriedPorts == 0 {
		id := vault.NewSpaceID()
		c.entry.Space = id[:]
	}
	_, err := parseIdentity(c.keys)
	return c, err
}

// begin begins the part of an identity, if it may stand beside those before it.
func (u *unpacker) begin(e backup.Entry) (keys []byte, err error) {
	c, err := parseCarried(e.Key, e.Value)
	if err != nil {
		return nil, err
	}
	if _, err := u.roster.named(c.entry.Name); err == nil {
		return nil, errors.New("it holds two identities of one name")
	}
	for _, other := range u.roster.Identities {
		if other.first() && c.entry.first() {
			return nil, errors.New("it holds two identities with the same ports")
		}
	}
	if c.used {
		if u.roster.Use != "" {
			return nil, errors.New("it holds two identities in use")
		}
		u.roster.Use = c.entry.Name
	}
	u.roster.Identities = append(u.roster.Identities, c.entry)
	u.entry, u.network = c.entry, nil
	clear(u.count)
	return c.keys, u.roster.check()
}

// end holds when all has been unpacked.
func (u *unpacker) end() error {
	switch {
	case len(u.roster.Identities) == 0:
		return errors.New("it holds no identity")
	case u.roster.Use == "":
		return errors.New("it holds no identity in use")
	}
	return nil
}
