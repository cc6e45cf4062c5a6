package node

import (
	"errors"
	"strings"
	"testing"

	"chatnt/node/control"
	"chatnt/node/message"
)

// A text that waits and was not sealed for anybody is taken back: nobody gets it, now or later.
func TestCancel(t *testing.T) {
	m := friends(t)
	stays, err := m.send("bob", "stays")
	if err != nil {
		t.Fatal(err)
	}
	goes, err := m.send("bob", strings.Repeat("x", message.PartSize+1))
	if err != nil {
		t.Fatal(err)
	}
	transcript(m)
	for _, id := range []string{"", "7", strings.Repeat("0", 32)} {
		if _, err := m.cancel(id); err == nil {
			t.Errorf("%q was taken back", id)
		}
	}
	good := m.profile.vault
	m.profile.vault = closedVault()
	if _, err := m.cancel(goes.String()); err == nil || !strings.Contains(err.Error(), "still waits") {
		t.Errorf("with a vault that fails: %v", err)
	}
	m.profile.vault = good
	for range 2 { // the second time it is so already
		if ended, err := m.cancel(goes.String()); err != nil || ended.State != control.Failed || ended.Reason != "it was taken back" {
			t.Errorf("it is %+v, %v", ended, err)
		}
	}
	expectTold(t, m, "failed it was taken back")
	m = messengerOf(t, m.profile)
	due, _ := sealDue(t, m, bob())
	if len(due) != 1 || due[0].ID != stays {
		t.Fatalf("%d messages go out", len(due))
	}

	// Neither is one that has gone out, in whatever session, nor one that may have in an earlier run.
	out := func(when string) {
		t.Helper()
		if _, err := m.cancel(stays.String()); !errors.Is(err, errOut) {
			t.Errorf("%s: %v", when, err)
		}
	}
	out("once it was sealed")
	m.conversation(bob().hashid()).unseal()
	out("before it is sealed anew")
	m = messengerOf(t, m.profile)
	out("after a restart")
	sealDue(t, m, bob())
	deliver(t, m, bob(), receiptFor(m, bob(), 1))
	out("once it is delivered")
}

// What waits when another key comes, and had nobody to go to yet, goes to neither key once it is taken back.
func TestCancelWhenTheKeyChanges(t *testing.T) {
	m := friends(t)
	begin(t, m, bob(), testText(1, "hi"))
	id, err := m.send("bob", "for bob alone")
	if err != nil {
		t.Fatal(err)
	}
	begin(t, m, forged(bob()), testText(1, "send it to me"))
	if text, err := m.text(id.String()); err != nil || !text.Changed || text.State != control.Queued {
		t.Fatalf("it is %+v, %v", text, err)
	}
	if _, err := m.cancel(id.String()); err != nil {
		t.Fatal(err)
	}
	if now := judged(t, m, true); !now.Verified {
		t.Fatalf("the contact is %+v", now)
	}
	if due, _ := sealDue(t, m, forged(bob())); len(due) != 0 {
		t.Errorf("%d messages go to the new key", len(due))
	}
	if text, err := m.text(id.String()); err != nil || text.State != control.Failed {
		t.Errorf("it is %+v, %v", text, err)
	}
}
