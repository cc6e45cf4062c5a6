package overlay

import (
	"context"
	"slices"
	"sync"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/overlay/fair"
)

// What a node does for others by its slow services. Where each person has a hundred
// contacts that are looked up once an hour, under two keys, a node is asked once in 18
// seconds; the rest is room for whoever floods, so that it takes more to keep others out.
//
// In networks of 40 and 80 nodes a look-up in the hash table sends 28 to 45 requests, 2 kB
// in all, is answered 30 to 50 kB, and takes 8 to 23 ms of a core from who looks up and
// who is asked together. At the full rate that is less than a core, and 1.2 to 2 MB a
// second, as much as relaying at its full rate takes; a burst is half a minute of a core
// at most. A neighbour alone can have no more than a burst a minute, here half of the
// rate.
//
// Answers are not kept for whoever asks next. Nobody would gain but who asks for the
// same thing again and again, as a flood need not: and a put is confirmed by what others
// find, who must not find what they found a moment ago.
const (
	getAtOnce = 64
	getRate   = 40   // a second
	getBurst  = 1200 // before the rate binds
)

// What takes longer, and is asked for more rarely. A put sends some 50 requests, a record
// of 2,600 bytes with 20 of them: 200 requests and 210 kB a second at the full rate.
const (
	slowAtOnce = 16
	slowRate   = 4
	slowBurst  = 240
)

const (
	slowQueued = 256              // requests that wait for one service, 4 kB each: 1 MB
	slowWithin = 10 * time.Second // from arrival to answer: a look-up takes 8 at most
)

// limits are what one service may take.
type limits struct {
	atOnce      int
	rate, burst float64
}

func limitsOf(service string) limits {
	if service == serviceRecordGet {
		return limits{getAtOnce, getRate, getBurst}
	}
	return limits{slowAtOnce, slowRate, slowBurst}
}

// Served are counts of requests to a node's slow services.
type Served struct {
	Done    uint64 // carried out
	Limited uint64 // their neighbour had used up its part of the rate
	NoRoom  uint64 // too many of their neighbour waited, or the node was stopping
	Expired uint64 // their time was over before their turn came

	Waiting int // at present
	Running int // at present
}

// pool carries out what one service does that takes longer than the reader of a
// neighbour can be held up for. An exit can tell requests apart by nothing but the neighbour that they
// came from, so that the rate, the places to wait and those to run are shared among
// neighbours, and what waits has its turn by neighbours: one that floods, or
// several, take nothing from the others but what these do not use. As with the
// relay's tags, what floods through an honest neighbour takes that one's part, and
// who floods by all of them everybody's; the rate then holds.
type pool struct {
	limits limits // read-only
	budget *fair.Budget[hashid.NodeID]
	tasks  sync.WaitGroup

	mu      sync.Mutex      // guards the fields below
	ctx     context.Context // of run; nil before and after
	queues  map[hashid.NodeID][]job
	turns   []hashid.NodeID // those with a queue, whose turn is next first
	waiting fair.Room[hashid.NodeID]
	running fair.Room[hashid.NodeID]
	count   Served // but for Waiting and Running
}

type job struct {
	from  hashid.NodeID
	until time.Time
	do    func(ctx context.Context)
}

func newPool(l limits) *pool {
	return &pool{
		limits:  l,
		budget:  fair.NewBudget[hashid.NodeID](l.rate, l.burst),
		queues:  make(map[hashid.NodeID][]job),
		waiting: fair.NewRoom[hashid.NodeID](slowQueued),
		running: fair.NewRoom[hashid.NodeID](l.atOnce),
	}
}

// run has jobs carried out until ctx ends, and returns when the last has ended.
// Those that still wait are dropped.
func (p *pool) run(ctx context.Context) {
	p.mu.Lock()
	p.ctx = ctx
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.ctx = nil
	for _, from := range p.turns {
		for range p.queues[from] {
			p.waiting.Give(from)
			p.count.NoRoom++
		}
	}
	p.queues, p.turns = nil, nil
	p.mu.Unlock()
	p.tasks.Wait()
}

// add has do carried out for a neighbour when it has its turn, with a context that
// ends when its time is over; or drops it. It does not block.
func (p *pool) add(from hashid.NodeID, do func(ctx context.Context)) {
	now := time.Now()
	if !p.budget.Take(now, from) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.count.Limited++
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx == nil || p.ctx.Err() != nil || !p.waiting.Take(from) {
		p.count.NoRoom++
		p.budget.GiveBack(now, from)
		return
	}
	if len(p.queues[from]) == 0 {
		p.turns = append(p.turns, from)
	}
	p.queues[from] = append(p.queues[from], job{from, now.Add(slowWithin), do})
	p.fill()
}

// fill starts as many jobs as may run. Called with mu held.
func (p *pool) fill() {
	for p.ctx != nil && p.ctx.Err() == nil {
		j, ok := p.next()
		if !ok {
			return
		}
		ctx := p.ctx
		p.tasks.Go(func() { p.carryOut(ctx, j) })
	}
}

// next takes out the job whose turn it is, of the neighbours that may have one more
// run. Called with mu held.
func (p *pool) next() (job, bool) {
	if p.running.Taken() == p.limits.atOnce {
		return job{}, false
	}
	for i := 0; i < len(p.turns); i++ {
		from := p.turns[i]
		if !p.running.Take(from) {
			continue
		}
		j := p.queues[from][0]
		p.waiting.Give(from)
		p.turns = slices.Delete(p.turns, i, i+1)
		if rest := p.queues[from][1:]; len(rest) > 0 {
			p.queues[from] = rest
			p.turns = append(p.turns, from) // behind the others
		} else {
			delete(p.queues, from)
		}
		return j, true
	}
	return job{}, false
}

func (p *pool) carryOut(ctx context.Context, j job) {
	ctx, cancel := context.WithDeadline(ctx, j.until)
	defer cancel()
	expired := ctx.Err() != nil
	if !expired {
		j.do(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if expired {
		p.count.Expired++
	} else {
		p.count.Done++
	}
	p.running.Give(j.from)
	p.fill()
}

func (p *pool) stats() Served {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.count
	s.Waiting, s.Running = p.waiting.Taken(), p.running.Taken()
	return s
}

// plus adds up what became of requests to several services.
func (s Served) plus(t Served) Served {
	return Served{
		Done: s.Done + t.Done, Limited: s.Limited + t.Limited, NoRoom: s.NoRoom + t.NoRoom, Expired: s.Expired + t.Expired,
		Waiting: s.Waiting + t.Waiting, Running: s.Running + t.Running,
	}
}
