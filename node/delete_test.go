package node

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chatnt/discovery/record"
	"chatnt/node/vault"
)

// What others are told of an identity's node goes with it: the port in config.toml, the address in the
// network of the others, also where an older version of the program has put it there, and the relay that it was.
func TestDeleteIdentityForgetsItsNode(t *testing.T) {
	dir := t.TempDir()
	main := openProfile(t, dir)
	net, friend := testNetwork(t), testProfile(t)
	ports := addrs(t, "/ip4/127.0.0.1/tcp/4001")
	own, err := main.withPeerID(ports)
	if err != nil {
		t.Fatal(err)
	}
	friends, err := friend.withPeerID(addrs(t, "/ip4/127.0.0.1/tcp/4002"))
	if err != nil {
		t.Fatal(err)
	}
	net.Bootstrap = slices.Concat(own, friends)
	if err := main.SetNetwork(net, texts(ports)); err != nil {
		t.Fatal(err)
	}
	relay := func(p *Profile) []byte {
		d := &record.Descriptor{
			Node: [32]byte(p.nodePublic()), Sequence: 1, Expires: time.Now().Add(time.Hour), FirstEpoch: record.Epoch(time.Now()),
			Flags: record.FlagRelay, Addrs: ports,
		}
		for i := range d.Keys {
			d.Keys[i] = [32]byte(p.identity.agreement.PublicKey().Bytes())
		}
		raw, err := d.Sign(net.ID(), p.nodeKey)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if _, err := main.AddIdentity("work", time.Now()); err != nil {
		t.Fatal(err)
	}
	work, err := main.Use("work", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	err = work.vault.Update(func(tx *vault.Tx) error {
		raw, err := net.Append(nil)
		return errors.Join(err, tx.Put(bucketProfile, keyNetwork, raw), // as it was once
			tx.Put(bucketRelays, "0", relay(main)), tx.Put(bucketRelays, "1", relay(friend)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := work.DeleteIdentity("main"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, configName))
	if err != nil || strings.Contains(string(raw), "4001") || !strings.Contains(string(raw), "/ip4/127.0.0.1/tcp/0") {
		t.Errorf("the settings are %q, %v", raw, err)
	}
	if err := work.Close(); err != nil {
		t.Fatal(err)
	}
	work = openProfile(t, dir)
	if got := work.Network().Bootstrap; len(got) != 1 || !got[0].Equal(friends[0]) || work.Network().ID() != net.ID() {
		t.Errorf("the network is joined by way of %v", got)
	}
	var known []string
	err = work.vault.View(func(tx *vault.Tx) error {
		return tx.ForEach(bucketRelays, func(key string, _ []byte) error { known = append(known, key); return nil })
	})
	if err != nil || !slices.Equal(known, []string{"1"}) {
		t.Errorf("the relays %q are known, %v", known, err)
	}
}

// The first identity's port is nobody else's after it, also not of one that gets its name.
func TestPortOfADeletedIdentity(t *testing.T) {
	p := netProfile(t, t.TempDir())
	port, err := FixPorts(addrs(t, "/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	r := startRunner(t, p, nil, port[0].String())
	first := r.ready()
	if _, err := r.NewIdentity("work", false); err != nil {
		t.Fatal(err)
	}
	if err := r.UseIdentity("work", true); err != nil {
		t.Fatal(err)
	}
	second := r.ready()
	if err := r.DeleteIdentity("main"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.NewIdentity("main", false); err != nil {
		t.Fatal(err)
	}
	if err := r.UseIdentity("main", true); err != nil {
		t.Fatal(err)
	}
	third := r.ready()
	if !slices.Equal(first.Listen, texts(port)) || slices.Equal(second.Listen, first.Listen) || slices.Equal(third.Listen, first.Listen) || third.Hashid == first.Hashid {
		t.Errorf("one after the other listens on %v, %v, %v", first.Listen, second.Listen, third.Listen)
	}
}
