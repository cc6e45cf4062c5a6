package discovery

import (
	"context"
	"errors"
	"time"

	"chatnt/discovery/record"
)

// ErrNoKeyRecord says that a person's key record is not to be had now.
var ErrNoKeyRecord = errors.New("no key record of this person is to be found now")

// Getter finds the newest record that is kept under some keys (overlay.Records).
type Getter interface {
	Get(ctx context.Context, keys ...string) ([]byte, error)
}

// Person looks a person's key record up in a network at now, with the link key if
// the person is unlisted, and returns the newest that is good then, read and as it is
// kept. It is ErrNoKeyRecord if there is none, record.ErrWithdrawn if the person has
// taken it back, and a *ShortageError if there are too few relays to ask anybody.
//
// Nothing is remembered, and every call asks: whoever keeps records has to keep the
// highest sequence, too. An unlisted person is never asked for by the hashid, which
// would tell it to those who are asked.
func Person(ctx context.Context, table Getter, network [32]byte, now time.Time, who record.Locator) (*record.KeyRecord, []byte, error) {
	pairs, err := who.Places(network, now)
	if err != nil {
		return nil, nil, err
	}
	for _, keys := range pairs {
		raw, err := table.Get(ctx, keys[:]...)
		if short := new(ShortageError); errors.As(err, &short) {
			return nil, nil, short
		}
		if err != nil {
			continue
		}
		// The table has judged it, but cannot look inside.
		rec, err := who.Parse(network, raw)
		if expires, ok := record.Expiry(keys[0], raw); errors.Is(err, record.ErrWithdrawn) && ok && now.Before(expires) {
			return nil, nil, err
		}
		if err == nil && rec.CheckTime(now) == nil {
			return rec, raw, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return nil, nil, ErrNoKeyRecord
}
