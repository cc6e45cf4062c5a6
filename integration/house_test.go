package integration

import (
	"path"
	"slices"
	"strings"
)

// goFile is one Go file of the module, as far as the rules of the house look at it.
type goFile struct {
	name    string   // slash-separated, below the root: "overlay/relay/relay.go"
	imports []string // import paths as written
	starts  []string // how it starts goroutines: "go", "Go", "AfterFunc"
}

// faults says, a sentence for each, which rules f breaks in the module named.
// The rules are those of CONTRIBUTING.md: imports inside the module go down; an
// outside library with a network or a microphone behind it has its few places; pure
// packages neither touch the world nor start goroutines.
func (f goFile) faults(module string) []string {
	var faults []string
	dir, test := path.Dir(f.name), strings.HasSuffix(f.name, "_test.go")
	say := func(fault string) {
		if fault != "" {
			faults = append(faults, f.name+" "+fault)
		}
	}
	if layer(dir) < 0 {
		say("is in no layer of the house")
	}
	for _, imp := range f.imports {
		if imp == module {
			say("imports the module's root, which holds no package")
		} else if to, ours := strings.CutPrefix(imp, module+"/"); ours {
			say(inward(dir, to))
		} else {
			say(outward(dir, imp, test))
		}
	}
	if pure(dir) && !test {
		for _, how := range f.starts {
			say("starts a goroutine (" + how + ") in a pure package")
		}
	}
	return faults
}

// inward says what is wrong with package from importing package to, both of this
// module and named by their directories; nothing is wrong if it is empty.
func inward(from, to string) string {
	up, down := layer(to) > layer(from), layer(to) < layer(from)
	switch {
	case layer(to) < 0:
		return "imports " + to + ", which is in no layer of the house"
	case from == to: // an external test
		return ""
	case up:
		return "imports " + to + ": upward"
	case below(from, to):
		return "imports " + to + ": a child imports its parent"
	case leaf(from) && !leaf(to):
		return "imports " + to + ": a leaf package imports only leaf packages"
	case below(from, "cli/repl") && !below(to, "node") && !leaf(to):
		return "imports " + to + ": the REPL sees the house through node"
	case down, below(to, from), leaf(to), from == "cli/chatnt":
		return ""
	}
	return "imports " + to + ": sideways, and it is no leaf package"
}

// outward says what is wrong with a file in package dir importing imp, a package
// of another module or of the standard library. Test files of a pure package may
// read their testdata.
func outward(dir, imp string, test bool) string {
	switch {
	case below(imp, "github.com/libp2p") && !speaksLibp2p(dir) && (!test || dir != "discovery"): // whose tests wire its children on real sockets
		return "imports " + imp + ": libp2p has no place here"
	case below(imp, "github.com/pion") && !below(dir, "node/call"):
		return "imports " + imp + ": pion has no place outside node/call"
	case pure(dir) && !test && worldly(imp):
		return "imports " + imp + ": a pure package does not touch the world"
	}
	return ""
}

// layer counts the layers from the ground up; -1 is outside the house.
func layer(dir string) int {
	top, _, _ := strings.Cut(dir, "/")
	return slices.Index([]string{"discovery", "overlay", "node", "cli", "integration"}, top)
}

// below tells whether a path is dir or under it.
func below(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

// leaf tells whether siblings may meet in a package: it holds words of the house
// and depends on nothing in it but other leaves.
func leaf(dir string) bool {
	switch dir {
	case "discovery/hashid", "discovery/network", "discovery/record",
		"overlay/onion", "overlay/fair", "node/contact", "node/message", "node/safety", "node/vault":
		return true
	}
	return false
}

// pure tells whether a package is bytes and time in, bytes out.
func pure(dir string) bool {
	switch dir {
	case "discovery/hashid", "discovery/network", "discovery/record",
		"overlay/onion", "node/message", "node/ratchet", "node/room", "node/safety":
		return true
	}
	return false
}

// speaksLibp2p tells whether libp2p may enter through a package and its tests.
func speaksLibp2p(dir string) bool {
	switch dir {
	case "discovery/dht", "discovery/gossip", "overlay/link", "node":
		return true
	}
	return below(dir, "integration")
}

// worldly tells whether a package of the standard library reaches outside the
// process. Addresses as values, net/netip, do not.
func worldly(imp string) bool {
	if imp == "net/netip" {
		return false
	}
	return below(imp, "net") || below(imp, "os") || below(imp, "syscall") || below(imp, "log")
}

// stray gives the names at the top of the repository that do not belong there.
// What ignored, the lines of .gitignore, matches is not part of the repository.
func stray(names, ignored []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		switch name {
		case "node", "overlay", "discovery", "cli", "integration", "go.mod", "go.sum", "Makefile",
			"README.md", "LICENSE", "SECURITY.md", "CONTRIBUTING.md":
			return true
		}
		return strings.HasPrefix(name, ".") || slices.ContainsFunc(ignored, func(pattern string) bool {
			hit, err := path.Match(strings.Trim(pattern, "/"), name)
			return err == nil && hit
		})
	})
}
