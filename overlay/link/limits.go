package link

import "time"

// limits are the tuning constants of a link; tests lower them.
type limits struct {
	queue      int // packets waiting for one neighbour
	queued     int // packets waiting for all neighbours together
	neighbours int // with a queue and a goroutine each
	connecting int // of these, not yet connected: an attacker names them, we dial
	inbound    int // streams read, one per neighbour

	resolve time.Duration // to find a neighbour's addresses
	open    time.Duration // to connect and to open a stream
	write   time.Duration // for a frame to be taken by the stream
	frame   time.Duration // for the rest of a frame once it has begun
	drain   time.Duration // for what is left in a stream when a newer one replaces it
	rest    time.Duration // after a failure, while Send fails fast
	idle    time.Duration // without a packet before a stream to a neighbour is closed
	silent  time.Duration // without a frame before a neighbour's stream is closed
}

func defaultLimits() limits {
	return limits{
		queue:      64,
		queued:     8192, // 32 MiB
		neighbours: 1024,
		connecting: 128,
		inbound:    1024,

		resolve: 5 * time.Second,
		open:    5 * time.Second,
		write:   10 * time.Second,
		frame:   10 * time.Second,
		drain:   250 * time.Millisecond,
		rest:    500 * time.Millisecond,
		idle:    2 * time.Minute,
		silent:  5 * time.Minute, // more than idle, so that the sender is first to close
	}
}
