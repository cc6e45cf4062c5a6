package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// TestImports holds the whole tree, its tests and the files of other systems
// included, to the rules in house_test.go.
func TestImports(t *testing.T) {
	root := os.DirFS("..")
	module := modulePath(t, root)
	files := scanGoFiles(t, root)
	for _, dir := range []string{"discovery", "overlay", "node", "cli", "integration"} {
		if !slices.ContainsFunc(files, func(f goFile) bool { return below(f.name, dir) }) {
			t.Errorf("no Go file found under %s: is this the repository?", dir)
		}
	}
	for _, f := range files {
		for _, fault := range f.faults(module) {
			t.Error(fault)
		}
	}
}

// TestTopLevel keeps the top of the repository to what a visitor can take in.
func TestTopLevel(t *testing.T) {
	root := os.DirFS("..")
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := fs.ReadFile(root, ".gitignore")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	for _, name := range stray(names, strings.Split(string(ignored), "\n")) {
		t.Errorf("%s does not belong at the top level", name)
	}
}

// TestRules shows that each rule catches what it is there for, and no more.
func TestRules(t *testing.T) {
	const fine = ""
	for _, tt := range []struct{ name, imp, want string }{
		// Between the layers.
		{"discovery/directory.go", "chatnt/overlay", "upward"},
		{"discovery/hashid/hashid.go", "chatnt/integration", "upward"},
		{"overlay/relay/relay.go", "chatnt/node", "upward"},
		{"overlay/relay/relay_test.go", "chatnt/node/vault", "upward"}, // a leaf, but above
		{"node/node.go", "chatnt/cli/repl", "upward"},
		{"cli/chatnt/main.go", "chatnt/integration", "upward"},
		{"overlay/overlay.go", "chatnt/discovery", fine},
		{"overlay/relay/relay.go", "chatnt/discovery/dht", fine},
		{"node/node.go", "chatnt/overlay/link", fine},
		{"cli/chatnt/main.go", "chatnt/discovery/network", fine},
		{"integration/mesh_test.go", "chatnt/cli/repl", fine},
		{"tools/tool.go", "fmt", "no layer"},
		{"main.go", "fmt", "no layer"},
		{"node/node.go", "chatnt/nodes/x", "no layer"},
		{"node/node.go", "chatnt", "root"},
		{"node/node.go", "chatnt.example/cli", fine}, // another module

		// Within a layer.
		{"overlay/relay/relay.go", "chatnt/overlay/link", "sideways"},
		{"overlay/relay/relay_test.go", "chatnt/overlay/link", "sideways"},
		{"discovery/dht/dht.go", "chatnt/discovery/gossip", "sideways"},
		{"discovery/dht/dht.go", "chatnt/discovery", "parent"},
		{"discovery/dht/wire/wire.go", "chatnt/discovery/dht", "parent"},
		{"node/control/control.go", "chatnt/node", "parent"},
		{"node/call/call.go", "chatnt/node/nodes", "sideways"},
		{"overlay/relay/relay.go", "chatnt/overlay/onion", fine},
		{"discovery/dht/dht.go", "chatnt/discovery/record", fine},
		{"discovery/dht/dht.go", "chatnt/discovery/dht/wire", fine},
		{"discovery/finder.go", "chatnt/discovery/dht", fine},
		{"discovery/dht/dht_test.go", "chatnt/discovery/dht", fine}, // an external test
		{"discovery/record/key.go", "chatnt/discovery/hashid", fine},
		{"discovery/record/key.go", "chatnt/discovery/dht", "leaf"},
		{"overlay/onion/wrap.go", "chatnt/discovery/dht", "leaf"},
		{"overlay/onion/wrap.go", "chatnt/discovery/hashid", fine},

		// The command line.
		{"cli/repl/repl.go", "chatnt/node", fine},
		{"cli/repl/repl.go", "chatnt/node/control", fine},
		{"cli/repl/repl.go", "chatnt/discovery/hashid", fine},
		{"cli/repl/repl.go", "chatnt/overlay", "through node"},
		{"cli/repl/repl.go", "chatnt/discovery/dht", "through node"},
		{"cli/repl/repl.go", "chatnt/cli/chatnt", "through node"},
		{"cli/chatnt/main.go", "chatnt/cli/repl", fine},

		// Other people's libraries.
		{"node/host.go", "github.com/libp2p/go-libp2p", fine},
		{"node/host_test.go", "github.com/libp2p/go-libp2p", fine},
		{"overlay/link/libp2p.go", "github.com/libp2p/go-libp2p/core/host", fine},
		{"discovery/dht/dht.go", "github.com/libp2p/go-libp2p-kad-dht", fine},
		{"discovery/gossip/gossip.go", "github.com/libp2p/go-libp2p-pubsub", fine},
		{"integration/mesh_test.go", "github.com/libp2p/go-libp2p", fine},
		{"discovery/directory.go", "github.com/libp2p/go-libp2p", "libp2p"},
		{"overlay/relay/relay_test.go", "github.com/libp2p/go-libp2p/core/peer", "libp2p"},
		{"node/control/control.go", "github.com/libp2p/go-libp2p", "libp2p"},
		{"cli/chatnt/main.go", "github.com/libp2p/go-libp2p", "libp2p"},
		{"node/call/call.go", "github.com/pion/webrtc/v3", fine},
		{"node/node.go", "github.com/pion/webrtc/v3", "pion"},
		{"integration/mesh_test.go", "github.com/pion/stun/v3", "pion"},

		// Pure packages.
		{"overlay/onion/wrap.go", "net", "pure"},
		{"discovery/record/key.go", "net/http", "pure"},
		{"node/ratchet/ratchet.go", "os", "pure"},
		{"node/room/room.go", "os/exec", "pure"},
		{"node/message/message.go", "log/slog", "pure"},
		{"discovery/network/invite.go", "syscall", "pure"},
		{"discovery/hashid/hashid.go", "github.com/libp2p/go-libp2p/core/peer", "libp2p"},
		{"discovery/record/addr.go", "net/netip", fine},
		{"overlay/onion/replay.go", "sync", fine},
		{"overlay/onion/golden_test.go", "os", fine},
		{"node/vault/vault.go", "os", fine},
	} {
		t.Run(tt.name+" imports "+tt.imp, func(t *testing.T) {
			got := strings.Join(goFile{name: tt.name, imports: []string{tt.imp}}.faults("chatnt"), "; ")
			if tt.want == fine && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestScan shows that a fault is found in a tree of files, where the rules are
// applied to what the scanner reads.
func TestScan(t *testing.T) {
	root := fstest.MapFS{
		"go.mod":                      {Data: []byte("// a comment\nmodule example.org/house // and another\n\ngo 1.26\n")},
		"overlay/onion/a.go":          {Data: []byte("package onion\nimport ui \"example.org/house/cli/repl\"\nfunc f() { go f() }\n")},
		"overlay/onion/b.go":          {Data: []byte("//go:build windows\n\npackage onion\nimport . `sync`\nfunc g(w *WaitGroup) { w.Go(f) }\n")},
		"overlay/onion/a_test.go":     {Data: []byte("package onion\nimport \"os\"\nfunc h() { go os.Exit(0) }\n")},
		"overlay/onion/testdata/x.go": {Data: []byte("not Go at all")},
		".git/x.go":                   {Data: []byte("nor this")},
		"overlay/relay/relay.go":      {Data: []byte("package relay\nfunc run() { go run() }\n")},
	}
	var got []string
	for _, f := range scanGoFiles(t, root) {
		got = append(got, f.faults(modulePath(t, root))...)
	}
	want := []string{
		"overlay/onion/a.go imports cli/repl: upward",
		"overlay/onion/a.go starts a goroutine (go) in a pure package",
		"overlay/onion/b.go starts a goroutine (Go) in a pure package",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStray shows what the top level does and does not take.
func TestStray(t *testing.T) {
	got := stray(
		[]string{".git", ".golangci.yml", "LICENSE", "Makefile", "bin", "cmd", "cover.out", "main.go", "node", "pkg"},
		[]string{"# built", "", "/bin/", "*.out"},
	)
	if want := []string{"cmd", "main.go", "pkg"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// scanGoFiles reads every Go file below root, whatever system it is for, as the go command
// would look for them.
func scanGoFiles(t *testing.T, root fs.FS) []goFile {
	t.Helper()
	var files []goFile
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.ContainsAny(d.Name()[:1], "._") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parseGoFile(name, src)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// parseGoFile reads of one file's source what the rules look at. Beside the go statement
// it knows a goroutine by the names the standard library starts one under: the
// method Go of a sync.WaitGroup, and time's and context's AfterFunc.
func parseGoFile(name string, src []byte) (goFile, error) {
	f := goFile{name: name}
	syntax, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
	if err != nil {
		return f, err
	}
	for _, spec := range syntax.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, imp)
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			f.starts = append(f.starts, "go")
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Go" || sel.Sel.Name == "AfterFunc") {
				f.starts = append(f.starts, sel.Sel.Name)
			}
		}
		return true
	})
	return f, nil
}

// modulePath reads the module's path from go.mod.
func modulePath(t *testing.T, root fs.FS) string {
	t.Helper()
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "module" {
			return words[1]
		}
	}
	t.Fatal("go.mod names no module")
	return ""
}
