package record

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestEpoch(t *testing.T) {
	for _, test := range []struct {
		t    time.Time
		want uint32
	}{
		{time.Unix(0, 0), 0},
		{time.Unix(3599, 999_999_999), 0},
		{time.Unix(3600, 0), 1},
		{testNow(), 500_000},
		{time.Unix(-1, 0), 0},
		{time.Time{}, 0},
		{time.Unix(math.MaxUint32*3600, 0), math.MaxUint32},
		{time.Unix(math.MaxUint32*3600+3600, 0), math.MaxUint32},
	} {
		if got := Epoch(test.t); got != test.want {
			t.Errorf("Epoch(%v) = %d, want %d", test.t, got, test.want)
		}
	}
}

func TestNextSequence(t *testing.T) {
	now := uint64(testNow().Unix())
	const day = 24 * 60 * 60
	for _, test := range []struct{ last, want uint64 }{
		{0, now},
		{now - 2, now},
		{now - 1, now},
		{now, now + 1},
		{now + 5, now + 6},
		{now + day - 1, now + day},
		{now + day, now}, // no reader accepts what would come next
		{now + 365*day, now},
		{math.MaxUint64, now},
	} {
		got := NextSequence(test.last, testNow())
		if got != test.want {
			t.Errorf("NextSequence(now%+d) = now%+d, want now%+d", int64(test.last-now), int64(got-now), int64(test.want-now))
		}
		if err := checkTime(testNow(), time.Hour, testNow().Add(time.Hour), got); err != nil {
			t.Errorf("NextSequence(now%+d) gives one that readers refuse: %v", int64(test.last-now), err)
		}
	}
	if got := NextSequence(7, time.Unix(-5, 0)); got != 8 {
		t.Errorf("NextSequence(7) before 1970 = %d, want 8", got)
	}
}

func TestCheckTime(t *testing.T) {
	eachLifetime := map[string]struct {
		lifetime time.Duration
		check    func(now time.Time, expires time.Time, sequence uint64) error
	}{
		"key record": {KeyRecordLifetime, func(now, expires time.Time, sequence uint64) error {
			r, _ := testKeyRecord(t)
			r.Expires, r.Sequence = expires, sequence
			return r.CheckTime(now)
		}},
		"descriptor": {DescriptorLifetime, func(now, expires time.Time, sequence uint64) error {
			d, _ := testDescriptor(t)
			d.Expires, d.Sequence = expires, sequence
			return d.CheckTime(now)
		}},
	}
	for name, kind := range eachLifetime {
		now := testNow()
		seq := uint64(now.Unix())
		for _, test := range []struct {
			what     string
			expires  time.Time
			sequence uint64
			want     error
		}{
			{"just made", now.Add(kind.lifetime), seq, nil},
			{"last second", now.Add(time.Second), seq, nil},
			{"just expired", now, seq, ErrExpired},
			{"expired", now.Add(-time.Hour), seq, ErrExpired},
			{"never expiring", time.Unix(0, 0), seq, ErrExpired},
			{"from a clock ten minutes ahead", now.Add(kind.lifetime + 10*time.Minute), seq + 600, nil},
			{"from a clock further ahead", now.Add(kind.lifetime + ClockSkew + time.Second), seq, ErrFuture},
			{"ages ahead", fromUnix(maxUnix), seq, ErrFuture},
			{"old sequence", now.Add(time.Hour), 0, nil},
			{"sequence a day ahead", now.Add(time.Hour), seq + 24*60*60, nil},
			{"sequence further ahead", now.Add(time.Hour), seq + 24*60*60 + 1, ErrFuture},
			{"last sequence", now.Add(time.Hour), math.MaxUint64, ErrFuture},
		} {
			if err := kind.check(now, test.expires, test.sequence); !errors.Is(err, test.want) || IsForged(err) {
				t.Errorf("%s, %s: %v, want %v", name, test.what, err, test.want)
			}
		}
	}
}

func TestDescriptorOfLaterEpochs(t *testing.T) {
	d, _ := testDescriptor(t) // its first epoch begins at testNow
	for ahead, want := range map[time.Duration]error{
		0:                       nil,
		ClockSkew:               nil,
		ClockSkew + time.Second: ErrFuture,
	} {
		if err := d.CheckTime(testNow().Add(-ahead)); !errors.Is(err, want) {
			t.Errorf("%v before its first epoch: %v, want %v", ahead, err, want)
		}
	}
}

func TestKeyAt(t *testing.T) {
	d, _ := testDescriptor(t) // its first epoch begins at testNow
	for ahead, want := range map[time.Duration]int{
		0:                         0,
		ClockSkew:                 0,  // the reader's clock is behind the node's
		ClockSkew + time.Second:   -1, // not valid yet
		-EpochLength + 1:          0,
		-EpochLength:              1,
		-Epochs*EpochLength + 1:   Epochs - 1,
		-Epochs * EpochLength:     -1,
		-Epochs*EpochLength - 1e9: -1,
	} {
		key, ok := d.KeyAt(testNow().Add(-ahead))
		if ok != (want >= 0) || (ok && key != d.Keys[want]) {
			t.Errorf("%v before its first epoch: %x, %v; want key %d", ahead, key, ok, want)
		}
	}
}
