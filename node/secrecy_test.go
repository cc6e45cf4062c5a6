package node

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/node/ratchet"
)

// thief has all that two people keep: their profiles with the passphrases, and a record
// of all that ever passed between them.
type thief struct {
	t    *testing.T
	have []*messenger // made of the stolen profiles
}

// opens reports whether anything in the stolen profiles opens a frame: a session, one as
// it is stored or as it is loaded, or the prekeys, if hellos count.
func (th *thief) opens(frame []byte, hellos bool) bool {
	for _, m := range th.have {
		for _, c := range m.conversations {
			for _, talk := range c.talks {
				if _, err := talk.session.Clone().Open(frame, m.now()); err == nil {
					return true
				}
			}
		}
		if !hellos {
			continue
		}
		h, err := ratchet.OpenHello(m.network, m.profile.identity.keys(), m.profile.prekeys.all(m.now()), frame)
		if err == nil {
			if _, _, err := h.Accept(m.now()); err == nil {
				return true
			}
		}
	}
	return false
}

// TestStolenProfilesOpenNothing: whoever has recorded everything, and then takes both profiles with
// their passphrases, opens no frame that was acknowledged, but for those of the first chain while the prekeys
// live that it was sealed to; and finds no text and no old session in the files.
func TestStolenProfilesOpenNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dirs := []string{t.TempDir(), t.TempDir()}
		passphrase, net := []byte("correct horse"), testNetwork(t)
		open := func(dir string) *Profile {
			p, err := OpenProfile(dir, passphrase)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		var profiles []*Profile
		for _, dir := range dirs {
			p := open(dir)
			if err := p.SetNetwork(net, nil); err != nil {
				t.Fatal(err)
			}
			profiles = append(profiles, p)
		}
		p := pairOf(t, 1, profiles[0], profiles[1])
		const texts = 20
		var states [][]byte // of sessions, as they were on the way
		for n := range texts {
			p.alice.say(2 * n)
			p.bob.say(2*n + 1)
			p.exchange(true)
			p.exchange(true)
			for _, s := range p.sides() {
				if c := s.conversation().current(); c != nil && n < texts-3 {
					states = append(states, c.session.Append(nil))
				}
			}
			p.sleep(time.Minute)
		}
		p.settle()
		p.verify()
		if len(p.wire.records) < 4*texts || len(p.bob.delivered) != texts {
			t.Fatalf("%d frames, %d texts delivered: this shows nothing", len(p.wire.records), len(p.bob.delivered))
		}

		th := &thief{t: t}
		for i, dir := range dirs {
			if err := profiles[i].Close(); err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(filepath.Join(dir, "vault.db"))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(file, []byte("alice")) {
				t.Error("a name stands in the file")
			}
			stolen := open(dir)
			defer func() { _ = stolen.Close() }()
			m := messengerOf(t, stolen)
			th.have = append(th.have, m)
			if kept := stored(t, m); kept[bucketOutbox]+kept[bucketFrames]+kept[bucketUnshown]+kept[bucketEarly] != 0 {
				t.Errorf("the profile holds %v", kept)
			}
			for _, c := range m.conversations {
				for _, talk := range c.talks {
					now := talk.session.Append(nil)
					for _, old := range states {
						if bytes.Equal(now, old) {
							t.Error("a session is stored as it was long ago")
						}
					}
				}
			}
		}
		first := 0
		for _, r := range p.wire.records {
			if th.opens(r.frame, false) {
				t.Error("a session in a stolen profile opens a frame that was acknowledged")
			}
			if th.opens(r.frame, true) {
				first++
			}
		}
		if first == 0 || first > len(p.wire.records)/4 {
			t.Errorf("the prekeys open %d of %d frames: some at first, while they live, and no others", first, len(p.wire.records))
		}

		// Three weeks later the prekeys are gone, too.
		time.Sleep(helloKept + time.Hour)
		for _, m := range th.have {
			if err := m.profile.prekeys.rotate(m.profile.vault, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range p.wire.records {
			if th.opens(r.frame, true) {
				t.Fatal("dead prekeys open a first message")
			}
		}
	})
}
