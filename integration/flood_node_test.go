//go:build linux

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/control"
)

// nodeConfig is what a child that is a node is told. It may be nothing.
type nodeConfig struct {
	Invite string // to the network to join; none: one of its own, of which it is the first node
	Log    bool   // all there is to log, for "log"
}

func (c nodeConfig) network() (*network.Network, error) {
	if c.Invite == "" {
		return network.New("flood", 3, false)
	}
	invite, err := network.ParseInvite(c.Invite)
	if err != nil {
		return nil, err
	}
	return invite.Network, nil
}

// logged is a log in memory.
type logged struct {
	mu   sync.Mutex // guards text
	text []byte
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// childNode is a whole node on a private network. It answers "invite", "status" and
// "log".
func childNode(ctx context.Context, raw []byte) (answer func(string, []byte) (any, error), wait func() error, err error) {
	var config nodeConfig
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, nil, err
	}
	net, err := config.network()
	if err != nil {
		return nil, nil, err
	}
	profile, err := node.Ephemeral(net, nil)
	if err != nil {
		return nil, nil, err
	}
	log, to := new(logged), slog.DiscardHandler
	if config.Log {
		to = slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 10})
	}
	n, err := node.New(node.Config{Profile: profile, Listen: []string{loopback}, Log: slog.New(to)})
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
		case "log":
			return log.String(), nil
		}
		return nil, fmt.Errorf("%q is no question for a node", what)
	}
	return answer, wait, nil
}
