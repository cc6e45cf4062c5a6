package link

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"chatnt/discovery/hashid"
)

// transport opens streams to nodes and accepts theirs.
type transport interface {
	// open opens a stream to a node, connecting first where needed. It is called
	// by the neighbour's own goroutine and returns soon after ctx ends. The
	// limits bound its steps.
	open(ctx context.Context, to hashid.NodeID, lim *limits) (stream, error)

	// listen hands every stream that others open to accept, on a goroutine of
	// its own, until stop is called; accept may be called once more after that.
	// It calls moved when a node may no longer be behind the streams opened to it.
	listen(accept func(from hashid.NodeID, s stream), moved func(hashid.NodeID)) (stop func())
}

// stream is the part of network.Stream that a link needs. Setting a deadline
// never blocks, also while a Read or Write is under way, which it interrupts.
type stream interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Close() error // what was written still arrives
	Reset() error // what was written may be lost
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
