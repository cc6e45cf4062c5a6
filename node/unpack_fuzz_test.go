package node

import (
	"bytes"
	"testing"
	"time"

	"chatnt/discovery/network"
	"chatnt/node/backup"
	"chatnt/node/contact"
	"chatnt/node/vault"
)

// FuzzUnpack: an entry that is taken back is one that is written so.
func FuzzUnpack(f *testing.F) {
	who := contact.Contact{Hashid: bob().hashid(), Name: "bob", State: contact.Accepted, Since: time.Unix(1e9, 0).UTC()}
	raw, err := encode(who)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(backup.Contact), who.Hashid.String(), raw)
	work := carried{entry: entry{Name: "work", Made: who.Since}, used: true, keys: bob().append(nil)}
	f.Add(byte(backup.Identity), "work", work.append(nil))
	l, err := encode(ledger{Peer: who.Hashid, Next: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(backup.Conversation), who.Hashid.String(), l)
	f.Add(byte(backup.Seen), seenKey(who.Hashid, 3), make([]byte, 8*seenChunk))
	f.Add(byte(backup.Said), who.Hashid.String()+" "+historyKey(0), []byte(`{"id":"00000000000000000000000000000000","text":"x","at":"2001-09-09T01:46:40Z"}`))
	f.Add(byte(backup.Settings), "", []byte("listen = ['/ip4/127.0.0.1/tcp/4001']\n"))
	f.Add(byte(backup.Nick), "", []byte("ada"))
	f.Add(byte(backup.Relay), "63", []byte("x"))
	f.Add(byte(backup.Outgoing), "x", []byte(`{}`))
	net, err := network.New("fuzz", 3, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind byte, key string, value []byte) {
		u := newUnpacker()
		u.roster.Identities = []entry{{Name: "main"}} // which is not in use
		u.network = net
		before := bytes.Clone(value)
		to, err := u.unpack(backup.Entry{Kind: backup.Kind(kind), Key: key, Value: value})
		if !bytes.Equal(before, value) {
			t.Fatal("the value has changed")
		}
		if err != nil {
			return
		}
		if backup.Kind(kind) == backup.Identity {
			one := carried{entry: u.entry, used: u.roster.Use != "", keys: to.value}
			if again := one.append(nil); !bytes.Equal(again, value) || u.entry.Name != key {
				t.Errorf("the identity %q is written as %x", key, again)
			}
		}
		if to.bucket == "" != (backup.Kind(kind) == backup.Settings) || to.bucket != "" && (len(to.bucket) > vault.MaxName || to.key == "") {
			t.Errorf("kind %d goes to %q in %q", kind, to.key, to.bucket)
		}
	})
}
