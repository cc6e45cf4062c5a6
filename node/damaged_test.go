package node

import (
	"strings"
	"testing"
	"time"

	"chatnt/node/vault"
)

// An identity that is damaged keeps nobody from the others, whether it was the last in use or is
// not: they are used, listed and made, and the damaged one is deleted.
func TestDamagedIdentityLocksNobodyOut(t *testing.T) {
	for _, victim := range []string{"main", "work"} {
		dir := t.TempDir()
		main, work := twoIdentities(t, dir)
		broken, sound := main, work
		if victim == "work" {
			broken, sound = work, main
		}
		if broken == main {
			if _, err := work.Use("main", time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		err := broken.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyNode, []byte("short")) })
		if err != nil {
			t.Fatal(err)
		}
		if err := main.Close(); err != nil {
			t.Fatal(err)
		}
		want := `the identity "` + victim + `" is damaged: the stored node key is damaged`
		if _, err := OpenProfile(dir, []byte("secret")); err == nil || err.Error() != want+"; another can be used: chatnt --id "+sound.name {
			t.Errorf("the last in use: %v", err)
		}
		if _, err := OpenProfileAs(dir, []byte("secret"), victim, time.Now()); err == nil || err.Error() != want {
			t.Errorf("the damaged one by its name: %v", err)
		}
		p, err := OpenProfileAs(dir, []byte("secret"), strings.ToUpper(sound.name), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if p.Hashid() != sound.Hashid() {
			t.Errorf("%s is in use", p.name)
		}
		ids, err := p.Identities()
		if err != nil || len(ids) != 2 {
			t.Fatalf("the identities are %+v, %v", ids, err)
		}
		for _, id := range ids {
			if id.Damaged != (id.Name == victim) || id.Used == id.Damaged || id.Damaged != (id.Hashid == "") {
				t.Errorf("one identity is %+v", id)
			}
		}
		if _, err := p.AddIdentity("third", time.Now()); err != nil {
			t.Error(err)
		}
		if _, err := p.Use(victim, time.Now()); err == nil || err.Error() != want {
			t.Errorf("the damaged one is used: %v", err)
		}
		if _, used := identityNames(t, p); used != sound.name {
			t.Errorf("%q is in use after that", used)
		}
		if err := p.DeleteIdentity(victim); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if again := openProfile(t, dir); again.Hashid() != sound.Hashid() {
			t.Errorf("%s is in use at the next start", again.name)
		}
	}
}

// What is damaged may be no more than what a node reads when it starts. Then, too, another is named.
func TestDamagedContactNamesAnother(t *testing.T) {
	dir := t.TempDir()
	main, work := twoIdentities(t, dir)
	err := work.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketContacts, bob().hashid().String(), []byte("{")) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewRunner(Config{Profile: work, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err == nil || !strings.HasPrefix(err.Error(), `the node of the identity "work" cannot start: `) || !strings.HasSuffix(err.Error(), "; another can be used: chatnt --id main") {
		t.Errorf("it starts: %v", err)
	}
	if err := main.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := OpenProfileAs(dir, []byte("secret"), "main", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	startRunner(t, p, nil).ready()
}

// Where there is no other, none is named.
func TestDamagedProfileOfOne(t *testing.T) {
	dir := t.TempDir()
	p := openProfile(t, dir)
	err := p.vault.Update(func(tx *vault.Tx) error { return tx.Put(bucketProfile, keyIdentity, []byte{1}) })
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenProfile(dir, []byte("secret")); err == nil || !strings.HasPrefix(err.Error(), `the identity "main" is damaged: the stored identity is of version 1`) ||
		strings.Contains(err.Error(), "--id") {
		t.Errorf("it opens: %v", err)
	}
}
