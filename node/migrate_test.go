package node

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/message"
	"chatnt/node/vault"
)

// oldProfile copies a profile that version 1 of the program has made; testdata/profile-v1/contents.txt
// says what is in it.
func oldProfile(t *testing.T) (dir string, contents string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/profile-v1")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/profile-v1/contents.txt")
	if err != nil {
		t.Fatal(err)
	}
	return dir, string(text)
}

// oldBob is a contact in it.
func oldBob() hashid.ID { return hashid.ID{2} }

const oldPassphrase = "correct horse"

func TestProfileOfVersion1(t *testing.T) {
	dir, contents := oldProfile(t)
	before, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to bring up to date
		p, err := OpenProfile(dir, []byte(oldPassphrase))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(contents, "hashid "+p.Hashid().String()+"\n") || !strings.Contains(contents, "node "+p.Node().String()+"\n") {
			t.Errorf("it has become %v at node %v", p.Hashid(), p.Node())
		}
		m := messengerOf(t, p)
		if got := m.book.Contacts(); len(got) != 2 || got[0].Name != "bob" || got[1].Name != "carol" || len(m.book.Requests()) != 1 {
			t.Errorf("it has the contacts %v", got)
		}
		var waiting []string
		for _, item := range m.conversation(oldBob()).outbox {
			waiting = append(waiting, string(item.Text))
		}
		if got := strings.Join(waiting, ", "); got != "first waiting text, second waiting text" || len(m.unshown) != 2 ||
			m.unshown[0].Text != "see you at eight" || !strings.HasPrefix(m.unshown[1].Text, "half half half") {
			t.Errorf("texts that wait: %s; to be shown: %+v", got, m.unshown)
		}
		carol := m.conversation(hashid.ID{3})
		if len(carol.outbox) != 1 || carol.outbox[0].Kind != message.Request || string(carol.outbox[0].Text) != "it is me, ada" {
			t.Error("the request to carol is gone")
		}
		if _, err := m.send("bob", "a third"); err != nil {
			t.Fatal(err)
		}
		if err := p.vault.Update(func(tx *vault.Tx) error { return tx.Delete(bucketOutbox, m.conversation(oldBob()).outbox[2].key()) }); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		kept, err := os.ReadFile(filepath.Join(dir, "vault.db.v1"))
		if err != nil || !bytes.Equal(kept, before) {
			t.Errorf("the old file is not kept as it was: %v", err)
		}
	}
}

// The prekeys that version 1 has published open first messages for two weeks.
func TestPrekeysOfVersion1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, _ := oldProfile(t)
		p, err := OpenProfile(dir, []byte(oldPassphrase))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Close() }()
		old := p.prekeys.all(time.Now())[0]
		for range 15 {
			if err := p.prekeys.rotate(p.vault, time.Now()); err != nil {
				t.Fatal(err)
			}
			all := p.prekeys.all(time.Now())
			if len(all) < 2 || !all[len(all)-1].Key.Equal(old.Key) {
				t.Fatalf("%v: there are %d generations, and not that of version 1", time.Now(), len(all))
			}
			time.Sleep(22 * time.Hour)
		}
		time.Sleep(24 * time.Hour)
		if err := p.prekeys.rotate(p.vault, time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, keys := range p.prekeys.all(time.Now()) {
			if keys.Key.Equal(old.Key) {
				t.Error("the prekeys of version 1 are kept for more than two weeks")
			}
		}
	})
}

// The texts that wait are cut anew, as parts were longer; of one whose beginning was
// acknowledged, the rest goes as a text of its own.
func TestOutboxOfVersion1(t *testing.T) {
	v := vault.Memory()
	defer func() { _ = v.Close() }()
	long := strings.Repeat("x", 1914)
	type old struct {
		To       hashid.ID    `json:"to"`
		Sequence uint64       `json:"sequence"`
		Kind     message.Kind `json:"kind"`
		ID       message.ID   `json:"id"`
		Part     uint8        `json:"part"`
		Parts    uint8        `json:"parts"`
		Text     []byte       `json:"text"`
	}
	var texts []string
	err := v.Update(func(tx *vault.Tx) error {
		for _, o := range []old{
			{oldBob(), 7, message.Text, message.ID{1}, 1, 2, []byte("rest")},
			{oldBob(), 8, message.Text, message.ID{2}, 0, 2, []byte(long)},
			{oldBob(), 9, message.Text, message.ID{2}, 1, 2, []byte("end")},
			{oldBob(), 10, message.Reject, message.ID{3}, 0, 1, nil},
		} {
			raw, err := json.Marshal(o)
			if err != nil {
				return err
			}
			item := outgoing{To: o.To, Place: o.Sequence}
			if err := tx.Put(bucketOutbox, item.key(), raw); err != nil {
				return err
			}
		}
		last, err := migrateOutbox(tx)
		if err != nil {
			return err
		}
		items, err := loadAll[outgoing](tx, bucketOutbox)
		for i, item := range items {
			if item.Place != uint64(i+1) || last[oldBob()] != uint64(len(items)) {
				t.Errorf("place %d of %d: %d", i+1, last[oldBob()], item.Place)
			}
			if item.Part == 0 {
				texts = append(texts, "")
			}
			texts[len(texts)-1] += string(item.Text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) != 3 || texts[0] != "rest" || texts[1] != long+"end" || texts[2] != "" {
		t.Errorf("the texts are %.20q", texts)
	}
}
