package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"chatnt/discovery/network"
	"chatnt/node"
	"chatnt/node/control"
)

// Nodes in network namespaces: each is a process with an interface of its own on a
// common bridge, and there is no way out. The test itself runs in one too, which
// it makes and enters by running anew, so that it needs no rights on the machine
// but to make namespaces. Real are processes, kernel, sockets and cables. Not real
// is the time of day of a node, which can be put forward.

const (
	insideVariable = "CHATNT_INSIDE_NAMESPACE" // set for the test that runs inside
	nodeVariable   = "CHATNT_NAMESPACE_NODE"   // set for a process that is a node
)

// inNamespace runs the calling test in a network namespace of its own, with mounts of
// its own. It reports whether this is the run inside; outside, where others run in
// parallel with it, nothing is left to do.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		return true
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	if os.Getuid() != 0 { // in a user namespace everybody may
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Fatalf("this test needs network namespaces, which this machine does not let it make: %v", err)
	case err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Fatalf("inside the namespace: %v\n%s", err, out)
	}
	t.Logf("inside the namespace:\n%s", out)
	return false
}

// space is a network of nodes on one bridge.
type space struct {
	t     *testing.T
	nodes []*spaceNode
}

// spaceNode is a process that is a node, with the cable to its interface.
type spaceNode struct {
	*process
	cable  string // the bridge's end
	hashid string
	id     string // node id
}

// newSpace runs n nodes, n0, n1, ..., that have met. The last one and n1 are contacts.
func newSpace(t *testing.T, n int) *space {
	t.Helper()
	ip(t, "link add hub type bridge")
	ip(t, "link set hub up")
	s := &space{t: t}
	net, err := network.New("space", 3, false)
	if err != nil {
		t.Fatal(err)
	}
	invite, err := (&network.Invite{Network: net}).Text()
	if err != nil {
		t.Fatal(err)
	}
	first := s.add(invite)
	invite = first.do("/invite")["invite"].(string)
	for len(s.nodes) < n {
		s.add(invite)
	}
	for _, node := range s.nodes {
		node.awaitUsable(n - 1)
	}
	asker, asked := s.nodes[1], s.nodes[n-1]
	asker.do("/add " + asked.hashid + " " + asked.name)
	asked.await(0, "request", has{"from": asker.hashid})
	asked.do("/accept " + asker.hashid + " " + asker.name)
	asker.await(0, "contact", has{"hashid": asked.hashid, "state": "accepted"})
	exchange(asker, asked, "at first")
	return s
}

// add runs one more node, which listens on all interfaces, and joins by an invite.
func (s *space) add(invite string) *spaceNode {
	s.t.Helper()
	i := len(s.nodes)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(environment(s.t), nodeVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	node := &spaceNode{process: startProcess(s.t, fmt.Sprintf("n%d", i), cmd), cable: fmt.Sprintf("cable%d", i)}
	ip(s.t, fmt.Sprintf("link add %s type veth peer name eth0 netns %d", node.cable, cmd.Process.Pid))
	ip(s.t, "link set "+node.cable+" master hub up")
	node.do("!ip link set lo up")
	node.do("!ip link set eth0 up")
	node.do("!ip addr add " + spaceAddr(i) + " dev eth0")
	node.write("!start " + invite)
	ready := node.await(0, "ready", nil)
	node.hashid, node.id = ready["hashid"].(string), ready["node"].(string)
	s.nodes = append(s.nodes, node)
	return node
}

func spaceAddr(i int) string { return fmt.Sprintf("10.77.0.%d/24", i+1) }

// awaitUsable waits until a node could use so many relays. It asks: no event tells
// of what was lost and is back within a moment.
func (n *spaceNode) awaitUsable(least int) {
	n.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		usable := n.do("/peers")["usable"].(float64)
		if int(usable) >= least {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s has %v usable relays, not %d", n.name, usable, least)
		}
	}
}

func (n *spaceNode) signal(what syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(what); err != nil {
		n.t.Fatal(err)
	}
}

// exchange has two contacts send each other a text and waits until both have come
// and are known to have.
func exchange(a, b *spaceNode, text string) {
	a.t.Helper()
	there, back := a.do("/msg " + b.name + " to you " + text)["id"], b.do("/msg " + a.name + " and back " + text)["id"]
	b.await(0, "message", has{"from": a.hashid, "text": "to you " + text})
	a.await(0, "message", has{"from": b.hashid, "text": "and back " + text})
	a.await(0, "status", has{"id": there, "state": "delivered"})
	b.await(0, "status", has{"id": back, "state": "delivered"})
}

// quit has all nodes end at once, since each takes a moment to say goodbye.
func (s *space) quit() {
	for _, n := range s.nodes {
		n.write("/quit")
	}
	for _, n := range s.nodes {
		<-n.closed
		if err := n.cmd.Wait(); err != nil {
			s.t.Errorf("%s ends with %v:\n%s", n.name, err, &n.errs)
		}
	}
}

// ip runs the tool of that name in this process's namespace.
func ip(t testing.TB, args string) {
	t.Helper()
	if err := runIP(args); err != nil {
		t.Fatal(err)
	}
}

func runIP(args string) error {
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

// wasSpaceNode is a node's whole life if this process is one, and reports whether
// it was.
func wasSpaceNode() bool {
	if os.Getenv(nodeVariable) == "" {
		return false
	}
	if err := beSpaceNode(os.Stdin, control.NewWriter(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// beSpaceNode carries out lines: those that begin with ! itself, all others as the
// program does.
//
//	!ip ARGS         run ip in the node's namespace
//	!clock SECONDS   put the node's clock forward
//	!start INVITE    run the node, in memory
func beSpaceNode(in io.Reader, out *control.Writer) error {
	var (
		clock            wallClock
		ended            chan error
		toNode, commands = io.Pipe()
	)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line := lines.Text()
		what, args, _ := strings.Cut(line, " ")
		var err error
		switch what {
		case "!ip":
			err = runIP(args)
		case "!clock":
			var seconds int
			seconds, err = strconv.Atoi(args)
			clock.set(time.Duration(seconds) * time.Second)
		case "!start":
			ended = make(chan error, 1)
			go func() { ended <- runSpaceNode(args, clock.now, toNode) }()
			continue
		default:
			if _, err := io.WriteString(commands, line+"\n"); err != nil {
				return <-ended // it has ended already
			}
			continue
		}
		if err != nil {
			err = out.Error(line, err)
		} else {
			err = out.Done(line, nil)
		}
		if err != nil {
			return err
		}
	}
	if ended == nil {
		return nil
	}
	return errors.Join(commands.Close(), <-ended)
}

func runSpaceNode(text string, now func() time.Time, commands io.Reader) error {
	invite, err := network.ParseInvite(text)
	if err != nil {
		return err
	}
	profile, err := node.Ephemeral(invite.Network, []string{"/ip4/0.0.0.0/tcp/4001"})
	if err != nil {
		return err
	}
	n, err := node.New(node.Config{Profile: profile, Now: now})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	err = control.Drive(ctx, n, commands, os.Stdout)
	cancel()
	err = errors.Join(err, <-ran, profile.Close())
	os.Exit(exitCode(err)) // the lines that this process waits for come no more
	return nil
}

func exitCode(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
