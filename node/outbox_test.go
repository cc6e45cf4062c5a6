package node

import (
	"context"
	"crypto/ed25519"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"

	"chatnt/discovery"
	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/node/control"
	"chatnt/node/message"
	"chatnt/node/ratchet"
	"chatnt/overlay/onion"
	"chatnt/overlay/path"
)

func timeNow() time.Time { return time.Now() }

// noLink reaches nobody.
type noLink struct{}

func (noLink) Send(hashid.NodeID, *onion.Packet) error { return nil }
func (noLink) Get() *onion.Packet                      { return new(onion.Packet) }
func (noLink) Put(*onion.Packet)                       {}

func TestRepeatAfter(t *testing.T) {
	var waits []time.Duration
	for n := range 8 {
		waits = append(waits, (&outgoing{Kind: message.Text, attempts: n + 1, sent: true}).repeatAfter(repeatFirst))
	}
	if waits[0] != 2*time.Second || waits[1] != 3*time.Second || waits[7] != 10*time.Second {
		t.Errorf("a message is repeated after %v", waits)
	}
	for i := 1; i < len(waits); i++ {
		if waits[i] < waits[i-1] {
			t.Errorf("a message is repeated after %v", waits)
		}
	}
	for _, kind := range []message.Kind{message.Request, message.Reject} {
		if wait := (&outgoing{Kind: kind, attempts: 1, sent: true}).repeatAfter(repeatFirst); wait != 5*time.Minute {
			t.Errorf("kind %d, once it was taken, is repeated after %v", kind, wait)
		}
		if wait := (&outgoing{Kind: kind, attempts: 1}).repeatAfter(repeatFirst); wait != 2*time.Second {
			t.Errorf("kind %d is repeated after %v", kind, wait)
		}
	}
}

// After two weeks without a receipt a text has failed; a text that was sent
// later still goes, and says that the first is not waited for. A request that was
// given up may be made again.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		if _, err := m.send("bob", strings.Repeat("x", message.PartSize+1)); err != nil {
			t.Fatal(err)
		}
		carol := someone(3).hashid()
		if err := m.add(carol, "carol", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * 24 * time.Hour)
		if _, err := m.send("bob", "later"); err != nil {
			t.Fatal(err)
		}
		transcript(m)
		time.Sleep(7 * 24 * time.Hour)
		if due, _ := sealDue(t, m, bob()); len(due) != 3 || readFirst(t, m, bob(), due[2].frame).Base != 1 {
			t.Errorf("%d are due on the last day", len(due))
		}
		expectTold(t, m)
		time.Sleep(time.Second)
		due, _ := sealDue(t, m, bob())
		if len(due) != 1 {
			t.Fatalf("%d are due after two weeks", len(due))
		}
		if msg := readFirst(t, m, bob(), due[0].frame); msg.Sequence != 4 || msg.Base != 4 || string(msg.Text) != "later" {
			t.Errorf("what goes out is number %d, base %d", msg.Sequence, msg.Base)
		}
		expectTold(t, m, "failed not acknowledged for two weeks")
		if _, _, _, idle := m.takeDue(m.conversation(carol)); !idle {
			t.Error("a request is still under way")
		}
		if err := m.add(carol, "carol", ""); err != nil {
			t.Errorf("asking again: %v", err)
		}
	})
}

// While the recipient cannot be found, the person is told so once for each
// message, the look-ups grow rare, and all ends with ctx.
func TestWaitingForARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		asked := 0
		m.people.find = func(context.Context, record.Locator) (*record.KeyRecord, []byte, error) {
			asked++
			return nil, nil, discovery.ErrNoKeyRecord
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); m.run(ctx) }()
		synctest.Wait()
		if _, err := m.send("bob", "hi"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		expectTold(t, m, "queued ", "queued the recipient's key record is not to be found yet")
		if _, err := m.send("bob", "more"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Minute)
		expectTold(t, m, "queued ", "queued the recipient's key record is not to be found yet")
		cancel()
		<-ended
		if asked < 10 || asked > 30 {
			t.Errorf("%d look-ups in ten minutes", asked)
		}
	})
}

// A message for want of relays stays, and says how many are missing.
func TestWaitingForRelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, raw := friendsWithRecord(t)
		m.people.find = finds(m.network, raw)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); m.run(ctx) }()
		synctest.Wait()
		if _, err := m.send("bob", "hi"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		expectTold(t, m, "queued ", "queued a path needs 3 relays and 0 can be used now: 3 missing")
		cancel()
		<-ended
	})
}

// Where there are too few nodes for an exit nobody is looked up, and the message says why it waits;
// it says otherwise when there are enough.
func TestWaitingForExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		var (
			few   atomic.Bool
			wait  atomic.Bool
			asked atomic.Int32
		)
		few.Store(true)
		m.people.ready = func() error {
			if few.Load() {
				return &discovery.ShortageError{Need: 3, Have: 2}
			}
			if wait.Load() {
				return path.ErrWaits
			}
			return nil
		}
		m.people.find = func(context.Context, record.Locator) (*record.KeyRecord, []byte, error) {
			asked.Add(1)
			return nil, nil, discovery.ErrNoKeyRecord
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); m.run(ctx) }()
		synctest.Wait()
		if _, err := m.send("bob", "hi"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		expectTold(t, m, "queued ", "queued a path needs 3 relays and 2 can be used now: 1 missing")
		if n := asked.Load(); n != 0 {
			t.Errorf("%d look-ups", n)
		}
		few.Store(false)
		wait.Store(true)
		time.Sleep(planEvery)
		if n := asked.Load(); n != 0 {
			t.Errorf("%d look-ups while it waits", n)
		}
		wait.Store(false)
		time.Sleep(3 * time.Second) // it does not wait for long
		expectTold(t, m, "queued "+path.ErrWaits.Error(), "queued the recipient's key record is not to be found yet")
		if asked.Load() == 0 {
			t.Error("nobody is looked up though there are enough")
		}
		cancel()
		<-ended
	})
}

// friendsWithRecord is friends, and bob's key record.
func friendsWithRecord(t *testing.T) (*messenger, []byte) {
	t.Helper()
	m := friends(t)
	return m, signedRecordOf(t, m.network, bob(), hashid.NodeID{9}, seq())
}

// The inbox of this node takes sealed frames for this person and no others, and
// is bounded.
func TestMailboxPut(t *testing.T) {
	m := friends(t)
	own := m.profile.Hashid()
	put := func(mailbox hashid.ID, size int) byte {
		answer := m.mailboxPut(append(mailbox[:], make([]byte, size)...))
		if len(answer) != 1 {
			t.Fatalf("the answer is %x", answer)
		}
		return answer[0]
	}
	for _, bad := range []byte{put(bob().hashid(), ratchet.FrameSize), put(own, ratchet.FrameSize-1), put(own, ratchet.FrameSize+1), put(own, 0), m.mailboxPut(nil)[0]} {
		if bad != putUnknown {
			t.Errorf("the answer is %d", bad)
		}
	}
	for range maxInbox {
		if answer := put(own, ratchet.FrameSize); answer != putStored {
			t.Fatalf("the answer is %d", answer)
		}
	}
	if answer := put(own, ratchet.FrameSize); answer != putFull {
		t.Errorf("the answer of a full inbox is %d", answer)
	}
}

// Frames are opened and taken in, whatever is between them; while the person does
// not read, none are taken.
func TestReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); m.receive(ctx) }()
		own := m.profile.Hashid()
		arrive := func(frame []byte) {
			t.Helper()
			if answer := m.mailboxPut(append(own[:], frame...)); answer[0] != putStored {
				t.Fatalf("the answer is %d", answer)
			}
		}
		session := initiate(t, m, bob())
		sealed := func(sequence uint64, text string) []byte { return sealIn(t, session, testText(sequence, text)) }
		arrive(make([]byte, ratchet.FrameSize))
		arrive(sealed(1, "one"))
		synctest.Wait()
		expectTold(t, m, "bob: one")

		for range maxUnread {
			m.feed.emit(control.Ready{})
		}
		two := sealed(2, "two")
		if answer := m.mailboxPut(append(own[:], two...)); answer[0] != putFull {
			t.Errorf("the answer is %d while nothing is taken in", answer)
		}
		synctest.Wait()
		if told := strings.ReplaceAll(transcript(m), "control.Ready\n", ""); told != "" {
			t.Errorf("the person was told\n%s", told)
		}
		arrive(two)
		arrive(sealed(3, "three"))
		synctest.Wait()
		expectTold(t, m, "bob: two", "bob: three")
		cancel()
		<-ended
	})
}

// A rejection that arrived is not repeated at the pace of a text: who was rejected
// may never acknowledge it.
func TestRejectionIsRepeatedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := messengerOf(t, testProfile(t))
		deliver(t, m, bob(), ask("Bobby", ""))
		if err := m.reject("Bobby"); err != nil {
			t.Fatal(err)
		}
		c := m.conversation(bob().hashid())
		sealDue(t, m, bob())
		c.outbox[0].due = time.Time{}
		nodeTook(m, c, c.outbox[0])
		if due, _, _, _ := m.takeDue(c); len(due) != 0 {
			t.Error("it is due at once")
		}
		time.Sleep(repeatAsk)
		if due, _, _, _ := m.takeDue(c); len(due) != 1 {
			t.Error("it is not due after five minutes")
		}
	})
}

// A clock that is far ahead when the node starts makes nothing fail.
func TestClockAheadAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		if _, err := m.send("bob", "x"); err != nil {
			t.Fatal(err)
		}
		transcript(m)
		m = messengerOf(t, m.profile)
		c := m.conversation(bob().hashid())
		ahead := func() time.Time { return time.Now().AddDate(0, 0, 15) } // as the wall says
		m.giveUp(c, ahead())
		time.Sleep(giveUpUptime - time.Second)
		m.giveUp(c, ahead())
		expectTold(t, m)
		m.giveUp(c, time.Now()) // it was set
		time.Sleep(time.Second)
		m.giveUp(c, time.Now())
		expectTold(t, m)
		m.giveUp(c, ahead())
		expectTold(t, m, "failed not acknowledged for two weeks")
	})
}

// When the recipient's node has come back, all goes to it again, also what it had
// before: it may have ended without taking that in.
func TestHurryRepeatsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := friends(t)
		nodeKey := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		inbox := hashid.OfNode(nodeKey.Public().(ed25519.PublicKey))
		m.people.find = finds(m.network, signedRecordOf(t, m.network, bob(), inbox, seq()))
		c := m.conversation(bob().hashid())
		if _, err := m.people.locate(t.Context(), record.Locator{Hashid: c.with}, false); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := m.send("bob", "x"); err != nil {
				t.Fatal(err)
			}
		}
		due, _ := sealDue(t, m, bob())
		for _, item := range due {
			item.attempts, item.due = 5, time.Now().Add(repeatLast)
		}
		nodeTook(m, c, due[0])
		m.hurry(c) // nobody has announced anything
		if due, _, _, _ := m.takeDue(c); len(due) != 0 {
			t.Errorf("%d are due", len(due))
		}
		if _, err := m.relays.Learn(announcement(t, m.network, nodeKey)); err != nil {
			t.Fatal(err)
		}
		m.hurry(c)
		if due, _, _, _ := m.takeDue(c); len(due) != 2 {
			t.Errorf("%d are due after the node has come back", len(due))
		}
	})
}

// announcement is a descriptor of a node, of now.
func announcement(t *testing.T, network [32]byte, key ed25519.PrivateKey) []byte {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	d := record.Descriptor{
		Node: [32]byte(key.Public().(ed25519.PublicKey)), FirstEpoch: record.Epoch(now), Flags: record.FlagRelay,
		Addrs:    []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001")},
		Sequence: uint64(now.Unix()), Expires: now.Add(record.DescriptorLifetime),
	}
	for i := range d.Keys {
		d.Keys[i] = [32]byte{9}
	}
	raw, err := d.Sign(network, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A receipt that comes while the next attempt is being prepared ends the matter.
func TestHoldAfterTheReceipt(t *testing.T) {
	m := friends(t)
	if _, err := m.send("bob", "hi"); err != nil {
		t.Fatal(err)
	}
	c := m.conversation(bob().hashid())
	due, _ := sealDue(t, m, bob())
	deliver(t, m, bob(), receiptFor(m, bob(), 1))
	expectTold(t, m, "queued ", "sent ", "delivered ")
	m.hold(c, due, nil, "no way there")
	expectTold(t, m)
}
