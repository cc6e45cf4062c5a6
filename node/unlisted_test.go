package node

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chatnt/discovery"
	"chatnt/discovery/record"
)

// keptKeys is a table that takes everything, and notes under which keys.
type keptKeys struct {
	mu   sync.Mutex
	keys []string // guarded by mu
}

func (k *keptKeys) Put(_ context.Context, key string, _ []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append(k.keys, key)
	return 1, nil
}

func (k *keptKeys) Get(context.Context, ...string) ([]byte, error) { return nil, context.Canceled }

func (k *keptKeys) Size() int { return 9 }

// personal are the publications of a person, to be put at once.
func personal(n *Node) []discovery.Publication {
	var all []discovery.Publication
	for _, p := range n.keyRecordPublications() {
		all = append(all, discovery.Publication{What: p.What, Every: p.Every, Copies: p.Copies})
	}
	return all
}

// publishedFor returns under which keys a person's node puts anything in a time, and whether any of these is
// of the hashid.
func publishedFor(t *testing.T, p *Profile, whole time.Duration) (keys []string, byHashid bool) {
	t.Helper()
	n, table := &Node{profile: p, now: time.Now, feed: newFeed(), log: slog.New(slog.DiscardHandler)}, new(keptKeys)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), whole)
		defer cancel()
		if err := discovery.NewPublisher(table, n.now, n.log, personal(n)...).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, key := range record.KeyRecordKeys(p.Hashid()) {
		byHashid = byHashid || slices.Contains(table.keys, key)
	}
	return table.keys, byHashid
}

// Who begins unlisted, as a profile or as another identity of one, never has anything under the hashid, and
// is found by the link.
func TestBeginsUnlisted(t *testing.T) {
	const whole = 30 * 24 * time.Hour
	if _, byHashid := publishedFor(t, testProfile(t), whole); !byHashid {
		t.Fatal("who is listed is not published: this sees nothing")
	}
	p := testProfile(t)
	if err := p.BeginUnlisted(time.Now()); err != nil {
		t.Fatal(err)
	}
	link := p.listing.now().linkKey()
	if err := p.BeginUnlisted(time.Now()); err != nil || link.IsZero() || p.listing.now().linkKey() != link {
		t.Errorf("once more: %v", err)
	}
	made, err := p.AddUnlisted("work", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	work, err := p.Use("work", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !made.Unlisted || work.Listed() || work.listing.now().linkKey() == link {
		t.Errorf("the second is %+v", made)
	}
	for _, p := range []*Profile{p, work} {
		if keys, byHashid := publishedFor(t, p, whole); byHashid || len(keys) < 4 {
			t.Errorf("%s: by the hashid: %v, of %d", p.name, byHashid, len(keys))
		}
	}
	third, err := p.AddIdentity("third", time.Now())
	if err != nil || third.Unlisted {
		t.Errorf("the third is %+v, %v", third, err)
	}
}

// Who was listed once cannot begin unlisted any more, and is told what can be done.
func TestTooLateToBeginUnlisted(t *testing.T) {
	p := testProfile(t)
	publishedFor(t, p, time.Minute)
	if err := p.BeginUnlisted(time.Now()); err == nil || !strings.Contains(err.Error(), "has been listed already: /set listed off") || !p.Listed() {
		t.Errorf("after it was listed: %v", err)
	}
	if err := p.SetListed(false, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := p.BeginUnlisted(time.Now()); err == nil {
		t.Error("its withdrawal is to be seen, and it says that it never was listed")
	}
}
