//go:build linux

package integration

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// What is promised of a network that grows in one process, on two cores.
const (
	promisedSize   = 100 // nodes that the figures below hold for
	promisedUp     = 60 * time.Second
	promisedMemory = 16.0 // MB a node
	promisedLookup = 300 * time.Millisecond
)

// growthSize has this test program grow a network of so many nodes and do
// nothing else, so that the memory found is theirs.
const growthSize = "CHATNT_GROWTH"

// growth is what one network was found to cost. Means are over its nodes.
type growth struct {
	Nodes       int
	Up          time.Duration // from the first start until everyone is up, see grow
	CPU         time.Duration // of all nodes, for that
	Resident    float64       // MB of memory a node, as the system sees it
	Live        float64       // MB of them on the heap and in use
	Connections float64       // a node
	Goroutines  float64       // a node
	Lookups     survey
}

// TestGrowth grows networks of whole nodes, each network in a process of its
// own, and holds what it finds against what is promised.
func TestGrowth(t *testing.T) {
	if size := os.Getenv(growthSize); size != "" {
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		report(grow(t, n))
		return
	}
	goHome(t)
	small := grown(t, 20)
	check(t, small)
	if large := count(0, promisedSize); large > 0 {
		g := grown(t, large)
		check(t, g)
		if limit := small.Lookups.Depth * math.Log(float64(large)) / math.Log(20); g.Lookups.Depth > limit {
			t.Errorf("look-ups go %.2f deep among %d nodes and %.2f among 20: more than log N grows",
				g.Lookups.Depth, large, small.Lookups.Depth)
		}
	}
}

func check(t *testing.T, g growth) {
	t.Helper()
	t.Logf("\n%s%s", growthHead, g)
	if underRace { // it costs several times the memory and the time
		return
	}
	if g.Nodes >= promisedSize && g.Up > promisedUp {
		t.Errorf("%d nodes were up in %v, promised are %v", g.Nodes, g.Up, promisedUp)
	}
	if g.Nodes >= promisedSize && g.Lookups.P95 > promisedLookup {
		t.Errorf("look-ups among %d nodes take %v (p95), promised are %v", g.Nodes, g.Lookups.P95, promisedLookup)
	}
	if g.Resident > promisedMemory {
		t.Errorf("a node of %d takes %.1f MB, promised are %.1f", g.Nodes, g.Resident, promisedMemory)
	}
	if g.Lookups.Depth < 1 || g.Lookups.Depth > math.Log2(float64(g.Nodes)) {
		t.Errorf("look-ups among %d nodes go %.2f deep", g.Nodes, g.Lookups.Depth)
	}
	if g.Lookups.Requests < 1 || g.Connections < 3 || g.Connections > float64(2*g.Nodes) {
		t.Errorf("these figures cannot be: %+v", g)
	}
}

// BenchmarkGrowth prints a table of what networks of several sizes cost.
func BenchmarkGrowth(b *testing.B) {
	for b.Loop() {
		fmt.Print("\n", growthHead)
		for _, n := range []int{20, 50, 100, 200} {
			if err := allowFiles(filesOf(n)); err != nil {
				fmt.Printf("| %d | not grown: %v |\n", n, err)
				continue
			}
			fmt.Print(grown(b, n))
		}
	}
	b.ReportMetric(0, "ns/op")
}

const growthHead = "" +
	"| nodes | up | CPU for it | MB a node | live heap | connections a node | goroutines a node | look-up depth, mean and most | requests | look-up p50 | p95 |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|\n"

// String is the row of a Markdown table under growthHead.
func (g growth) String() string {
	return fmt.Sprintf("| %d | %.1f s | %.1f s | %.1f | %.1f | %.0f | %.0f | %.2f, %d | %.1f | %.0f ms | %.0f ms |\n",
		g.Nodes, g.Up.Seconds(), g.CPU.Seconds(), g.Resident, g.Live, g.Connections, g.Goroutines,
		g.Lookups.Depth, g.Lookups.Deepest, g.Lookups.Requests, ms(g.Lookups.P50), ms(g.Lookups.P95))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// grown grows a network in a process of its own.
func grown(t testing.TB, n int) (g growth) {
	t.Helper()
	alone(t, "^TestGrowth$", nil, []string{fmt.Sprintf("%s=%d", growthSize, n)}, &g)
	return g
}

// grow starts n nodes that know of each other what an invite to the first says.
// The network is up when each can use twenty relays, or all there are, and has
// had a text delivered to the next node: then it can be found, and can find.
func grow(t *testing.T, n int) growth {
	t.Helper()
	g := growth{Nodes: n}
	if err := allowFiles(filesOf(n)); err != nil {
		t.Fatal(err)
	}
	resident, goroutines := memory(t), runtime.NumGoroutine()
	net := newNetwork(t, false)
	people := newPeople(t, net, n)
	for i, p := range people {
		introduce(t, p, people[(i+1)%n])
	}

	began, worked := time.Now(), cpuTime(t)
	arriveAll(t, people)
	var delivered []func()
	for i, p := range people {
		id := p.send(people[(i+1)%n], "are you there?")
		delivered = append(delivered, func() { p.awaitState(id, "delivered") })
	}
	for _, wait := range delivered {
		wait()
	}
	g.Up, g.CPU = time.Since(began), cpuTime(t)-worked

	<-time.After(time.Duration(count(5, 30)) * time.Second) // what is measured is the cost by then
	g.Resident = (memory(t) - resident) / float64(n)
	g.Goroutines = float64(runtime.NumGoroutine()-goroutines) / float64(n)
	for _, p := range people {
		g.Connections += float64(p.node.Status().Connections) / float64(n)
	}
	runtime.GC()
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	g.Live = float64(heap.HeapAlloc) / 1e6 / float64(n)
	g.Lookups = surveyed(t, people)
	return g
}

// arriveAll starts nodes a few at a time and waits until each can use twenty
// relays, or all there are. A hundred that started in the same instant would
// measure how two cores cope with a hundred busy programs.
func arriveAll(t *testing.T, people []*person) {
	t.Helper()
	const joining, settled = 8, 5
	t.Cleanup(func() { stopAll(people) })
	people[0].start()
	joined := people[0].invited()
	for i, p := range people[1:] {
		if i >= joining {
			people[i-joining].awaitRelays(min(i-joining, settled))
		}
		p.join(joined)
		p.start()
	}
	for _, p := range people {
		p.awaitRelays(min(len(people)-1, 20))
	}
}

// filesOf is how many files n nodes have open at most, sockets included: two ends
// of each connection, and each its profile.
func filesOf(n int) uint64 { return uint64(n*n) + 4096 }

// allowFiles has this process, and those that it starts, open as many files as it needs.
func allowFiles(need uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur >= need {
		return nil
	}
	most := limit.Max
	limit.Cur, limit.Max = need, max(limit.Max, need)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("it takes %d open files, and this machine allows %d: %w", need, most, err)
	}
	return nil
}

// memory is the resident memory of this process in MB.
func memory(t testing.TB) float64 {
	t.Helper()
	return resident(t, os.Getpid())
}

// cpuTime is what this process has worked so far.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
