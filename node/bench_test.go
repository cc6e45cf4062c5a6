package node

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"chatnt/discovery/hashid"
	"chatnt/node/contact"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

// BenchmarkManyContacts opens a profile with ten thousand contacts, each with a session
// that has been in use. It reports how long that takes without the stretching of the passphrase, which
// is measured beside it, and what a contact takes of disk and memory.
func BenchmarkManyContacts(b *testing.B) {
	const contacts = 10_000
	dir, passphrase := b.TempDir(), []byte("correct horse")
	p, err := OpenProfile(dir, passphrase)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.SetNetwork(testNetwork(b), nil); err != nil {
		b.Fatal(err)
	}
	session := usedSession(b, p)
	var id hashid.ID
	for first := 0; first < contacts; first += 500 { // a transaction holds all that it changes
		err = p.vault.Update(func(tx *vault.Tx) error {
			for i := range 500 {
				binary.BigEndian.PutUint32(id[:], uint32(first+i+1))
				t := newTalk(session, 1, time.Now())
				l := ledger{Peer: id, Next: 100, Current: t.id(), Seen: 64}
				who := contact.Contact{Hashid: id, Name: id.String()[:12], Nick: "somebody", State: contact.Accepted, Since: time.Now()}
				known := new(seen)
				known.add(message.NewID(), 0)
				for _, err := range []error{
					storeContact(tx, who), store(tx, bucketConversations, id.String(), l), t.put(tx, id, t.numbers, session), known.put(tx, id, 0),
				} {
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "vault.db"))
	if err != nil {
		b.Fatal(err)
	}
	var opening, stretching time.Duration
	var memory uint64
	for b.Loop() {
		start := time.Now()
		argon2.IDKey(passphrase, make([]byte, 16), 3, 64<<10, 1, 32)
		stretching += time.Since(start)

		before := heap()
		start = time.Now()
		p, err := OpenProfile(dir, passphrase)
		if err != nil {
			b.Fatal(err)
		}
		m := messengerOf(b, p)
		opening += time.Since(start)
		memory += heap() - before
		if len(m.book.Contacts()) != contacts || len(m.conversations) != contacts {
			b.Fatal("contacts are missing")
		}
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric((opening-stretching).Seconds()/n, "s/open")
	b.ReportMetric(stretching.Seconds()/n, "s/stretch")
	b.ReportMetric(float64(memory)/n/contacts, "B-memory/contact")
	b.ReportMetric(float64(info.Size())/contacts, "B-disk/contact")
}

// usedSession is a session after some round trips.
func usedSession(b *testing.B, p *Profile) *ratchet.Session {
	b.Helper()
	m := messengerOf(b, p)
	theirs := initiate(b, m, bob())
	body := make([]byte, ratchet.BodySize)
	frame, err := theirs.Seal(body)
	if err != nil {
		b.Fatal(err)
	}
	h, err := ratchet.OpenHello(m.network, p.identity.keys(), p.prekeys.all(time.Now()), frame)
	if err != nil {
		b.Fatal(err)
	}
	ours, _, err := h.Accept(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for range 20 {
		for _, way := range [][2]*ratchet.Session{{ours, theirs}, {theirs, ours}} {
			frame, err := way[0].Seal(body)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := way[1].Open(frame, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	}
	return ours
}

// heap is how much of it is in use.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
