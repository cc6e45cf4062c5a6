package node

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
	"chatnt/node/backup"
	"chatnt/node/contact"
	"chatnt/node/message"
)

// unpacker turns the entries of a backup back into what a vault holds. It takes none that a Profile
// would not have written.
type unpacker struct {
	roster  roster           // of the identities so far
	entry   entry            // the last of them, to which the entries belong that come now
	network *network.Network // its own, nil until that has come
	count   map[backup.Kind]int
	config  config
}

func newUnpacker() *unpacker { return &unpacker{count: make(map[backup.Kind]int)} }

// unpacked is where a value goes in the vault, in what is stored of an identity; bucket is ""
// for what goes elsewhere.
type unpacked struct {
	of          entry
	bucket, key string
	value       []byte
}

// unpack checks an entry. The value stays the entry's.
func (u *unpacker) unpack(e backup.Entry) (unpacked, error) {
	to := unpacked{key: e.Key, value: e.Value}
	var err error
	u.count[e.Kind]++
	switch e.Kind {
	case backup.Identity:
		to.bucket, to.key = bucketProfile, keyIdentity
		to.value, err = u.begin(e)
	case backup.Network:
		to.bucket, to.key = bucketProfile, keyNetwork
		u.network, err = network.Parse(e.Value)
	case backup.Nick:
		to.bucket, to.key = bucketProfile, keyNick
		err = wrongIf(len(e.Value) == 0 || len(e.Value) > message.MaxNick || !utf8.Valid(e.Value), "a nick")
	case backup.Sequence:
		to.bucket, to.key = bucketProfile, keySequence+sequencePerson
		err = wrongIf(len(e.Value) != 8, "a sequence")
	case backup.Settings:
		err = u.settings(e.Value)
	case backup.Relay:
		to.bucket = bucketRelays
		err = u.relay(e)
	case backup.Contact:
		to.bucket = bucketContacts
		err = canonical(e, func(c *contact.Contact) string {
			if !c.Told.IsZero() {
				return "" // no key is
			}
			return c.Hashid.String()
		})
	case backup.Request:
		to.bucket = bucketRequests
		err = canonical(e, func(r *contact.Request) string { return r.From.String() })
		if u.count[e.Kind] > contact.MaxRequests {
			err = contact.ErrTooMany
		}
	case backup.Conversation:
		to.bucket = bucketConversations
		err = canonical(e, func(l *ledger) string {
			if l.Current != "" || l.Prekey != 0 || l.Next == 0 {
				return "" // no key is
			}
			return l.Peer.String()
		})
	case backup.Seen:
		to.bucket = bucketSeen
		err = seenEntry(e)
	case backup.Record:
		to.bucket = bucketRecords
		err = u.record(e)
	case backup.Outgoing:
		to.bucket = bucketOutbox
		err = canonical(e, func(o *outgoing) string { return o.key() })
	case backup.Unshown:
		to.bucket = bucketUnshown
		err = canonical(e, func(u *unshown) string { return u.key() })
	case backup.Said:
		var peer hashid.ID
		peer, to.key, err = pairKey(e.Key)
		to.bucket = bucketHistory(peer)
		if err == nil {
			err = canonical(e, func(*said) string { return e.Key })
		}
	case backup.Listing:
		to.bucket, to.key = bucketProfile, keyListing
		_, err = parseListing(e.Value)
	default:
		err = wrongIf(true, "a kind of entry")
	}
	to.of = u.entry
	return to, err
}

// wrongIf returns an error if what the entry of something says is nothing of the kind.
func wrongIf(wrong bool, what string) error {
	if wrong {
		return errors.New("it holds " + what + " that is none")
	}
	return nil
}

// settings reads what writeConfig writes. It goes into no bucket.
func (u *unpacker) settings(raw []byte) error {
	if len(u.roster.Identities) != 1 {
		return wrongIf(true, "settings")
	}
	c, err := parseConfig(raw)
	if err != nil {
		return err
	}
	again, err := toml.Marshal(c)
	u.config = c
	return errors.Join(err, wrongIf(!bytes.Equal(again, raw), "settings"))
}

func (u *unpacker) relay(e backup.Entry) error {
	number, err := strconv.Atoi(e.Key)
	if err != nil || strconv.Itoa(number) != e.Key || number < 0 || number >= cachedRelays || u.network == nil {
		return wrongIf(true, "a relay")
	}
	_, err = record.ParseDescriptor(u.network.ID(), e.Value)
	return err
}

func (u *unpacker) record(e backup.Entry) error {
	if u.network == nil {
		return wrongIf(true, "a key record")
	}
	id, err := hashid.Parse(e.Key)
	if err != nil {
		return err
	}
	at, raw := parseRecord(id, e.Value)
	if _, err := at.Parse(u.network.ID(), raw); err != nil {
		return err
	}
	return wrongIf(id.String() != e.Key || !bytes.Equal(appendRecord(nil, at.Link, raw), e.Value), "a key record")
}

func seenEntry(e backup.Entry) error {
	peer, chunk, err := pairKey(e.Key)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(chunk, 16, 8)
	wrong := err != nil || number >= seenKept/seenChunk || seenKey(peer, number) != e.Key || len(e.Value) != 8*seenChunk
	return wrongIf(wrong, "a list of texts seen")
}

// pairKey splits a key that begins with a hashid, which no other text stands for.
func pairKey(key string) (hashid.ID, string, error) {
	text, rest, _ := strings.Cut(key, " ")
	peer, err := hashid.Parse(text)
	if err == nil {
		err = wrongIf(peer.String() != text || rest == "", "a key")
	}
	return peer, rest, err
}

// canonical checks that store would have put an entry just so, under the key that key makes of it.
func canonical[T any](e backup.Entry, key func(*T) string) error {
	one, err := parse[T]("the backup", bytes.Clone(e.Value))
	if err != nil {
		return err
	}
	again, err := encode(&one)
	if err != nil {
		return err
	}
	defer clear(again)
	if !bytes.Equal(again, e.Value) || key(&one) != e.Key {
		return fmt.Errorf("an entry of kind %d is not as it was written", e.Kind)
	}
	return nil
}
