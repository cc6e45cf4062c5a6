package node

import (
	"strings"
	"testing"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/control"
)

func nodeOf(t *testing.T, p *Profile) *Node {
	t.Helper()
	n, err := New(Config{Profile: p, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n
}

func signedFirst(t *testing.T, copies func(time.Time) ([]record.Copy, error), now time.Time) []byte {
	t.Helper()
	all, err := copies(now)
	if err != nil || len(all) == 0 {
		t.Fatal(len(all), err)
	}
	return all[0].Value
}

// warned is what a node says of how its person is listed.
func warned(t *testing.T, n *Node) string {
	t.Helper()
	ctx := t.Context()
	n.feed.mu.Lock()
	waiting := len(n.feed.events)
	n.feed.mu.Unlock()
	var said []string
	for range waiting {
		e, err := n.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if w, ok := e.(control.Warning); ok && w.About == aboutListing {
			said = append(said, w.Text)
		}
	}
	return strings.Join(said, "\n")
}

// An older copy of a profile finds that its person was taken off the list since, or has given up the link, does
// the same, and says so. What it has taken back itself does not overrule it.
func TestOlderCopyFindsAWithdrawal(t *testing.T) {
	now := time.Now()
	p := testProfile(t)
	n := nodeOf(t, p)
	found := signedFirst(t, n.listedCopies, now.Add(-time.Hour))
	if n.takenBack(found) || n.linkTakenBack(found) {
		t.Error("its own record takes something back")
	}
	listed := packed(t, p)
	if err := n.SetListed(false); err != nil {
		t.Fatal(err)
	}
	withdrawal := signedFirst(t, n.listedCopies, now)
	linked := packed(t, p)
	link := n.locator().Link
	if n.linkTakenBack(signedFirst(t, n.unlistedCopies, now)) {
		t.Error("its own unlisted record takes the link back")
	}
	if err := n.NewLink(); err != nil {
		t.Fatal(err)
	}
	givenUp := signedFirst(t, n.givenUpCopies, now)
	if n.linkTakenBack(givenUp) || warned(t, n) != "" {
		t.Error("a link that it has given up itself")
	}
	if err := n.SetListed(true); err != nil {
		t.Fatal(err)
	}
	n = nodeOf(t, p)
	if n.takenBack(withdrawal) || !p.Listed() {
		t.Error("its own withdrawal of before it was listed again takes that back")
	}

	back := takenBack(t, listed)
	if err := back.load(); err != nil {
		t.Fatal(err)
	}
	n = nodeOf(t, back)
	signedFirst(t, n.listedCopies, now.Add(time.Hour))
	if !n.takenBack(withdrawal) || back.Listed() || !strings.Contains(warned(t, n), "taken off the list") {
		t.Error("a copy of before the withdrawal lists the person")
	}
	if n.takenBack(withdrawal) {
		t.Error("it is taken back twice")
	}
	r, err := record.ParseKeyRecord(back.network.ID(), signedFirst(t, n.listedCopies, now.Add(time.Hour)))
	if err != nil || !r.Withdrawn() {
		t.Errorf("it publishes %+v, %v", r, err)
	}

	back = takenBack(t, linked)
	if err := back.load(); err != nil {
		t.Fatal(err)
	}
	n = nodeOf(t, back)
	if n.locator().Link != link {
		t.Fatal("the copy has another link")
	}
	if !n.linkTakenBack(givenUp) || n.locator().Link == link || !strings.Contains(warned(t, n), "given up") {
		t.Error("a link that was given up is in use again")
	}
	if n.linkTakenBack(givenUp) || n.linkTakenBack(nil) || n.takenBack(nil) {
		t.Error("it is taken back twice, or by nothing")
	}

	back = takenBack(t, listed)
	if err := back.load(); err != nil {
		t.Fatal(err)
	}
	n = nodeOf(t, back)
	back.vault = closedVault()
	if n.takenBack(withdrawal) {
		t.Error("what could not be stored counts")
	}
	if said := warned(t, n); !strings.Contains(said, "is published again: how this person is listed could not be stored") {
		t.Errorf("the person is told %q", said)
	}
}

// A link that a newer copy has given up does not stay in use because too many were given up: /invite new
// refuses then, and says until when.
func TestOlderCopyWithTooManyLinks(t *testing.T) {
	now := time.Now()
	p := testProfile(t)
	n := nodeOf(t, p)
	if err := n.SetListed(false); err != nil {
		t.Fatal(err)
	}
	for range maxGivenUp {
		if err := n.NewLink(); err != nil {
			t.Fatal(err)
		}
	}
	link, past := n.locator().Link, p.listing.now().past
	until := withdrawnUntil(past[maxGivenUp-1].since).Local().Format("2 January 15:04")
	if err := n.NewLink(); err == nil || !strings.HasSuffix(err.Error(), "8 times in two weeks: no more before "+until) || n.locator().Link != link {
		t.Errorf("one too many: %v", err)
	}
	withdrawn, err := n.withdrawn(now, now, p.listing.now().link)
	if err != nil {
		t.Fatal(err)
	}
	if !n.linkTakenBack(withdrawn[0].Value) || n.locator().Link == link || !strings.Contains(warned(t, n), "given up") {
		t.Error("a link that was given up stays in use")
	}
	if left := p.listing.now().past; len(left) != maxGivenUp || record.LinkKey(left[0].key[32:]) != link || !left[1].key.Equal(past[0].key) {
		t.Errorf("%d links are withdrawn", len(left))
	}
}
