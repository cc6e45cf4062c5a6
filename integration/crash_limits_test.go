package integration

import (
	"slices"
	"strings"
	"testing"
)

// TestThousandUnacknowledged fills what waits for one contact, over a kill of the program,
// and has it taken up again once some of it has arrived. All of it comes out.
func TestThousandUnacknowledged(t *testing.T) {
	t.Parallel()
	const most = 1000 // messages to a contact that may wait
	alice, bob := newContacts(t, newRelays(t, 5))
	quitAll(bob)
	var want []heard
	say := func(n int) (refused event) {
		t.Helper()
		mark := len(alice.all())
		lines := make([]string, n)
		for i := range lines {
			lines[i] = "/msg bob " + numbered("text", len(want)+i, "of a thousand")
		}
		go func() { _, _ = alice.in.Write([]byte(strings.Join(lines, "\n") + "\n")) }() // a pipe holds fewer
		for _, line := range lines {
			e := alice.awaitFunc(mark, "the answer to "+line, func(e event) bool { return e["line"] == line })
			if e["event"] == "error" {
				refused = e
				continue
			}
			want = append(want, heard{e["id"].(string), strings.TrimPrefix(line, "/msg bob ")})
		}
		return refused
	}
	full := func() {
		t.Helper()
		if queued := alice.do("/status")["queued"]; queued != float64(most) {
			t.Fatalf("%v messages wait, want %d", queued, most)
		}
		if text, _ := say(1)["error"].(string); !strings.Contains(text, "1000 messages wait for this contact") {
			t.Errorf("one more is answered with %q", text)
		}
	}
	say(most - 300)
	alice.kill()
	alice.start()
	if e := say(300); e != nil {
		t.Fatalf("within the limit: %v", e["error"])
	}
	full()
	alice.kill()
	alice.start()
	full()

	bob.start()
	alice.await(0, "status", has{"id": want[0].id, "state": "delivered"})
	if say(1) != nil {
		t.Fatal("one more is refused though some have arrived")
	}
	last := want[len(want)-1]
	bob.await(0, "message", has{"id": last.id, "text": last.text})
	alice.await(0, "status", has{"id": last.id, "state": "delivered"})
	t.Logf("%d texts came out within %.1f s of bob's start", len(want), bob.all()[len(bob.all())-1]["after"])
	bob.runs, alice.runs = bob.runs[1:], nil
	if got := bob.heard(t, alice.hashid); !slices.Equal(got, want) {
		t.Errorf("%d texts came out, or others than the %d that were taken", len(got), len(want))
	}
	quitAll(alice, bob)
}
