package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/node/vault"
)

func openProfile(t *testing.T, dir string) *Profile {
	t.Helper()
	p, err := OpenProfile(dir, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestProfileIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	p := openProfile(t, dir)
	id, node := p.Hashid(), p.Node()
	if p.Network() != nil || p.Listen() != nil {
		t.Errorf("a new profile has %v, %v", p.Network(), p.Listen())
	}
	net, listen := testNetwork(t), "/ip4/127.0.0.1/tcp/4001"
	if err := p.SetNetwork(net, []string{listen}); err != nil {
		t.Fatal(err)
	}
	if p.Network() != net || len(p.Listen()) != 1 {
		t.Errorf("the profile has %v, %v", p.Network(), p.Listen())
	}
	if err := p.setNick("ada"); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil {
		t.Fatal(err)
	}

	p = openProfile(t, dir)
	nick, err := p.nick()
	if p.Hashid() != id || p.Node() != node || p.Network().ID() != net.ID() || len(p.Listen()) != 1 || p.Listen()[0] != listen || nick != "ada" || err != nil {
		t.Errorf("after a restart: %v %v %v %v %q %v", p.Hashid() == id, p.Node() == node, p.Network(), p.Listen(), nick, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, "vault.db"))
	if err != nil || string(before) != string(after) {
		t.Errorf("opening and closing changed the file: %v", err)
	}

	// Another network without addresses leaves those that were set.
	p = openProfile(t, dir)
	if err := p.SetNetwork(testNetwork(t), nil); err != nil || len(p.Listen()) != 1 {
		t.Errorf("SetNetwork: %v, listening on %v", err, p.Listen())
	}
	if err := p.setNick(""); err != nil {
		t.Fatal(err)
	}
	if nick, err := p.nick(); nick != "" || err != nil {
		t.Errorf("the nick is %q, %v", nick, err)
	}
}

// If one half of it cannot be stored, neither is.
func TestSetNetworkIsWholeOrNot(t *testing.T) {
	dir := t.TempDir()
	p := openProfile(t, dir)
	if err := os.Mkdir(filepath.Join(dir, configName), 0o700); err != nil { // in the way of config.toml
		t.Fatal(err)
	}
	listen := []string{"/ip4/127.0.0.1/tcp/4001"}
	if err := p.SetNetwork(testNetwork(t), listen); err == nil || p.Network() != nil || p.Listen() != nil {
		t.Errorf("with no room for config.toml: %v, %v, %v", err, p.Network(), p.Listen())
	}
	if err := os.Remove(filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	p.Close()
	p = openProfile(t, dir)
	if p.Network() != nil {
		t.Error("the network was stored all the same")
	}
	p.Close()
	if err := p.SetNetwork(testNetwork(t), listen); !errors.Is(err, vault.ErrClosed) || p.Listen() != nil {
		t.Errorf("with a closed vault: %v, %v", err, p.Listen())
	}
	if c, err := readConfig(dir); err != nil || len(c.Listen) != 0 {
		t.Errorf("the addresses were stored all the same: %v, %v", c, err)
	}
	for _, left := range []string{".config-*", ".vault-*"} {
		if files, _ := filepath.Glob(filepath.Join(dir, left)); len(files) > 0 {
			t.Errorf("left behind: %v", files)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"lissen = []":                "line 1: there is no setting \"lissen\"",
		"listen = []\n[a]\nb = 1":    "there is no setting \"a\"",
		"listen = 1":                 "config.toml cannot be read",
		"listen = [":                 "config.toml cannot be read",
		strings.Repeat("#\n", 40000): "larger than 65536 bytes",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, configName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenProfile(dir, []byte("secret"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
		if vault.Exists(filepath.Join(dir, "vault.db")) {
			t.Errorf("%.20q: a profile was made", text)
		}
	}
}

func TestOpenProfileErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenProfile(dir, nil); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("without a passphrase: %v", err)
	}
	p := openProfile(t, dir)
	if _, err := OpenProfile(dir, []byte("secret")); !errors.Is(err, vault.ErrInUse) {
		t.Errorf("twice: %v", err)
	}
	p.Close()
	if _, err := OpenProfile(dir, []byte("wrong")); !errors.Is(err, vault.ErrPassphrase) {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	p = openProfile(t, dir)
	err := p.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyNetwork, []byte("x")) })
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if _, err := OpenProfile(dir, []byte("secret")); err == nil || !strings.Contains(err.Error(), "network is damaged") {
		t.Errorf("with a damaged network: %v", err)
	}
}

// A record's sequence grows whatever the clock does, and over restarts.
func TestSequenceGrows(t *testing.T) {
	p := testProfile(t)
	now := time.Unix(1e9, 0)
	last := uint64(0)
	for i, at := range []time.Time{now, now, now.Add(-time.Minute), now.Add(time.Hour), now.Add(time.Hour), now} {
		next, err := p.nextSequence("x", at)
		if err != nil || next <= last || next < uint64(at.Unix()) {
			t.Errorf("sequence %d after %d: %d, %v", i, last, next, err)
		}
		last = next
	}
	if other, err := p.nextSequence("y", now); err != nil || other != 1e9 {
		t.Errorf("another record's sequence is %d, %v", other, err)
	}
}

func TestIntroduce(t *testing.T) {
	p := testProfile(t)
	if err := p.Introduce(hashid.ID{2}, "a b"); err == nil {
		t.Error("a bad name was taken")
	}
	if err := p.Introduce(hashid.ID{2}, "bob"); err != nil {
		t.Fatal(err)
	}
	if c, err := messengerOf(t, p).book.Named("bob"); err != nil || c.State != "accepted" {
		t.Errorf("the contact is %v, %v", c, err)
	}
}

func TestEphemeralIsSomebodyElse(t *testing.T) {
	net := testNetwork(t)
	a, errA := Ephemeral(net, []string{"/ip4/127.0.0.1/tcp/0"})
	b, errB := Ephemeral(net, nil)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if a.Hashid() == b.Hashid() || a.Node() == b.Node() || a.Network().ID() != net.ID() || len(a.Listen()) != 1 {
		t.Error("two ephemeral profiles are the same, or not in the network")
	}
}

func TestNodeNeedsANetwork(t *testing.T) {
	if _, err := New(Config{Profile: openProfile(t, t.TempDir())}); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("New: %v", err)
	}
}
