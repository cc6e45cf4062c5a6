package integration

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"chatnt/node/control"
	"chatnt/overlay"
	"chatnt/overlay/onion"
)

// inquiry is one of the kinds of requests, with the sizes of its body and answer.
type inquiry struct {
	service      string
	size, answer int
}

func inquiries() []inquiry {
	return []inquiry{
		{"mailbox.put", 3232, 1},
		{"mailbox.fetch", overlay.MaxRequest, onion.BodySize},
		{"record.get", 65, 2600},
		{"record.put", 2665, 1},
	}
}

// offer has a relay that is being made answer them all.
func offer(r *bareRelay) {
	r.services = make(map[string]overlay.Service)
	for _, q := range inquiries() {
		r.services[q.service] = func([]byte) []byte { return make([]byte, q.answer) }
	}
}

// ask sends a request of zeros to another relay, again if need be, and returns the
// path that it was answered over.
func (r *bareRelay) ask(ctx context.Context, to *bareRelay, q inquiry) (*overlay.Path, error) {
	var err error
	for range 3 {
		var path *overlay.Path
		if path, err = r.overlay.Draw(to.self); err != nil {
			return nil, err
		}
		wait, cancel := context.WithTimeout(ctx, 10*time.Second)
		_, err = r.overlay.Caller().Try(wait, path, q.service, make([]byte, q.size))
		cancel()
		if err == nil {
			return path, nil
		}
	}
	return nil, err
}

// converse has all people write to each other while nodes ask nodes.
func converse(t *testing.T, people []*person, relays []*bareRelay, each int) {
	t.Helper()
	var asking sync.WaitGroup
	for i := range relays {
		from, to := relays[i], relays[(i+1)%len(relays)]
		asking.Go(func() {
			for k := range each {
				q := inquiries()[k%len(inquiries())]
				if _, err := from.ask(t.Context(), to, q); err != nil {
					t.Errorf("%s: %v", q.service, err)
					return
				}
			}
		})
	}
	var waits []func()
	for _, from := range people {
		for _, to := range people {
			if from == to {
				continue
			}
			var sent []string
			for k := range each {
				sent = append(sent, fmt.Sprint("the same words again and again ", k))
				id := from.send(to, sent[k])
				waits = append(waits, func() { from.awaitState(id, control.Delivered) })
			}
			waits = append(waits, func() {
				to.awaitText(from, sent[each-1])
				to.expectTexts(from, sent)
			})
		}
	}
	for _, wait := range waits {
		wait()
	}
	asking.Wait()
}
