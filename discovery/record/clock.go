package record

import (
	"math"
	"time"
)

// Epoch returns the key epoch that t is in: unix hours.
func Epoch(t time.Time) uint32 {
	return uint32(min(unix(t)/uint64(EpochLength/time.Second), math.MaxUint32))
}

// NextSequence returns the sequence of a record made now: the unix time, or
// last+1 where last, the highest sequence used before, has caught up with it.
//
// A last further ahead than readers accept is forgotten: it dates from a time
// when this machine's clock was wrong and no reader holds it, while counting on
// from it would keep the owner unfindable until the date came true.
func NextSequence(last uint64, now time.Time) uint64 {
	clock := unix(now)
	if last > clock+seconds(maxSequenceLead)-1 {
		return clock
	}
	return max(last+1, clock)
}

// checkTime tells whether a record is good now. Expiry has no allowance for
// clocks: records are renewed long before it.
func checkTime(now time.Time, lifetime time.Duration, expires time.Time, sequence uint64) error {
	if !now.Before(expires) {
		return ErrExpired
	}
	if expires.After(now.Add(lifetime + ClockSkew)) {
		return ErrFuture
	}
	if sequence > unix(now)+seconds(maxSequenceLead) {
		return ErrFuture
	}
	return nil
}

// unix returns t in unix seconds. A clock that is set to before 1970 counts as
// 1970.
func unix(t time.Time) uint64 { return uint64(max(t.Unix(), 0)) }

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }
