package dht

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	sizesKept   = 8             // estimates of the network's size, of the latest random look-ups
	sizesNeeded = 4             // for a first suspicion
	placesKept  = 16            // keys of records that this node put
	placeLife   = 4 * time.Hour // for which the news of one counts: its record is put again sooner
	watchPause  = time.Minute   // between two looks into suspicious places, which cost a dozen look-ups
)

// crowds watches how dense nodes stand where this node's records are kept. What
// it needs comes from look-ups that are made anyway: those of puts, and random
// ones for the size of the network. Only where that looks wrong, look-ups of both
// kinds are made on purpose, one after the other: the network may simply have grown
// since the first ones, or have shrunk since the second. It is safe for concurrent
// use.
type crowds struct {
	now     func() time.Time // monotonic
	suspect chan struct{}    // capacity 1: there is a place to look into

	mu     sync.Mutex
	sizes  []float64         // guarded by mu, the latest last
	places map[string]*crowd // guarded by mu, by key
}

// crowd is what is known of one key.
type crowd struct {
	far     []float64 // of its latest look-up
	at      time.Time
	settled bool // that look-up was judged by estimates made at about the same time
	alarm   bool
}

func newCrowds() *crowds {
	return &crowds{now: time.Now, suspect: make(chan struct{}, 1), places: make(map[string]*crowd)}
}

// note takes in the look-up of a put.
func (c *crowds) note(key string, far []float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.places[key]
	if old == nil && len(c.places) >= placesKept {
		c.dropOldest()
	}
	c.places[key] = &crowd{far: far, at: c.now(), alarm: old != nil && old.alarm}
	c.judge()
}

// sample takes in a random look-up.
func (c *crowds) sample(far []float64) {
	size, ok := networkSize(far)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sizes = append(c.sizes, size)
	if len(c.sizes) > sizesKept {
		c.sizes = slices.Delete(c.sizes, 0, 1)
	}
	c.judge()
}

// judge ends the alarm where there is no reason for it, and has suspicious
// places looked into. Called with mu held.
func (c *crowds) judge() {
	if len(c.sizes) < sizesNeeded {
		return
	}
	size := median(c.sizes)
	for _, p := range c.places {
		if p.settled {
			continue
		}
		if !crowded(p.far, size) {
			p.alarm = false
			continue
		}
		select {
		case c.suspect <- struct{}{}:
		default:
		}
	}
}

// suspicious returns the keys of the places that want looking into.
func (c *crowds) suspicious() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sizes) < sizesNeeded {
		return nil
	}
	var keys []string
	size := median(c.sizes)
	for key, p := range c.places {
		if !p.settled && crowded(p.far, size) {
			keys = append(keys, key)
		}
	}
	return keys
}

// look takes in another look-up of a place; one that found too few says nothing.
func (c *crowds) look(key string, far []float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.places[key]; p != nil && len(far) >= fewest {
		p.far = far
	}
}

// settle judges the suspicious places by estimates made just now. It reports
// whether an alarm was raised that was not on.
func (c *crowds) settle() (raised bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sizes) < sizesNeeded {
		return false
	}
	select {
	case <-c.suspect: // the estimates made for this suspicion have raised it again
	default:
	}
	size := median(c.sizes)
	for _, p := range c.places {
		if p.settled {
			continue // its look-up is of another time than the estimates
		}
		alarm := crowded(p.far, size)
		raised = raised || alarm && !p.alarm
		p.alarm, p.settled = alarm, true
	}
	return raised
}

// count is the number of places with an alarm on.
func (c *crowds) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, now := 0, c.now()
	for _, p := range c.places {
		if p.alarm && now.Sub(p.at) < placeLife {
			n++
		}
	}
	return n
}

// dropOldest is called with mu held.
func (c *crowds) dropOldest() {
	oldest := ""
	for key, p := range c.places {
		if oldest == "" || p.at.Before(c.places[oldest].at) {
			oldest = key
		}
	}
	delete(c.places, oldest)
}

// Crowded is the number of keys, of those that records were put under here of
// late, round which far more nodes stand than chance would place there: somebody
// may be trying to hide the records. It is 0 until the node has made some random
// look-ups.
func (d *DHT) Crowded() int { return d.crowds.count() }

// watch looks into places that seem crowded until ctx ends.
func (d *DHT) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.crowds.suspect:
		}
		for range sizesKept {
			if _, err := d.walk(ctx); err != nil {
				d.cfg.Log.Debug("a random look-up failed", "error", err)
			}
		}
		for _, key := range d.crowds.suspicious() {
			d.crowds.look(key, d.around(ctx, key))
		}
		if ctx.Err() == nil && d.crowds.settle() {
			d.cfg.Log.Warn("too many nodes stand where this node's records are kept: somebody may be trying to hide them")
		}
		select { // whoever has this node put records must not keep it looking
		case <-ctx.Done():
		case <-time.After(watchPause):
		}
	}
}

// around looks a key up and returns how far the nodes nearest to it are.
func (d *DHT) around(ctx context.Context, key string) []float64 {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	peers, _ := d.nearest(ctx, key) // whoever was found will do
	return distances(key, peers)
}
