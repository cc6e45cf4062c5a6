package node

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"chatnt/node/backup"
	"chatnt/node/vault"
)

// A backup that ends too soon, or does not hold together, makes no profile.
func TestRestoreOfDamage(t *testing.T) {
	p := fullLife(t).profile
	good := packed(t, p)
	pack := func(change func([]backup.Entry) []backup.Entry) io.Reader {
		var list []backup.Entry
		for r := entriesOf(t, good); ; {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
		var b bytes.Buffer
		w, err := backup.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range change(list) {
			if err := w.Put(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	without := func(kind backup.Kind) io.Reader {
		return pack(func(list []backup.Entry) []backup.Entry {
			return slices.DeleteFunc(list, func(e backup.Entry) bool { return e.Kind == kind })
		})
	}
	with := func(kind backup.Kind, change func(*backup.Entry)) io.Reader {
		return pack(func(list []backup.Entry) []backup.Entry {
			at := slices.IndexFunc(list, func(e backup.Entry) bool { return e.Kind == kind })
			change(&list[at])
			return list
		})
	}
	broken := errors.New("the cable is cut")
	cases := map[string]struct {
		r    io.Reader
		want error
	}{
		"cut in the middle":            {bytes.NewReader(good[:len(good)/2]), backup.ErrDamaged},
		"a cable cut":                  {io.MultiReader(bytes.NewReader(good[:len(good)-5]), iotest.ErrReader(broken)), broken},
		"relays of no network":         {without(backup.Network), backup.ErrDamaged},
		"texts of no conversation":     {without(backup.Conversation), backup.ErrDamaged},
		"a conversation in a session":  {with(backup.Conversation, replace(`"next"`, `"current":"00","next"`)), backup.ErrDamaged},
		"a contact under another name": {with(backup.Contact, func(e *backup.Entry) { e.Key = "a" }), backup.ErrDamaged},
		"a contact that was told":      {with(backup.Contact, replace(`}`, `,"told":"`+strings.Repeat("09", 32)+`"}`)), backup.ErrDamaged},
		"a record under no link key":   {with(backup.Record, func(e *backup.Entry) { e.Value = append(make([]byte, 33), e.Value...) }), backup.ErrDamaged},
	}
	for _, kind := range []backup.Kind{
		backup.Identity, backup.Network, backup.Sequence, backup.Settings, backup.Relay, backup.Contact, backup.Request,
		backup.Conversation, backup.Seen, backup.Record, backup.Outgoing, backup.Unshown, backup.Said, backup.Listing,
	} {
		for how, change := range map[string]func(*backup.Entry){
			"longer":  func(e *backup.Entry) { e.Value = append(e.Value, '\n') },
			"shorter": func(e *backup.Entry) { e.Value = e.Value[:len(e.Value)-1] },
		} {
			cases[how+" kind "+string('0'+rune(kind))] = struct {
				r    io.Reader
				want error
			}{with(kind, change), backup.ErrDamaged}
		}
	}
	for name, tt := range cases {
		entries, err := backup.NewReader(tt.r)
		if err != nil {
			t.Fatal(name, err)
		}
		p := &Profile{vault: vault.Memory()}
		if err := p.takeBack(entries); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		p.Close()
	}

	// On the disk nothing is left of it, not even the directory above.
	top := t.TempDir()
	dir := filepath.Join(top, "a", "b")
	if err := restore(dir, entriesOf(t, good[:len(good)-1]), []byte("x")); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("restore: %v", err)
	}
	if names := filesIn(t, top); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

func replace(old, with string) func(*backup.Entry) {
	return func(e *backup.Entry) { e.Value = bytes.Replace(e.Value, []byte(old), []byte(with), 1) }
}

// A directory that holds a profile, or an old file of one, is left as it is; other files in it are, too.
func TestRestoreReplacesNothing(t *testing.T) {
	raw := packed(t, testProfile(t))
	for _, name := range []string{vaultName, vaultName + ".v1"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Restore(dir, bytes.NewReader(raw), []byte("x"), []byte("x")); !errors.Is(err, os.ErrExist) {
			t.Errorf("beside %s: %v", name, err)
		}
		if names := filesIn(t, dir); len(names) != 1 {
			t.Errorf("beside %s there are %v", name, names)
		}
	}

	p, err := Ephemeral(testNetwork(t), []string{"/ip4/127.0.0.1/tcp/4001"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	dir := t.TempDir()
	own := "listen = ['/ip4/127.0.0.1/tcp/5001']\n"
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := restore(dir, entriesOf(t, packed(t, p)), []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if got := openProfile(t, dir).Listen(); len(got) != 1 || !strings.Contains(own, got[0]) {
		t.Errorf("it listens on %v", got)
	}

	// Somebody who is faster keeps the place.
	dir = t.TempDir()
	late := io.MultiReader(bytes.NewReader(packed(t, p)), readerFunc(func([]byte) (int, error) {
		return 0, errors.Join(os.WriteFile(filepath.Join(dir, vaultName), []byte("mine"), 0o600), io.EOF)
	}))
	entries, err := backup.NewReader(eof{late})
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(dir, entries, []byte("secret")); !errors.Is(err, os.ErrExist) {
		t.Errorf("restore: %v", err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, vaultName)); string(raw) != "mine" || len(filesIn(t, dir)) != 1 {
		t.Errorf("there is %q, %v, among %v", raw, err, filesIn(t, dir))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// eof says io.EOF for any error.
type eof struct{ io.Reader }

func (e eof) Read(b []byte) (int, error) {
	n, err := e.Reader.Read(b)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

// The restored profile's records replace what the old one published after the backup, also when the clock
// of the old machine was ahead.
func TestRestoredRecordIsNewer(t *testing.T) {
	p := testProfile(t)
	now := time.Now()
	first, err := p.nextSequence(sequencePerson, now)
	if err != nil {
		t.Fatal(err)
	}
	raw := packed(t, p)
	later, err := p.nextSequence(sequencePerson, now.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	restored := takenBack(t, raw)
	if last, err := restored.nextSequence(sequencePerson, now); err != nil || last <= first {
		t.Errorf("sequence %d after %d: %v", last, first, err)
	}
	if next, err := restored.nextSequence(sequencePerson, now.Add(time.Hour)); err != nil || next <= later {
		t.Errorf("sequence %d after %d: %v", next, later, err)
	}
	ahead, err := p.nextSequence(sequencePerson, now.Add(12*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if is, err := restored.outpaced("person", ahead); !is || err != nil {
		t.Errorf("a record that the old one has published: outpaced %v, %v", is, err)
	}
	if next, err := restored.nextSequence(sequencePerson, now); err != nil || next <= ahead {
		t.Errorf("sequence %d after %d was found: %v", next, ahead, err)
	}
}
