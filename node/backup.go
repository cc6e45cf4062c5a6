package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pelletier/go-toml/v2"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/backup"
	"chatnt/node/contact"
	"chatnt/node/vault"
)

// Backup writes what may be carried to another machine to w, sealed under a passphrase: all
// identities of the profile, each with how it is listed, its network, contacts and requests,
// texts that were not delivered or not shown yet, and history where it is kept; and the
// settings. It is of one moment.
//
// Not in it is what belongs to this machine, or must be used by one only:
//
//   - sessions, with what came early in them and the frames sealed in them. Keys that were used
//     here would be used there again, and who takes the backup would open what came
//     in sessions that have long moved on here.
//   - prekeys, and the first messages that they have opened. Who takes the backup later opens no
//     first message with it; that a first message is not taken in twice needs no
//     memory where none can be opened.
//   - which contacts have confirmed the link key. There may have been another since, that
//     they hold in its place: all are told anew, or, if there is none here, to look by the hashid.
//   - the nodes' keys. Two machines with one node id would take each other's connections and
//     overwrite each other's descriptor, and what is known of a node, good or bad,
//     is known of a machine in its place.
//   - the nodes' guards. They stay with the node that they know; who takes the backup is not to
//     learn them, and a guard that came to know both machines would know that they are one person's.
//
// Texts that were taken in before the backup was made are remembered by their ids, so that none
// comes out twice there; what is taken in later has been confirmed, and is
// nowhere but here.
func (p *Profile) Backup(w io.Writer, passphrase []byte) error {
	sealed, err := backup.Seal(w, passphrase)
	if err != nil {
		return err
	}
	entries, err := backup.NewWriter(sealed)
	if err == nil {
		err = p.backUp(entries, time.Now())
	}
	if err == nil {
		err = entries.Close()
	}
	if err == nil {
		err = sealed.Close()
	}
	return err
}

// backUp writes the entries, in the order of their kinds. It fails where the profile would not be
// taken back.
func (p *Profile) backUp(w *backup.Writer, now time.Time) error {
	err := p.vault.Whole().View(func(tx *vault.Tx) error {
		r, err := readRoster(tx)
		if err != nil {
			return err
		}
		var savers []*saver
		var nodes []ed25519.PublicKey
		check := newUnpacker()
		for _, e := range r.Identities {
			of, err := p.as(tx, e)
			if err != nil {
				return err
			}
			nodes = append(nodes, of.nodePublic())
			savers = append(savers, &saver{profile: of, entry: e, used: e.Name == r.Use, tx: e.in(tx), w: w, check: check, now: now, known: make(map[hashid.ID]bool)})
		}
		for _, s := range savers {
			s.nodes = nodes
			if err := s.save(); err != nil {
				return err
			}
		}
		return check.end()
	})
	if err != nil {
		return fmt.Errorf("the profile could not be backed up: %w", err)
	}
	return nil
}

// saver writes the parts of a backup that are of one identity.
type saver struct {
	profile *Profile // as that identity sees it
	entry   entry
	used    bool
	nodes   []ed25519.PublicKey // of all identities
	tx      *vault.Tx           // of what is stored of it
	w       *backup.Writer
	check   *unpacker // of the whole backup
	now     time.Time

	known map[hashid.ID]bool // contacts
	said  []hashid.ID        // whose conversations may have a history, in the order of their texts
}

func (s *saver) save() error {
	if err := (&messenger{profile: s.profile, conversations: make(map[hashid.ID]*conversation)}).load(s.tx); err != nil {
		return err
	}
	for _, part := range []func() error{
		s.identity, s.keys, s.settings, s.relays, s.contacts, s.requests, s.conversations, s.seen, s.records,
		s.outbox, s.unshown, s.history, s.listing,
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// put writes an entry, if it is one that will be taken back.
func (s *saver) put(kind backup.Kind, key string, value []byte) error {
	e := backup.Entry{Kind: kind, Key: key, Value: value}
	if _, err := s.check.unpack(e); err != nil {
		return err
	}
	return s.w.Put(e)
}

// values writes what store has put into a bucket, as it would put it today. keep may change a value, or
// leave it out.
func values[T any](s *saver, kind backup.Kind, bucket, prefix string, keep func(*T) bool) error {
	return forEach(s.tx, bucket, func(key string, one T) error {
		if !keep(&one) {
			return nil
		}
		raw, err := encode(&one)
		if err != nil {
			return err
		}
		defer clear(raw)
		return s.put(kind, prefix+key, raw)
	})
}

func (s *saver) identity() error {
	keys, err := s.tx.Get(bucketProfile, keyIdentity)
	if err != nil {
		return err
	}
	defer clear(keys)
	raw := (&carried{entry: s.entry, used: s.used, keys: keys}).append(nil)
	defer clear(raw)
	return s.put(backup.Identity, s.entry.Name, raw)
}

// keys writes what the identity has one of.
func (s *saver) keys() error {
	for _, one := range []struct {
		kind backup.Kind
		key  string
	}{{backup.Network, keyNetwork}, {backup.Nick, keyNick}, {backup.Sequence, keySequence + sequencePerson}} {
		raw, err := s.tx.Get(bucketProfile, one.key)
		if errors.Is(err, vault.ErrNotFound) {
			continue
		}
		if err == nil && one.kind == backup.Network {
			raw, err = s.network()
		}
		if err == nil {
			err = s.put(one.kind, "", raw)
		}
		clear(raw)
		if err != nil {
			return err
		}
	}
	return nil
}

// network is the identity's, without the addresses of the profile's own nodes: nobody will answer
// there by their keys.
func (s *saver) network() ([]byte, error) {
	n, err := without(s.profile.network, s.nodes)
	if err != nil {
		return nil, err
	}
	return n.Append(nil)
}

// settings are the profile's, and stand with its first identity.
func (s *saver) settings() error {
	if len(s.profile.config.Listen) == 0 || len(s.check.roster.Identities) > 1 {
		return nil
	}
	raw, err := toml.Marshal(s.profile.config)
	if err != nil {
		return err
	}
	return s.put(backup.Settings, "", raw)
}

// relays writes those that can be read: the others are of no use here either.
func (s *saver) relays() error {
	return s.tx.ForEach(bucketRelays, func(key string, raw []byte) error {
		if s.profile.network == nil {
			return nil
		}
		if _, err := record.ParseDescriptor(s.profile.network.ID(), raw); err != nil {
			return nil //nolint:nilerr // see above
		}
		return s.put(backup.Relay, key, raw)
	})
}

func (s *saver) contacts() error {
	return values(s, backup.Contact, bucketContacts, "", func(who *contact.Contact) bool {
		s.known[who.Hashid] = true
		who.Told = record.LinkKey{}
		return true
	})
}

func (s *saver) requests() error {
	return values(s, backup.Request, bucketRequests, "", func(*contact.Request) bool { return true })
}

// conversations writes the ledgers without the sessions that they name.
func (s *saver) conversations() error {
	return values(s, backup.Conversation, bucketConversations, "", func(l *ledger) bool {
		if l.Said > 0 {
			s.said = append(s.said, l.Peer)
		}
		l.Current, l.Prekey = "", 0
		return true
	})
}

func (s *saver) seen() error {
	return s.tx.ForEach(bucketSeen, func(key string, raw []byte) error { return s.put(backup.Seen, key, raw) })
}

// records writes the key records of contacts: an older one is not to pass for news there.
func (s *saver) records() error {
	return s.tx.ForEach(bucketRecords, func(key string, stored []byte) error {
		id, err := hashid.Parse(key)
		if err != nil || s.profile.network == nil || !s.known[id] {
			return nil //nolint:nilerr // it is of no use there
		}
		at, raw := parseRecord(id, stored)
		if _, err := at.Parse(s.profile.network.ID(), raw); err != nil {
			return nil //nolint:nilerr // it would be looked up here, too
		}
		return s.put(backup.Record, key, stored)
	})
}

func (s *saver) outbox() error {
	return values(s, backup.Outgoing, bucketOutbox, "", func(*outgoing) bool { return true })
}

func (s *saver) unshown() error {
	return values(s, backup.Unshown, bucketUnshown, "", func(*unshown) bool { return true })
}

// history writes the texts that were kept, but for those whose time is up.
func (s *saver) history() error {
	for _, peer := range s.said {
		err := values(s, backup.Said, bucketHistory(peer), peer.String()+" ", func(one *said) bool {
			return one.Forget.IsZero() || s.now.Before(one.Forget)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// listing writes how the person is listed, if that was ever changed or published.
func (s *saver) listing() error {
	raw, err := s.tx.Get(bucketProfile, keyListing)
	if errors.Is(err, vault.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = s.put(backup.Listing, "", raw)
	}
	clear(raw)
	return err
}
