package relay

import (
	"sync"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/fair"
	"chatnt/overlay/onion"
)

// maxWaiting is how many packets wait for their delay to be over, 16 MiB.
const maxWaiting = 4096

// waiting is a packet to be sent on when its time comes.
type waiting struct {
	due      time.Time
	from, to hashid.NodeID
	packet   *onion.Packet
}

// waitingRoom is a bounded priority queue of packets: a binary heap by due time
// (written out, because container/heap would allocate for each packet). Its
// places are shared among the neighbours that packets came from: one alone cannot
// fill it, and if many do, one after the other, whoever holds next to nothing
// still gets a place, from the one that holds most.
type waitingRoom struct {
	sooner chan struct{} // holds one: the earliest due time has changed

	mu     sync.Mutex // guards the fields below
	heap   []waiting
	held   fair.Shares[hashid.NodeID]
	closed bool
}

func (q *waitingRoom) init() { q.sooner = make(chan struct{}, 1) }

// add takes a packet in, or reports that there is no room. It returns another
// packet, for the caller to drop, where that one had to give way.
func (q *waitingRoom) add(w waiting) (out *onion.Packet, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, false
	}
	left := maxWaiting - len(q.heap)
	if !q.held.May(w.from, left) {
		if q.held[w.from] >= maxWaiting/2/(len(q.held)+1) {
			return nil, false
		}
		if left == 0 { // it holds less than half of an equal share, so another holds more
			out = q.displace()
		}
	}
	q.held.Take(w.from)
	q.heap = append(q.heap, w)
	if q.up(len(q.heap)-1) == 0 {
		select {
		case q.sooner <- struct{}{}:
		default:
		}
	}
	return out, true
}

// displace takes out a packet of the neighbour that holds most places (Suter et
// al., IEEE JSAC 17(6), 1999: longest queue drop): the one that would hold its
// place longest. It looks at every place, some microseconds, but only in a room
// that neighbours of ill will keep full.
func (q *waitingRoom) displace() *onion.Packet {
	var most hashid.NodeID
	for id, n := range q.held {
		if n > q.held[most] {
			most = id
		}
	}
	last := -1
	for i := range q.heap {
		if q.heap[i].from == most && (last < 0 || q.heap[i].due.After(q.heap[last].due)) {
			last = i
		}
	}
	return q.remove(last).packet
}

// remove takes out what is at i.
func (q *waitingRoom) remove(i int) waiting {
	w, end := q.heap[i], len(q.heap)-1
	q.heap[i] = q.heap[end]
	q.heap[end] = waiting{}
	q.heap = q.heap[:end]
	q.held.Give(w.from)
	if i < end && q.up(i) == i {
		q.down(i)
	}
	return w
}

// due returns the earliest due time, if there is one.
func (q *waitingRoom) due() (time.Time, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.heap) == 0 {
		return time.Time{}, false
	}
	return q.heap[0].due, true
}

// take lets out the packet that is due first, if its time has come.
func (q *waitingRoom) take(now time.Time) (waiting, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.heap) == 0 || q.heap[0].due.After(now) {
		return waiting{}, false
	}
	return q.remove(0), true
}

// close lets everything out and nothing in.
func (q *waitingRoom) close() []waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	rest := q.heap
	q.heap, q.held, q.closed = nil, nil, true
	return rest
}

func (q *waitingRoom) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.heap)
}

// up restores the order after an entry was put at i, and returns where it went.
func (q *waitingRoom) up(i int) int {
	for i > 0 {
		parent := (i - 1) / 2
		if !q.heap[i].due.Before(q.heap[parent].due) {
			break
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
	return i
}

// down restores the order after an entry was put at i.
func (q *waitingRoom) down(i int) {
	for {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(q.heap); child++ {
			if q.heap[child].due.Before(q.heap[first].due) {
				first = child
			}
		}
		if first == i {
			return
		}
		q.heap[i], q.heap[first] = q.heap[first], q.heap[i]
		i = first
	}
}
