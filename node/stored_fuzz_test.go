package node

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

// These read any bytes as what the vault holds: whatever parses is written again to the same
// bytes. A vault hands out only what was put into it, but by whatever version of the program.

func FuzzStoredPrekeys(f *testing.F) {
	raw := appendPrekeys(nil, prekeysOf(bob()).generations)
	f.Add(raw)
	f.Add(append([]byte{prekeysVersion, 2}, append(bytes.Clone(raw[2:]), raw[2:]...)...))
	f.Add(raw[:len(raw)-1])
	f.Add([]byte{prekeysVersion, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		generations, err := parsePrekeys(b)
		if err != nil {
			return
		}
		if len(generations) == 0 || len(generations) > maxGenerations || !bytes.Equal(appendPrekeys(nil, generations), b) {
			t.Errorf("%d generations are written again in other bytes", len(generations))
		}
	})
}

// storedTalk is a talk as it is stored, under its key.
func storedTalk(f *testing.F, in *talk) (key string, raw []byte) {
	f.Helper()
	v := vault.Memory()
	err := v.Update(func(tx *vault.Tx) error {
		if err := in.put(tx, bob().hashid(), in.numbers, in.session); err != nil {
			return err
		}
		var err error
		key = in.key(bob().hashid())
		raw, err = tx.Get(bucketTalks, key)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return key, raw
}

func FuzzStoredTalk(f *testing.F) {
	p, err := Ephemeral(testNetwork(f), nil)
	if err != nil {
		f.Fatal(err)
	}
	m := messengerOf(f, p)
	s := initiate(f, m, bob())
	in := newTalk(s, 3, time.Unix(1_800_000_000, 5))
	add := func() (key string, raw []byte) {
		key, raw = storedTalk(f, in)
		f.Add(key, raw)
		return key, raw
	}
	add()
	in.received, in.last, in.before, in.partID, in.parts = 7, message.ID{1}, 2, message.ID{3}, []byte("part")
	add()
	h, err := ratchet.OpenHello(m.network, p.identity.keys(), p.prekeys.all(time.Now()), sealIn(f, s, testText(1, "x")))
	if err != nil {
		f.Fatal(err)
	}
	if s, _, err = h.Accept(time.Now()); err != nil {
		f.Fatal(err)
	}
	in.session = s
	key, raw := add()
	f.Add(key, raw[:len(raw)-1])
	f.Add(key[1:], raw)
	f.Fuzz(func(t *testing.T, key string, b []byte) {
		peer, in, err := parseTalk(key, b)
		if err != nil {
			return
		}
		v := vault.Memory()
		err = v.Update(func(tx *vault.Tx) error {
			if err := in.put(tx, peer, in.numbers, in.session); err != nil {
				return err
			}
			again, err := tx.Get(bucketTalks, key)
			if !bytes.Equal(again, b) {
				t.Error("a talk is written again in other bytes")
			}
			return err
		})
		if err != nil {
			t.Errorf("a talk is written again under another key: %v", err)
		}
		if in.next == 0 || len(in.parts) > message.MaxText || in.early == nil {
			t.Errorf("it is number %d's turn, with %d bytes of parts", in.next, len(in.parts))
		}
	})
}

func FuzzStoredFrame(f *testing.F) {
	good := sealed{7, make([]byte, ratchet.FrameSize)}
	raw := good.append(ratchet.ID{1})
	f.Add(raw[:48])
	f.Add(raw[:len(raw)-1])
	f.Add(append(raw, 0))
	f.Fuzz(func(t *testing.T, head []byte) {
		b := append(bytes.Clone(head), make([]byte, max(0, len(raw)-len(head)))...)
		id, s, err := parseSealed(b)
		if err == nil && (s.sequence == 0 || len(s.frame) != ratchet.FrameSize || !bytes.Equal(s.append(id), b)) {
			t.Error("a frame is written again in other bytes")
		}
		if err == nil != (len(b) == len(raw) && !bytes.Equal(b[32:40], make([]byte, 8))) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	})
}

// FuzzStoredBuckets loads what lies in the buckets of first messages and of seen texts.
func FuzzStoredBuckets(f *testing.F) {
	f.Add(hex.EncodeToString(make([]byte, 32)), make([]byte, 40), byte(0), make([]byte, 8*seenChunk))
	f.Add("00", make([]byte, 40), byte(15), make([]byte, 8))
	f.Add(hex.EncodeToString(bytes.Repeat([]byte{0xab}, 32)), bytes.Repeat([]byte{0xff}, 40), byte(7), []byte{})
	f.Fuzz(func(t *testing.T, key string, first []byte, chunk byte, ids []byte) {
		v, peer := vault.Memory(), bob().hashid()
		err := v.Update(func(tx *vault.Tx) error {
			if err := tx.Put(bucketHellos, key, first); err != nil {
				return err
			}
			return tx.Put(bucketSeen, seenKey(peer, uint64(chunk%(seenKept/seenChunk))), ids)
		})
		if err != nil {
			return // no key at all
		}
		var known hellos
		err = v.View(func(tx *vault.Tx) error {
			var err error
			known, err = loadHellos(tx)
			return err
		})
		if err == nil {
			for id, one := range known {
				until := uint64(one.forget.Unix())
				if helloKey(id) != key || !bytes.Equal(append(one.from[:], first[32:]...), first) || until > maxUnix {
					t.Errorf("a first message is remembered as another, until %d", until)
				}
			}
			if len(known) != 1 {
				t.Errorf("%d first messages are remembered", len(known))
			}
		}
		s, err := loadSeen(v, peer)
		if (err == nil) != (len(ids) == 8*seenChunk) {
			t.Errorf("%d bytes of ids: %v", len(ids), err)
		}
		if err != nil {
			return
		}
		err = v.Update(func(tx *vault.Tx) error {
			at := uint64(chunk%(seenKept/seenChunk)) * seenChunk
			if err := s.put(tx, peer, at); err != nil {
				return err
			}
			again, err := tx.Get(bucketSeen, seenKey(peer, at/seenChunk))
			if !bytes.Equal(again, ids) {
				t.Error("ids are written again in other bytes")
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// FuzzStoredJSON reads ledgers and messages that wait: what is read stays the same from then on.
func FuzzStoredJSON(f *testing.F) {
	for _, value := range []any{
		ledger{Peer: hashid.ID{1}, Next: 7, Current: "00", Prekey: 3, Seen: 9, History: true, TTL: time.Hour, Forget: time.Unix(1e9, 0)},
		outgoing{To: hashid.ID{1}, Place: 7, Kind: message.Text, ID: message.ID{1}, At: time.Unix(1e9, 0), TTL: 1, Part: 1, Parts: 3, Text: []byte("x"), Told: true},
		outgoing{To: hashid.ID{1}, Place: 7, Kind: message.Link, ID: message.ID{1}, At: time.Unix(1e9, 0), Parts: 1, Link: record.LinkKey{1}},
		unshown{Number: 7, From: hashid.ID{1}, ID: message.ID{1}, Text: "x\xff", At: time.Unix(1e9, 0)},
	} {
		raw, err := json.Marshal(value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, new(ledger), new(ledger))
		again(t, b, new(outgoing), new(outgoing))
		again(t, b, new(unshown), new(unshown))
	})
}

func again(t *testing.T, b []byte, first, second any) {
	t.Helper()
	if json.Unmarshal(b, first) != nil {
		return
	}
	one, err := json.Marshal(first)
	if err != nil {
		return // it would not have been written
	}
	if err := json.Unmarshal(one, second); err != nil {
		t.Fatalf("%T is written as %s and not read again: %v", first, one, err)
	}
	if two, err := json.Marshal(second); err != nil || !bytes.Equal(one, two) {
		t.Errorf("%T is written as %s, then as %s: %v", first, one, two, err)
	}
}
