package node

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/discovery/record"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/vault"
	"chatnt/overlay"
	"chatnt/overlay/path"
)

func testNetwork(t testing.TB) *network.Network {
	t.Helper()
	n, err := network.New("fam", 3, false)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// noRecord finds nobody.
func noRecord(context.Context, record.Locator) (*record.KeyRecord, []byte, error) {
	return nil, nil, discovery.ErrNoKeyRecord
}

// finds brings one record.
func finds(network [32]byte, raw []byte) finder {
	return func(_ context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
		rec, err := who.Parse(network, raw)
		return rec, raw, err
	}
}

// add asks somebody who is listed.
func (m *messenger) add(id hashid.ID, name, text string) error {
	return m.ask(record.Locator{Hashid: id}, name, text)
}

// messengerOf makes the messenger of a profile, without a network behind it.
func messengerOf(t testing.TB, p *Profile) *messenger {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	dir := discovery.NewDirectory(p.Node(), p.network.ID(), timeNow, log)
	who, err := newPeople(p.network.ID(), p.vault, timeNow, noRecord, anytime)
	if err != nil {
		t.Fatal(err)
	}
	who.draw = atOnce
	finder, err := discovery.NewFinder(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := overlay.New(overlay.Config{Link: noLink{}, Paths: overlay.NewGuarded(dir, path.New(path.Rules{Self: p.Node(), Hops: 3}), timeNow, nil), Finder: finder})
	where, err := newEndsOf(dir, func(context.Context, ...string) ([]byte, error) { return nil, record.ErrNone })
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMessenger(p, timeNow, newFeed(), log, who, where, o, dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testProfile(t testing.TB) *Profile {
	t.Helper()
	p, err := Ephemeral(testNetwork(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// friends is a messenger that has bob as a contact.
func friends(t testing.TB) *messenger {
	t.Helper()
	p := testProfile(t)
	if err := p.Introduce(bob().hashid(), "bob"); err != nil {
		t.Fatal(err)
	}
	return messengerOf(t, p)
}

// say is a message that says nothing but its kind.
func say(kind message.Kind, sequence uint64) *message.Message {
	msg := testText(sequence, "")
	msg.Kind = kind
	return msg
}

func ask(nick, text string) *message.Message {
	msg := testText(1, text)
	msg.Kind, msg.Nick = message.Request, nick
	return msg
}

// transcript is what the person was told, a line an event, without ids.
func transcript(m *messenger) string {
	var b strings.Builder
	for _, e := range drain(m.feed) {
		switch e := e.(type) {
		case control.MessageReceived:
			again := ""
			if e.Again {
				again = " again"
			}
			fmt.Fprintf(&b, "%s%s: %s\n", e.Name, again, e.Text)
		case control.StatusChanged:
			fmt.Fprintf(&b, "%s %s\n", e.State, e.Reason)
		case control.RequestReceived:
			fmt.Fprintf(&b, "request of %s: %s\n", e.Nick, e.Text)
		case control.ContactChanged:
			fmt.Fprintf(&b, "%s is %s\n", e.Local, e.State)
		case control.Warning:
			fmt.Fprintf(&b, "warning: %s\n", e.Text)
		default:
			fmt.Fprintf(&b, "%T\n", e)
		}
	}
	return b.String()
}

func expectTold(t *testing.T, m *messenger, want ...string) {
	t.Helper()
	got, all := transcript(m), strings.Join(append(want, ""), "\n")
	if got != all {
		t.Errorf("the person was told\n%swant\n%s", got, all)
	}
}

// receipt takes the receipt that is due for bob in the newest talk: the last number, 0
// for none.
func receipt(m *messenger) uint64 {
	c := m.conversation(bob().hashid())
	_, receipts, _, _ := m.takeDue(c)
	if len(receipts) == 0 || receipts[0] != c.talks[0] {
		return 0
	}
	return receipts[0].received
}

// received is the number of bob's last message that was taken in, with all before it.
func received(m *messenger) uint64 {
	if c := m.conversation(bob().hashid()); len(c.talks) > 0 {
		return c.talks[0].received
	}
	return 0
}

// early is how many of bob's messages wait for their turn, in memory and in the vault.
func early(t *testing.T, m *messenger) (held, kept int) {
	t.Helper()
	for _, in := range m.conversation(bob().hashid()).talks {
		held += len(in.early)
	}
	return held, stored(t, m)[bucketEarly]
}

// outbox lists the places and kinds of what waits for bob's receipts.
func outbox(m *messenger) string {
	var list []string
	for _, item := range m.conversation(bob().hashid()).outbox {
		list = append(list, fmt.Sprintf("%d:%d", item.Place, item.Kind))
	}
	return strings.Join(list, " ")
}

func messengerBuckets() []string {
	return []string{
		bucketContacts, bucketRequests, bucketConversations, bucketTalks, bucketEarly, bucketSeen, bucketHellos, bucketOutbox,
		bucketFrames, bucketUnshown,
	}
}

// stored counts what lies in each of the messenger's buckets, but for those that are empty.
func stored(t testing.TB, m *messenger) map[string]int {
	t.Helper()
	count := make(map[string]int)
	err := m.profile.vault.View(func(tx *vault.Tx) error {
		for _, bucket := range messengerBuckets() {
			if err := tx.ForEach(bucket, func(string, []byte) error { count[bucket]++; return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestTextsComeOutOnceAndInOrder(t *testing.T) {
	m := friends(t)
	deliver(t, m, bob(), testText(2, "two"))
	deliver(t, m, bob(), testText(2, "two"))
	expectTold(t, m)
	if r := receipt(m); r != 0 {
		t.Errorf("a receipt up to %d for what is not there", r)
	}
	deliver(t, m, bob(), testText(1, "one"))
	expectTold(t, m, "bob: one", "bob: two")
	if r := receipt(m); r != 2 {
		t.Errorf("the receipt is up to %d, want 2", r)
	}
	deliver(t, m, bob(), testText(1, "one again"))
	expectTold(t, m)
	if r := receipt(m); r != 2 {
		t.Errorf("what came again has a receipt up to %d, want 2: the first may be lost", r)
	}
	deliver(t, m, bob(), testText(3+window, "too early"))
	deliver(t, m, bob(), testText(3, "three"))
	expectTold(t, m, "bob: three")
	if held, kept := early(t, m); held != 0 || kept != 0 {
		t.Errorf("%d messages from beyond the window are held, %d stored", held, kept)
	}
}

// A hundred texts in any order, some lost and some doubled, repeated as a sender
// does until all are acknowledged.
func TestAnyOrderOfTexts(t *testing.T) {
	const texts = 100
	for seed := range uint64(5) {
		m := friends(t)
		random := rand.New(rand.NewPCG(seed, 0))
		acknowledged := uint64(0)
		for round := 0; acknowledged < texts; round++ {
			if round > 1000 {
				t.Fatalf("seed %d: no end after %d of %d", seed, acknowledged, texts)
			}
			for range window {
				n := acknowledged + 1 + random.Uint64N(window)
				if n > texts || random.IntN(4) == 0 {
					continue
				}
				msg := testText(n, fmt.Sprint(n))
				msg.Base = acknowledged + 1
				deliver(t, m, bob(), msg)
			}
			acknowledged = max(acknowledged, receipt(m))
		}
		var want []string
		for n := range texts {
			want = append(want, fmt.Sprintf("bob: %d", n+1))
		}
		expectTold(t, m, want...)
	}
}

// What the other side has given up is not waited for, and leaves nothing behind.
func TestGapsAreGivenUp(t *testing.T) {
	m := friends(t)
	for n := uint64(2); n <= window; n++ {
		deliver(t, m, bob(), testText(n, "early"))
	}
	expectTold(t, m)
	after := testText(window+2, "after")
	after.Base = window + 2
	deliver(t, m, bob(), after)
	expectTold(t, m, "bob: after")
	if held, kept := early(t, m); held != 0 || kept != 0 {
		t.Errorf("%d messages are held that nobody waits for, %d stored", held, kept)
	}
	if r := receipt(m); r != window+2 {
		t.Errorf("the receipt is up to %d", r)
	}
	jump := testText(window+10, "jumped")
	jump.Base = window + 5
	deliver(t, m, bob(), jump)
	expectTold(t, m)
	for n := uint64(window + 5); n < window+10; n++ {
		msg := testText(n, "filled")
		msg.Base = window + 5
		deliver(t, m, bob(), msg)
	}
	expectTold(t, m, "bob: filled", "bob: filled", "bob: filled", "bob: filled", "bob: filled", "bob: jumped")
}

// The other side may write in two sessions, if it did not know of the one when it began the other.
// What comes in each is taken in and confirmed in it, in its order.
func TestTwoSessions(t *testing.T) {
	m := friends(t)
	c := m.conversation(bob().hashid())
	deliver(t, m, bob(), testText(1, "one"))
	deliver(t, m, bob(), testText(3, "three"))
	beginLate(t, m, bob(), testText(1, "other"))
	expectTold(t, m, "bob: one", "bob: other")
	in, other := c.talks[0], c.talks[1]
	deliver(t, m, bob(), testText(2, "second"))
	deliverIn(t, m, c, in, testText(2, "two"))
	deliverIn(t, m, c, in, testText(1, "one"))
	expectTold(t, m, "bob: second", "bob: two", "bob: three")
	_, receipts, _, _ := m.takeDue(c)
	if len(receipts) != 2 || receipts[0] != in || receipts[1] != other || in.received != 3 || other.received != 2 {
		t.Errorf("receipts of %d sessions are due", len(receipts))
	}
	late := testText(7, "from the middle")
	late.Base = 7
	begin(t, m, bob(), late)
	expectTold(t, m, "bob: from the middle")
}

func TestTextIsMadeUTF8(t *testing.T) {
	m := friends(t)
	deliver(t, m, bob(), testText(1, "a\xffb"))
	expectTold(t, m, "bob: a\ufffdb")
}
