package integration

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// What one fuzz target keeps in the repository: every run of the tests reads it.
const (
	corpusFiles = 12
	corpusBytes = 40_000
)

// TestCorpora: every fuzz target has a corpus, small enough to be read at every
// run, and no corpus is left of a target that is gone.
func TestCorpora(t *testing.T) {
	root := os.DirFS("..")
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(f \*testing\.F\)`)
	targets, corpora := make(map[string]bool), make(map[string]bool)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := path.Base(name); entry.IsDir() && name != "." && strings.HasPrefix(base, ".") {
			return fs.SkipDir
		}
		if dir, corpus := path.Split(name); entry.IsDir() && strings.HasSuffix(dir, "testdata/fuzz/") {
			corpora[path.Join(dir, "../..", corpus)] = true
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		source, err := fs.ReadFile(root, name)
		for _, match := range target.FindAllSubmatch(source, -1) {
			targets[path.Join(path.Dir(name), string(match[1]))] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) < 20 {
		t.Fatalf("%d fuzz targets found: is this the repository?", len(targets))
	}
	for name := range targets {
		if !corpora[name] {
			t.Errorf("%s has no corpus: CONTRIBUTING.md says how to make one", name)
			continue
		}
		checkCorpus(t, root, path.Join(path.Dir(name), "testdata/fuzz", path.Base(name)))
	}
	for name := range corpora {
		if !targets[name] {
			t.Errorf("the corpus of %s has no target", name)
		}
	}
}

func checkCorpus(t *testing.T, root fs.FS, dir string) {
	t.Helper()
	files, err := fs.ReadDir(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, f := range files {
		input, err := fs.ReadFile(root, path.Join(dir, f.Name()))
		if err != nil || !strings.HasPrefix(string(input), "go test fuzz v1\n") {
			t.Errorf("%s/%s is no input for a fuzzer: %v", dir, f.Name(), err)
		}
		size += len(input)
	}
	if len(files) == 0 || len(files) > corpusFiles || size > corpusBytes {
		t.Errorf("%s has %d files of %d bytes; at most %d of %d are kept", dir, len(files), size, corpusFiles, corpusBytes)
	}
}
