package ratchet

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestHealing takes both sides' states at some moment, and tries every later frame
// on them: as the states were, and as they become by what they can open. What lies
// past a ratchet step of each side stays shut. And no later state opens what was
// said before.
func TestHealing(t *testing.T) {
	first := rand.Uint64()
	for seed := range uint64(count(10, 200)) {
		t.Logf("seed %d", first+seed)
		r := dice(t, first+seed)
		draw := drawFrom(r)
		a, b, now := modelPair(t, draw)
		sides := [2]*Session{a, b}
		var past [2][][]byte // frames that each has opened
		talk := func(chains int, after func(to, chain int, frame []byte)) {
			for chain := range chains {
				from := chain % 2
				for range 1 + r.IntN(3) {
					frame := modelSeal(t, sides[from], draw(BodySize))
					if after != nil {
						after(1-from, chain, frame)
					}
					if chain == chains-1 || r.IntN(4) > 0 {
						modelOpen(t, sides[1-from], frame, now)
						past[1-from] = append(past[1-from], frame)
					}
				}
				frame := modelSeal(t, sides[from], draw(BodySize)) // so that the other side has its turn
				if after != nil {
					after(1-from, chain, frame)
				}
				modelOpen(t, sides[1-from], frame, now)
			}
		}
		before := 2 + r.IntN(4)
		talk(before, nil)

		// The thief's: as they were, and going along.
		still := [2]*Session{a.Clone(), b.Clone()}
		along := [2]*Session{a.Clone(), b.Clone()}
		for to, frames := range past {
			for _, frame := range frames {
				if _, err := along[to].Open(frame, now); err == nil {
					t.Fatal("what was said before opens with a later state")
				}
			}
		}
		read := make([]int, 8)
		talk(len(read), func(to, chain int, frame []byte) {
			for _, thief := range []*Session{still[0].Clone(), still[1].Clone(), along[0], along[1]} {
				if _, err := thief.Open(frame, now); err == nil {
					read[chain]++
				}
			}
		})
		// If a was the last to talk, its chain goes on. Of the first new chain the thief
		// has the receiver's ratchet key, and of the next nothing.
		open := 1 + before%2
		for chain, n := range read {
			if (n > 0) != (chain < open) {
				t.Errorf("chain %d after the theft: %d frames open, of %d chains that should", chain, n, open)
			}
		}
	}
}

// TestStatesForget looks in the stored state of one side for every key that the
// plain implementation, on the other side, ever had: only those may be there that
// are still to open or to seal something.
func TestStatesForget(t *testing.T) {
	first := rand.Uint64()
	for seed := range uint64(count(6, 100)) {
		t.Logf("seed %d", first+seed)
		r := dice(t, first+seed)
		draw := drawFrom(r)
		network, now := [32]byte(draw(32)), time.Unix(1_800_000_000, 0)
		alice, bob := newPlainPerson(draw), newPlainPerson(draw)
		var p *plain
		var real *Session
		if seed%2 == 0 {
			p = plainInitiate(draw, network[:], alice, bob.public())
			hello, err := OpenHello(network, bob.identity(), bob.prekeys(), p.seal(draw(BodySize)))
			if err != nil {
				t.Fatal(err)
			}
			if real, _, err = hello.Accept(now); err != nil {
				t.Fatal(err)
			}
		} else {
			var err error
			if real, err = Initiate(network, alice.identity(), bob.record()); err != nil {
				t.Fatal(err)
			}
			frame := modelSeal(t, real, draw(BodySize))
			if p, _, err = plainAccept(draw, network[:], bob, frame); err != nil {
				t.Fatal(err)
			}
			plainHears(t, p, frame)
			modelOpen(t, real, p.seal(draw(BodySize)), now)
		}

		missing := make(map[*plainChain]map[uint32]bool) // what real may still open
		var sendings []*plainChain
		if p.sending != nil {
			sendings = append(sendings, p.sending)
		}
		for range 2 + r.IntN(6) {
			plainHears(t, p, modelSeal(t, real, draw(BodySize)))
			for n := range uint32(1 + r.IntN(6)) {
				frame := p.seal(draw(BodySize))
				if n == 0 {
					sendings = append(sendings, p.sending)
					missing[p.sending] = make(map[uint32]bool)
				}
				if r.IntN(3) > 0 {
					modelOpen(t, real, frame, now)
					continue
				}
				missing[p.sending][p.sending.n-1] = true
			}
			modelOpen(t, real, p.seal(draw(BodySize)), now)
		}
		forgotten(t, hex.EncodeToString(real.Append(nil)), p, sendings, missing)
		fields := fmt.Sprintf("%x", any(*real)) //nolint:staticcheck // that some are no bytes does not matter
		forgotten(t, fields, p, sendings, missing)
	}
}

func plainHears(t *testing.T, p *plain, frame []byte) {
	t.Helper()
	if _, err := p.open(frame); err != nil {
		t.Fatal(err)
	}
}

// forgotten looks for keys in a state in hexadecimal.
func forgotten(t *testing.T, state string, p *plain, sendings []*plainChain, missing map[*plainChain]map[uint32]bool) {
	t.Helper()
	gone := func(what string, key []byte) {
		t.Helper()
		if len(key) > 0 && strings.Contains(state, hex.EncodeToString(key)) {
			t.Errorf("the state still has %s", what)
		}
	}
	kept := func(what string, key []byte) {
		t.Helper()
		if !strings.Contains(state, hex.EncodeToString(key)) {
			t.Errorf("the state does not have %s: the test looks for something else than what is stored", what)
		}
	}
	h := &p.shake
	for _, key := range [][]byte{h.DH1, h.DH2, h.DH3, h.SS, h.MaskKey, h.NameKey, h.SK} {
		gone("a key of the handshake", key)
	}
	// All chain keys that ever were, from the first on.
	chainKeys := func(c *plainChain) (keys [][]byte) {
		ck := c.ck0
		for range len(c.keys) + 1 {
			keys, ck = append(keys, ck), plainHMAC(ck, []byte{2})
		}
		return keys
	}
	for _, c := range sendings { // what real receives
		for n, key := range c.keys {
			if missing[c][uint32(n)] {
				kept("the key of a message that is missing", key)
			} else {
				gone("the key of a message that was opened", key)
			}
		}
		keys := chainKeys(c)
		for i, key := range keys {
			if c == p.sending && i == len(keys)-1 {
				kept("the key of the receiving chain", key)
			} else {
				gone("an old key of a receiving chain", key)
			}
		}
		gone("a secret of an exchange", c.dh)
		gone("a secret of an encapsulation", c.ss)
		if c == p.sending {
			kept("the root key", c.rk)
		} else {
			gone("an old root key", c.rk)
		}
	}
	for _, c := range p.received { // what real sends
		gone("an old root key", c.rk)
		for _, key := range c.keys {
			gone("the key of a message that was sent", key)
		}
		for _, key := range chainKeys(c) {
			gone("a key of a sending chain that has ended", key)
		}
		gone("a secret of an exchange", c.dh)
		gone("a secret of an encapsulation", c.ss)
	}
}
