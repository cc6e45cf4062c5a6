package node

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/node/message"
	"chatnt/node/ratchet"
)

// thief has all that two people keep: their profiles with the passphrases, and a record
// of all that ever passed between them.
type thief struct {
	t    *testing.T
	have []*messenger // made of the stolen profiles
}

// opens returns what a session in one of the stolen profiles makes of a frame, nil if none opens it.
func (th *thief) opens(frame []byte) *message.Message {
	for _, m := range th.have {
		for _, c := range m.conversations {
			for _, talk := range c.talks {
				if body, err := talk.session.Clone().Open(frame, m.now()); err == nil {
					return th.read(body)
				}
			}
		}
	}
	return nil
}

// opensFirst does the same with the prekeys.
func (th *thief) opensFirst(frame []byte) *message.Message {
	for _, m := range th.have {
		h, err := ratchet.OpenHello(m.network, m.profile.identity.keys(), m.profile.prekeys.all(m.now()), frame)
		if err == nil {
			if _, body, err := h.Accept(m.now()); err == nil {
				return th.read(body)
			}
		}
	}
	return nil
}

func (th *thief) read(body []byte) *message.Message {
	msg, err := message.Parse(body)
	if err != nil {
		th.t.Fatal(err)
	}
	return msg
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
			if th.opens(r.frame) != nil {
				t.Error("a session in a stolen profile opens a frame that was acknowledged")
			}
			if th.opensFirst(r.frame) != nil {
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
			if th.opensFirst(r.frame) != nil {
				t.Fatal("dead prekeys open a first message")
			}
		}
	})
}

// TestLossesLeaveNothing: where frames are lost, sessions begun anew and messages repeated in others, stolen
// profiles open no text either that was acknowledged, but what the prekeys open. Only receipts that were
// lost on their way open, for SkippedLife: they say nothing but how far somebody was.
func TestLossesLeaveNothing(t *testing.T) {
	for seed := range seeds(2, 40) {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, seed)
			for round := range 10 {
				for range 60 {
					p.step(weather{lose: 200, replay: 20, restart: 5, late: true})
				}
				if s := p.sides()[p.random.IntN(2)]; round < 9 {
					c := s.conversation()
					p.sleep(renewLast)
					s.m.mu.Lock()
					s.m.renew(c)
					s.m.mu.Unlock()
				}
			}
			begun := p.alice.begun + p.bob.begun
			p.wire.flying = nil
			p.settle()
			p.heal()
			p.verify()
			if begun < 6 {
				t.Fatalf("%d sessions: this shows little", begun)
			}
			th := &thief{t: t}
			for _, s := range p.sides() {
				s.restart()
				th.have = append(th.have, s.m)
				if kept := stored(t, s.m); kept[bucketOutbox]+kept[bucketFrames]+kept[bucketUnshown]+kept[bucketEarly] != 0 {
					t.Errorf("the profile of %s holds %v", s.name, kept)
				}
			}
			for i, r := range p.wire.records {
				if msg := th.opens(r.frame); msg != nil && msg.Kind != message.Receipt && th.opensFirst(r.frame) == nil {
					t.Errorf("frame %d of %d, number %d of a session of generation %d, opens", i, len(p.wire.records), msg.Sequence, msg.Generation)
				}
			}

			// A week later only the session is left that both write in, and what was lost is shut.
			p.sleep(ratchet.SkippedLife + time.Hour)
			for _, m := range th.have {
				m.sweepAll()
				if kept := stored(t, m)[bucketTalks]; kept != 1 {
					t.Errorf("%d talks are kept", kept)
				}
			}
			for _, r := range p.wire.records {
				if th.opens(r.frame) != nil {
					t.Error("a frame opens a week later")
				}
			}
		})
	}
}
