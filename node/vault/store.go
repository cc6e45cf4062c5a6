package vault

import (
	"bytes"
	"maps"
	"sync"
	"sync/atomic"
)

// A store keeps sealed bytes under names. A view sees the state at its start
// and may run beside others and beside an update; updates run one after the
// other and take effect together, on return of nil, or not at all.
type store interface {
	view(func(pages) error) error
	update(func(pages) error) error
	// scrub leaves nothing behind of what updates have deleted or replaced.
	scrub() error
	close() error
}

// pages are a store's contents within one transaction. Bytes handed out are
// only valid, and must not be changed, until the next call.
type pages interface {
	get(n name) []byte // nil if absent
	put(n name, sealed []byte) error
	delete(n name) error
	// scan calls fn for every name that starts with prefix. fn changes nothing.
	scan(prefix []byte, fn func(n name, sealed []byte) error) error
}

// memory is the store of a process: the same seals, in a map that is replaced
// whole by every update, so that a view keeps what it started with.
type memory struct {
	updating sync.Mutex
	state    atomic.Pointer[memoryPages]
}

// newMemory returns a store that holds one value.
func newMemory(at name, sealed []byte) *memory {
	m := new(memory)
	m.state.Store(&memoryPages{at: sealed})
	return m
}

func (m *memory) view(fn func(pages) error) error { return fn(*m.state.Load()) }

func (m *memory) update(fn func(pages) error) error {
	m.updating.Lock()
	defer m.updating.Unlock()
	next := maps.Clone(*m.state.Load())
	if err := fn(next); err != nil {
		return err
	}
	m.state.Store(&next)
	return nil
}

// scrub has nothing to do: what is replaced is the collector's.
func (m *memory) scrub() error { return nil }

func (m *memory) close() error {
	m.state.Store(&memoryPages{})
	return nil
}

type memoryPages map[name][]byte

func (p memoryPages) get(n name) []byte               { return p[n] }
func (p memoryPages) put(n name, sealed []byte) error { p[n] = sealed; return nil }
func (p memoryPages) delete(n name) error             { delete(p, n); return nil }

func (p memoryPages) scan(prefix []byte, fn func(name, []byte) error) error {
	for n, sealed := range p {
		if !bytes.HasPrefix(n[:], prefix) {
			continue
		}
		if err := fn(n, sealed); err != nil {
			return err
		}
	}
	return nil
}
