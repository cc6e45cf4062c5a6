package node

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/node/ratchet"
	"chatnt/node/vault"
)

const day = 24 * time.Hour

func rotate(t *testing.T, p *Profile) {
	t.Helper()
	if err := p.prekeys.rotate(p.vault, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// generations lists the ids, the newest first.
func generations(p *Profile) []uint32 {
	var ids []uint32
	for _, g := range p.prekeys.generations {
		ids = append(ids, g.id)
	}
	return ids
}

// reopened is the profile as it is after a restart.
func reopened(t *testing.T, p *Profile) *Profile {
	t.Helper()
	again := &Profile{vault: p.vault}
	if err := again.load(); err != nil {
		t.Fatal(err)
	}
	return again
}

// A generation is published for a week and opens first messages for two more, to the
// day, whether or not another was made since.
func TestPrekeysLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		p := m.profile
		rotate(t, p)
		first := generations(p)[0]
		old := keyRecordOf(m)
		opens := func() bool {
			s, err := ratchet.Initiate(m.network, bob().keys(), old)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ratchet.OpenHello(m.network, p.identity.keys(), p.prekeys.all(time.Now()), sealIn(t, s, testText(1, "x")))
			return err == nil
		}
		for hour := range 21 * 24 {
			rotate(t, p)
			if want := 1 + hour/24/7; len(generations(p)) != want || !slices.Equal(generations(p), generations(reopened(t, p))) {
				t.Fatalf("hour %d: %d generations", hour, len(generations(p)))
			}
			if id := keyRecordOf(m).Prekey.ID; (id == first) != (hour < 7*24) || id != generations(p)[0] {
				t.Fatalf("hour %d: generation %d is published, the first is %d", hour, id, first)
			}
			if hour%24 == 0 && !opens() {
				t.Fatalf("hour %d: a first message does not open", hour)
			}
			time.Sleep(time.Hour)
		}
		if !opens() {
			t.Error("a first message does not open on the last day")
		}
		time.Sleep(time.Second)
		if opens() {
			t.Error("a first message opens after three weeks")
		}
		rotate(t, p)
		if slices.Contains(generations(reopened(t, p)), first) {
			t.Error("dead prekeys are stored")
		}
	})
}

// What cannot be stored is not published, and what was goes on.
func TestPrekeysAreStoredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testProfile(t)
		before := generations(p)
		time.Sleep(8 * day)
		for range 3 {
			if err := p.prekeys.rotate(closedVault(), time.Now()); !errors.Is(err, vault.ErrClosed) {
				t.Fatalf("rotate: %v", err)
			}
		}
		if !slices.Equal(generations(p), before) {
			t.Error("a generation that is not stored counts")
		}
		rotate(t, p)
		if after := generations(p); len(after) != 2 || after[1] != before[0] || !slices.Equal(after, generations(reopened(t, p))) {
			t.Errorf("%d generations once it can be stored", len(after))
		}
	})
}

// A clock that is set back makes a new generation and keeps the old; one that jumps about
// makes no more than are kept; one that is far ahead leaves one.
func TestPrekeysAndClocks(t *testing.T) {
	p := testProfile(t)
	now := time.Now()
	at := func(shift time.Duration) []uint32 {
		t.Helper()
		if err := p.prekeys.rotate(p.vault, now.Add(shift)); err != nil {
			t.Fatal(err)
		}
		return generations(p)
	}
	first := at(0)
	if back := at(-6 * day); !slices.Equal(back, first) {
		t.Error("six days back make a new generation")
	}
	if back := at(-30 * day); len(back) != 2 || back[1] != first[0] {
		t.Errorf("thirty days back make %d generations", len(back))
	}
	if again := at(0); !slices.Contains(again, first[0]) {
		t.Error("those that were made at the right time are gone when it is again")
	}
	for n := range 50 {
		if all := at(now.AddDate(0, 0, -10*n).Sub(now)); len(all) > maxGenerations || len(p.prekeys.all(now)) > maxGenerations {
			t.Fatalf("%d generations", len(all))
		}
	}
	reopened(t, p)
	if ahead := at(10 * 365 * day); len(ahead) != 1 || slices.Contains(ahead, first[0]) {
		t.Errorf("ten years ahead leave %d generations", len(ahead))
	}
}

// Prekeys that are stored are those that come back, and nothing else is taken for prekeys.
func TestPrekeysAreStoredWhole(t *testing.T) {
	var list []generation
	for range 3 {
		g, err := newGeneration(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, g)
	}
	raw := appendPrekeys([]byte("x"), list)[1:]
	again, err := parsePrekeys(raw)
	if err != nil || !bytes.Equal(appendPrekeys(nil, again), raw) {
		t.Fatalf("they come back as others: %v", err)
	}
	for i, g := range again {
		if g.id != list[i].id || !g.made.Equal(list[i].made) || !g.keys.Key.Equal(list[i].keys.Key) || !bytes.Equal(g.keys.KEM.Bytes(), list[i].keys.KEM.Bytes()) {
			t.Errorf("generation %d comes back as another", i)
		}
	}
	change := func(at int, to byte) []byte {
		b := bytes.Clone(raw)
		b[at] = to
		return b
	}
	for name, bad := range map[string][]byte{
		"nothing": {}, "none": {prekeysVersion, 0}, "cut": raw[:len(raw)-1], "more": append(bytes.Clone(raw), 0), "another version": change(0, 2),
		"one too few": change(1, 4), "one too many": change(1, 2), "very many": change(1, 255), "a time beyond clocks": change(6, 1),
	} {
		if _, err := parsePrekeys(bad); err == nil {
			t.Errorf("%s: taken for prekeys", name)
		}
	}
}
