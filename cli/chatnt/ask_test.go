package main

import (
	"path/filepath"
	"testing"
	"time"

	"chatnt/node"
	"chatnt/node/control"
)

// A profile that another command is about to let go of is waited for.
func TestAskWaitsForTheProfile(t *testing.T) {
	t.Setenv("CHATNT_PASSPHRASE", "secret")
	dir := filepath.Join(t.TempDir(), "p")
	busy, err := node.OpenProfile(dir, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	want := busy.Hashid()
	time.AfterFunc(400*time.Millisecond, func() { busy.Close() }) // longer than a lock is waited for
	c := &common{data: dir}
	asked := 0
	running, err := c.ask(t.Context(), "/id", new(control.ID), func(p *node.Profile) error {
		asked++
		if p.Hashid() != want {
			t.Error("it is another profile")
		}
		return nil
	})
	if running || err != nil || asked != 1 {
		t.Errorf("ask: running %v, %v, asked %d times", running, err, asked)
	}
}
