//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/control"
)

// childNode is a whole node, the first of a private network. It answers "invite"
// and "status".
func childNode(ctx context.Context, _ []byte) (answer func(string, []byte) (any, error), wait func() error, err error) {
	net, err := network.New("flood", 3, false)
	if err != nil {
		return nil, nil, err
	}
	profile, err := node.Ephemeral(net, nil)
	if err != nil {
		return nil, nil, err
	}
	n, err := node.New(node.Config{Profile: profile, Listen: []string{loopback}})
	if err != nil {
		return nil, nil, errors.Join(err, profile.Close())
	}
	var running sync.WaitGroup
	ended := make(chan error, 1)
	running.Go(func() { ended <- n.Run(ctx) })
	for {
		e, err := n.Next(ctx)
		if err != nil {
			return nil, nil, err
		}
		if _, ready := e.(control.Ready); ready {
			break
		}
	}
	running.Go(func() { // who listens to a node reads all it says
		for {
			if _, err := n.Next(ctx); err != nil {
				return
			}
		}
	})
	wait = func() error {
		running.Wait()
		return errors.Join(<-ended, profile.Close())
	}
	answer = func(what string, _ []byte) (any, error) {
		switch what {
		case "invite":
			return n.Invite()
		case "status":
			return n.Status(), nil
		}
		return nil, fmt.Errorf("%q is no question for a node", what)
	}
	return answer, wait, nil
}
