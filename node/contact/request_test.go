package contact

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
)

// full is a book with all requests it takes: of the identities 0 to 31, asked in
// this order, with the work given.
func full(t *testing.T, work func(i int) uint8) *Book {
	t.Helper()
	b := New(nil, nil)
	for i := range MaxRequests {
		if err := b.Ask(Request{From: hashid.ID{byte(i)}, At: time.Unix(int64(i), 0), Work: work(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestLeastWorkGoesFirst(t *testing.T) {
	b := full(t, func(i int) uint8 { return uint8(10 + i%4) }) // 0, 4, 8 ... have the least
	late := Request{From: hashid.ID{0xff}, At: time.Unix(100, 0)}
	for _, work := range []uint8{0, 9, 10} {
		late.Work = work
		if _, displaced, err := b.Room(late); !errors.Is(err, ErrTooMany) || displaced {
			t.Errorf("work %d: %v", work, err)
		}
		if err := b.Ask(late); !errors.Is(err, ErrTooMany) || len(b.Requests()) != MaxRequests {
			t.Errorf("work %d: %v", work, err)
		}
	}
	late.Work = 11
	if out, displaced, err := b.Room(late); err != nil || !displaced || out.From != (hashid.ID{0}) {
		t.Fatalf("who would go: %v, %v", out.From, err)
	}
	if _, open := b.Request(hashid.ID{0}); !open {
		t.Error("asking for room takes it")
	}
	for _, goes := range []byte{0, 4, 8} { // the oldest of the least
		late.From[1] = goes
		if err := b.Ask(late); err != nil {
			t.Fatal(err)
		}
		if _, open := b.Request(hashid.ID{goes}); open || len(b.Requests()) != MaxRequests {
			t.Errorf("request %d is open still", goes)
		}
	}
}

// Nobody is pushed out, nor changed, by someone who asks again.
func TestRepeatedRequestsAreNoNews(t *testing.T) {
	b := full(t, func(int) uint8 { return 5 })
	first := hashid.ID{0}
	for _, r := range []Request{
		{From: first, Nick: "other", Text: "other", At: time.Unix(500, 0), Work: 0},
		{From: first, Nick: "other", Text: "other", At: time.Unix(500, 0), Work: 9},
		{From: first, Work: 7},
	} {
		if _, displaced, err := b.Room(r); err != nil || displaced {
			t.Errorf("Room: %v, %v", displaced, err)
		}
		if err := b.Ask(r); err != nil {
			t.Error(err)
		}
	}
	if r, _ := b.Request(first); r != (Request{From: first, At: time.Unix(0, 0), Work: 9}) {
		t.Errorf("it is %+v now", r)
	}
	if len(b.Requests()) != MaxRequests {
		t.Errorf("%d requests", len(b.Requests()))
	}
}

// Whatever order requests come in: at most 32 wait, and none that was dropped or
// refused had more work than one that waits.
func TestQueueKeepsTheMostWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := New(nil, nil)
		var all []uint8
		for i, work := range rapid.SliceOfN(rapid.Uint8Range(0, 6), 0, 80).Draw(t, "work") {
			all = append(all, work)
			r := Request{From: hashid.ID{byte(i)}, At: time.Unix(int64(i), 0), Work: work}
			out, displaced, refused := b.Room(r)
			before := b.Requests()
			if err := b.Ask(r); !errors.Is(err, refused) {
				t.Fatalf("Room says %v, Ask %v", refused, err)
			}
			if _, open := b.Request(out.From); displaced && open {
				t.Fatal("Ask displaced another than Room said")
			}
			if refused != nil && !slices.Equal(before, b.Requests()) {
				t.Fatal("a refused request changes the book")
			}
		}
		slices.SortFunc(all, func(x, y uint8) int { return int(y) - int(x) })
		var kept []uint8
		for _, r := range b.Requests() {
			kept = append(kept, r.Work)
		}
		slices.SortFunc(kept, func(x, y uint8) int { return int(y) - int(x) })
		if !slices.Equal(kept, all[:min(len(all), MaxRequests)]) {
			t.Fatalf("kept %v of %v", kept, all)
		}
	})
}

func TestAskingTellsApart(t *testing.T) {
	ada, eve, nobody := hashid.ID{1}, hashid.ID{2}, hashid.ID{3}
	for _, test := range []struct{ first, second, typed string }{
		{"bob", "Bob", "bob"},
		{"bob", "b\u043eb", "bob"}, // a Cyrillic o
		{"bob", "b\u200bob", "bob"},
		{"bob", "\uff42\uff4f\uff42", "bob"}, // full width
		{"bob", "b0b", "bob"},
		{"zo\u00eb", "zoe", "zo\u00eb"},
	} {
		b := New(nil, []Request{{From: ada, Nick: test.first}, {From: eve, Nick: test.second}})
		if r, err := b.Asking(test.typed); err == nil || errors.Is(err, ErrUnknown) {
			t.Errorf("%+q, and %+q: %v was chosen, %v", test.first, test.second, r.From, err)
		}
		for _, id := range []hashid.ID{ada, eve} {
			if r, err := b.Asking(id.String()); err != nil || r.From != id {
				t.Errorf("by hashid: %v, %v", r.From, err)
			}
		}
		b = New(nil, []Request{{From: ada, Nick: test.first}})
		if r, err := b.Asking(test.typed); err != nil || r.From != ada {
			t.Errorf("%+q alone: %v", test.first, err)
		}
	}
	b := New(nil, []Request{{From: ada, Nick: "bob"}, {From: nobody}, {From: eve, Nick: "\u202e"}})
	for _, typed := range []string{"", "@", "\u200b", "b0b", nobody.String()[:10]} {
		if r, err := b.Asking(typed); !errors.Is(err, ErrUnknown) {
			t.Errorf("Asking(%+q) = %v, %v", typed, r.From, err)
		}
	}
}

// Where the answer goes may change while a request waits; nothing else of it does.
func TestRelocate(t *testing.T) {
	link := record.LinkKey{9}
	r := Request{From: hashid.ID{1}, Nick: "ann", Text: "hi", At: time.Unix(1, 0)}
	b := New(nil, []Request{r})
	b.Relocate(r.From, link)
	b.Relocate(hashid.ID{2}, link) // nobody
	r.Link = link
	if got, _ := b.Request(r.From); got != r || len(b.Requests()) != 1 {
		t.Errorf("%+v", b.Requests())
	}
}

// A contact is looked for where the person here was given that it is, for two weeks, and where it was found before.
func TestLinks(t *testing.T) {
	now, before, given := time.Unix(2e9, 0), record.LinkKey{1}, record.LinkKey{2}
	for _, tt := range []struct {
		c    Contact
		want []record.LinkKey
	}{
		{Contact{}, []record.LinkKey{{}}},
		{Contact{Link: before}, []record.LinkKey{before}},
		{Contact{Link: before, Given: Given{given, now}}, []record.LinkKey{given, before}},
		{Contact{Link: before, Given: Given{At: now.Add(-givenTried)}}, []record.LinkKey{{}, before}},
		{Contact{Link: before, Given: Given{given, now.Add(-givenTried - 1)}}, []record.LinkKey{before}},
		{Contact{Link: before, Given: Given{before, now}}, []record.LinkKey{before}},
		{Contact{Link: before, Given: Given{given, now}}.At(given), []record.LinkKey{given}},
	} {
		if got := tt.c.Links(now); !slices.Equal(got, tt.want) {
			t.Errorf("%+v is looked up by %v", tt.c, got)
		}
	}
}

// What was stored before there were link keys is of people who are listed, and is written as it was.
func TestStoredWithoutLinks(t *testing.T) {
	id, key := hashid.ID{1}.String(), strings.Repeat("09", 32)
	for _, tt := range []struct {
		into any
		raw  string
	}{
		{new(Contact), `{"hashid":"` + id + `","name":"ann","nick":"","state":"accepted","since":"1970-01-01T00:00:01Z"}`},
		{new(Contact), `{"hashid":"` + id + `","name":"ann","nick":"","state":"accepted","since":"1970-01-01T00:00:01Z","link":"` + key + `","told":"` + key + `"}`},
		{new(Request), `{"from":"` + id + `","nick":"","text":"","at":"1970-01-01T00:00:01Z"}`},
		{new(Request), `{"from":"` + id + `","nick":"","text":"","at":"1970-01-01T00:00:01Z","link":"` + key + `"}`},
	} {
		if err := json.Unmarshal([]byte(tt.raw), tt.into); err != nil {
			t.Error(err)
		}
		if again, err := json.Marshal(tt.into); err != nil || string(again) != tt.raw {
			t.Errorf("%s\nis written again as\n%s, %v", tt.raw, again, err)
		}
	}
}
