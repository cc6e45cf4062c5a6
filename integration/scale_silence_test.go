//go:build linux

package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is promised of a node that says nothing, in a network of twenty.
const (
	silentNodes     = 20
	promisedSilence = 3.0 // MB an hour
	promisedJoining = 7.0 // MB, until a minute after everyone is up
)

// silenceFor has this test program watch a network that says nothing for so long.
const silenceFor = "CHATNT_SILENCE"

// silence is what went over the wire, headers and all, for each node of a
// network: what it sent and what it received, in MB.
type silence struct {
	Joining float64 // until the watch began
	Hourly  float64 // during the watch, for an hour at that rate
	Watched time.Duration
}

func (s silence) String() string {
	return fmt.Sprintf("a silent node of %d: %.2f MB to join, then %.2f MB an hour over %v (sent and received, with all headers)\n",
		silentNodes, s.Joining, s.Hourly, s.Watched)
}

// TestSilence watches twenty nodes whose people say nothing. They have a machine
// to themselves as far as the network goes (a namespace with nothing but a
// loopback interface, its frames as long as Ethernet's), so that what the
// interface counts is theirs. At everyday counts the watch is too short for a
// rate, and joining alone is held to a bound.
func TestSilence(t *testing.T) {
	if length := os.Getenv(silenceFor); length != "" {
		watch, err := time.ParseDuration(length)
		if err != nil {
			t.Fatal(err)
		}
		report(listenToSilence(t, watch))
		return
	}
	goHome(t)
	s := silenceOf(t, time.Duration(count(5, 600))*time.Second)
	t.Log(s)
	if underRace { // what is slow is asked again
		return
	}
	if s.Joining <= 0 || s.Joining > promisedJoining {
		t.Errorf("joining takes %.2f MB a node, the bound is %.1f", s.Joining, promisedJoining)
	}
	if s.Watched >= 10*time.Minute && s.Hourly > promisedSilence {
		t.Errorf("a silent node takes %.2f MB an hour, promised are %.1f", s.Hourly, promisedSilence)
	}
}

// BenchmarkSilence prints what a silent node takes; CHATNT_SILENCE_WATCH says how
// long it is watched.
func BenchmarkSilence(b *testing.B) {
	watch, err := time.ParseDuration(os.Getenv("CHATNT_SILENCE_WATCH"))
	if err != nil {
		watch = 10 * time.Minute
	}
	for b.Loop() {
		s := silenceOf(b, watch)
		fmt.Print("\n", s)
		b.ReportMetric(s.Hourly, "MB/h")
	}
	b.ReportMetric(0, "ns/op")
}

// silenceOf watches a silent network in a process, and a network namespace, of
// its own.
func silenceOf(t testing.TB, watch time.Duration) (s silence) {
	t.Helper()
	apart := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	alone(t, "^TestSilence$", apart, []string{silenceFor + "=" + watch.String()}, &s)
	return s
}

func listenToSilence(t *testing.T, watch time.Duration) silence {
	t.Helper()
	raiseLoopback(t)
	people := newPeople(t, newNetwork(t, false), silentNodes)
	arriveAll(t, people)
	<-time.After(time.Duration(count(5, 60)) * time.Second) // joining ends with a few more walks and puts
	joined := onTheWire(t)
	<-time.After(watch)
	watched := onTheWire(t) - joined
	const each = 2.0 / silentNodes / 1e6 // what one sends another receives
	return silence{
		Joining: float64(joined) * each, Watched: watch,
		Hourly: float64(watched) * each * float64(time.Hour) / float64(watch),
	}
}

// raiseLoopback brings the loopback interface of a new namespace up, with the
// frames of Ethernet: its own are so long that headers would hardly count.
func raiseLoopback(t *testing.T) {
	t.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(socket) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint32(1500)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFMTU, lo); err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}

// onTheWire is how many bytes the loopback interface has sent so far.
func onTheWire(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if counts, ok := strings.CutPrefix(strings.TrimSpace(line), "lo:"); ok {
			if fields := strings.Fields(counts); len(fields) > 8 {
				n, err := strconv.Atoi(fields[8])
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	t.Fatal("the loopback interface is not counted")
	return 0
}
