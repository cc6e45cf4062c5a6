package gossip

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	maxSize  = 512
	patience = 20 * time.Second // far more than anything here takes
)

// member is one node in the topic. It rejects what begins with "forged" and
// ignores what begins with "old".
type member struct {
	*Topic
	host host.Host

	mu     sync.Mutex
	heard  map[string]int // how often it judged a message
	banned []peer.ID
}

func newMember(t *testing.T, size int) *member {
	t.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false),
	)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{host: h, heard: make(map[string]int)}
	m.Topic, err = New(Config{
		Host: h, Protocol: "/chatnt-test/gossip", Name: "relays", MaxSize: size, Judge: m.judge,
		Ban: func(p peer.ID) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.banned = append(m.banned, p)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), m.Close(), h.Close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func (m *member) judge(data []byte) Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard[string(data)]++
	switch {
	case strings.HasPrefix(string(data), "forged"):
		return Reject
	case strings.HasPrefix(string(data), "old"):
		return Ignore
	}
	return Accept
}

func (m *member) times(text string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard[text]
}

func (m *member) bans() []peer.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]peer.ID(nil), m.banned...)
}

// chain joins n members, each connected to the next, and waits until what the
// first one publishes reaches the last: the topic's mesh takes a second to form.
func chain(t *testing.T, n int) []*member {
	t.Helper()
	var members []*member
	for i := range n {
		m := newMember(t, maxSize)
		if i > 0 {
			meet(t, members[i-1], m)
		}
		members = append(members, m)
	}
	attempt := 0
	until(t, "the chain is closed", func() bool {
		attempt++
		members[0].say(t, fmt.Sprint("try ", attempt))
		last := members[n-1]
		last.mu.Lock()
		defer last.mu.Unlock()
		return len(last.heard) > 0
	})
	return members
}

func meet(t *testing.T, a, b *member) {
	t.Helper()
	if err := a.host.Connect(t.Context(), peer.AddrInfo{ID: b.host.ID(), Addrs: b.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

func (m *member) say(t *testing.T, text string) {
	t.Helper()
	if err := m.Publish(t.Context(), []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// until waits for something that another goroutine brings about.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it never happened that %s", what)
		}
	}
}

func TestEveryoneHearsOnce(t *testing.T) {
	members := chain(t, 8)
	for i := range members[1:] { // a ring, so that there are two ways to everyone
		if i%3 == 0 {
			meet(t, members[i], members[(i+4)%8])
		}
	}
	speaker := members[3]
	speaker.say(t, "hello")
	speaker.say(t, "hello") // as after every put
	speaker.say(t, "that was it")
	for i, m := range members {
		if m == speaker {
			continue
		}
		until(t, fmt.Sprintf("member %d has heard it all", i), func() bool {
			return m.times("hello") > 0 && m.times("that was it") > 0
		})
		if n := m.times("hello"); n != 1 {
			t.Errorf("member %d judged it %d times", i, n)
		}
	}
	if speaker.times("hello") != 0 {
		t.Error("it judged what it said itself")
	}
}

// What a node says is heard by whoever it is connected to, at once, whatever it
// would think of it had it come from others: a node does not know its own
// descriptor as news.
func TestOwnMessagesAreNotJudged(t *testing.T) {
	members := chain(t, 2)
	members[0].say(t, "old for others")
	until(t, "the neighbour hears it", func() bool { return members[1].times("old for others") == 1 })
}

func TestOnlyWhatIsAcceptedIsForwarded(t *testing.T) {
	members := chain(t, 3)
	first, middle, last := members[0], members[1], members[2]
	first.say(t, "forged")
	first.say(t, "old")
	until(t, "the neighbour has heard both", func() bool {
		return middle.times("forged") == 1 && middle.times("old") == 1
	})
	first.say(t, "good")
	until(t, "the last one hears what is good", func() bool { return last.times("good") == 1 })
	if last.times("forged")+last.times("old") != 0 {
		t.Error("what was not accepted was forwarded")
	}
	until(t, "the forger is banned", func() bool { return len(middle.bans()) == 1 })
	if middle.bans()[0] != first.host.ID() || len(last.bans()) != 0 {
		t.Error("the wrong node was banned")
	}
}

func TestOversize(t *testing.T) {
	small, large := newMember(t, maxSize), newMember(t, maxSize+100)
	if err := small.Publish(t.Context(), make([]byte, maxSize+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("publishing it: %v", err)
	}
	if err := small.Publish(t.Context(), make([]byte, maxSize)); err != nil {
		t.Error(err)
	}
	meet(t, large, small)
	attempt := 0
	until(t, "the one that sends too much is banned", func() bool {
		attempt++
		large.say(t, fmt.Sprintf("%0*d", maxSize+1, attempt))
		return len(small.bans()) > 0
	})
	small.mu.Lock()
	defer small.mu.Unlock()
	if len(small.heard) != 0 {
		t.Error("it was judged")
	}
}

func TestClosedHearsNothing(t *testing.T) {
	members := chain(t, 3)
	gone := members[2]
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	members[0].say(t, "after")
	until(t, "those who stayed hear it", func() bool { return members[1].times("after") == 1 })
	if gone.times("after") != 0 {
		t.Error("one that has left heard it")
	}
	if err := gone.Publish(t.Context(), []byte("still here")); err == nil {
		t.Error("one that has left could publish")
	}
}
