package integration

import (
	"fmt"
	"slices"
	"testing"
)

// TestPaths looks at the ways that many messages take: three different relays,
// neither the sender's node nor the end node among them, each as likely as any.
func TestPaths(t *testing.T) {
	goHome(t)
	people := newPeople(t, newNetwork(t, false), 8)
	introduce(t, people[:2]...)
	start(t, people, len(people)-1)
	alice, bob := people[0], people[1]

	draws := count(200, 2000)
	relays := make(map[string]int) // on a path
	firsts := make(map[string]int) // first on a path
	for i := range draws {
		id := alice.send(bob, fmt.Sprint(i))
		alice.awaitState(id, "delivered")
		path, err := alice.node.LastPath()
		if err != nil {
			t.Fatal(err)
		}
		if path.ID != id {
			t.Fatalf("the last path is that of %s, not of the last text %s", path.ID, id)
		}
		if path.End != bob.profile.Node().String() {
			t.Errorf("a path ends at %s, not at the recipient's node", path.End)
		}
		if len(path.Relays) != 3 {
			t.Fatalf("a path of %d relays", len(path.Relays))
		}
		if slices.Contains(path.Relays, alice.profile.Node().String()) {
			t.Error("the sender's node is on its path")
		}
		if slices.Contains(path.Relays, path.End) {
			t.Error("the end node is a relay of the path")
		}
		if distinct := slices.Compact(slices.Sorted(slices.Values(path.Relays))); len(distinct) != 3 {
			t.Errorf("a relay stands twice on the path %v", path.Relays)
		}
		for _, r := range path.Relays {
			relays[r]++
		}
		firsts[path.Relays[0]]++
	}

	// With 5 degrees of freedom, an honest draw exceeds 40 once in seven million.
	const bound = 40
	candidates := len(people) - 2
	for what, counts := range map[string]map[string]int{"relays": relays, "first relays": firsts} {
		if len(counts) != candidates {
			t.Errorf("%d different %s were drawn, not all %d", len(counts), what, candidates)
		}
		total := 0
		for _, n := range counts {
			total += n
		}
		expected := float64(total) / float64(candidates)
		chi2 := 0.0
		for _, n := range counts {
			chi2 += (float64(n) - expected) * (float64(n) - expected) / expected
		}
		t.Logf("%s of %d paths: chi-square %.1f", what, draws, chi2)
		if chi2 > bound {
			t.Errorf("the %s are not drawn evenly: chi-square %.1f, counts %v", what, chi2, counts)
		}
	}
}
