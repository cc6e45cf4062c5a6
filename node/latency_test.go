package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
	"chatnt/overlay"
)

// What is set holds for what is queued from then on, and is stored; a text may have another, which it
// keeps.
func TestLatencyOfTexts(t *testing.T) {
	m := friends(t)
	say := func(how control.How) {
		t.Helper()
		if _, err := m.sendAs("bob", "hi", how); err != nil {
			t.Fatal(err)
		}
	}
	say(control.How{})
	say(control.How{Latency: "slow"})
	for _, latency := range []string{"normal", "slow"} {
		if err := m.profile.setLatency(latency); err != nil {
			t.Fatal(err)
		}
		if got := m.profile.Status().Latency; got != latency {
			t.Errorf("set to %s is %s", latency, got)
		}
		say(control.How{})
	}
	say(control.How{Latency: "fast"})
	if err := m.add(someone(3).hashid(), "carol", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.sendAs("bob", "hi", control.How{Latency: "quick"}); err == nil || len(m.conversation(bob().hashid()).outbox) != 5 {
		t.Errorf("a latency that is none: %v", err)
	}
	if err := m.profile.setLatency("quick"); err == nil || !strings.Contains(err.Error(), "fast, normal or slow") {
		t.Errorf("a latency that is none: %v", err)
	}
	want := []overlay.Latency{overlay.Fast, overlay.Slow, overlay.Normal, overlay.Slow, overlay.Fast}
	for _, m := range []*messenger{m, messengerOf(t, m.profile)} {
		var got []overlay.Latency
		for _, item := range m.conversation(bob().hashid()).outbox {
			got = append(got, item.Latency)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the latencies are %v, want %v", got, want)
		}
		if got := m.conversation(someone(3).hashid()).outbox[0].Latency; got != overlay.Slow {
			t.Errorf("a request is %v", got)
		}
	}
	for name, stored := range map[string]string{"slow": "slow", "damaged": "quick", "fast": ""} {
		v := vault.Memory()
		var got overlay.Latency
		err := v.Update(func(tx *vault.Tx) (err error) {
			if stored != "" {
				if err := tx.Put(bucketProfile, keyLatency, []byte(stored)); err != nil {
					return err
				}
			}
			got, err = loadLatency(tx)
			return err
		})
		if (err != nil) != (name == "damaged") || err == nil && got.String() != name {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A message is repeated when its receipt should have come, by what its relays hold it for: two
// seconds if that is nothing.
func TestRepeatsScaleWithLatency(t *testing.T) {
	m := friends(t)
	var last time.Duration
	for latency, most := range map[overlay.Latency]time.Duration{overlay.Fast: 2 * time.Second, overlay.Normal: 4 * time.Second, overlay.Slow: 30 * time.Second} {
		first := m.receiptWithin(latency)
		if first > most || latency == overlay.Fast && first != repeatFirst || latency == overlay.Slow && first < 20*time.Second {
			t.Errorf("the receipt of %v is waited for %v", latency, first)
		}
		item := &outgoing{Kind: message.Text}
		for item.attempts = 1; item.attempts < 20; item.attempts++ {
			last = item.repeatAfter(first)
		}
		if last != 5*first {
			t.Errorf("%v is repeated after %v at last, %v at first", latency, last, first)
		}
	}
	if m.profile.ofLookUps() != overlay.Fast {
		t.Error("look-ups are held up though nothing is said to be")
	}
	if err := m.profile.setLatency("slow"); err != nil {
		t.Fatal(err)
	}
	if got := m.profile.ofLookUps(); got != overlay.Normal {
		t.Errorf("look-ups are %v, for which exits are not waited", got)
	}
}
