package discovery

import (
	"context"
	"errors"

	"chatnt/discovery/record"
)

// ErrNoKeyRecord says that a person's key record is not to be had now.
var ErrNoKeyRecord = errors.New("no key record of this person is to be found now")

// Person looks a person's key record up, with the link key if the person is
// unlisted, and returns the newest that is good now, read and as it is kept. It is
// ErrNoKeyRecord if there is none, and record.ErrWithdrawn if the person has taken it
// back.
//
// Nothing is remembered, and every call asks the table: whoever keeps records has to
// keep the highest sequence, too. An unlisted person is never asked for by the hashid,
// which would tell it to those who are asked.
func (f *Finder) Person(ctx context.Context, who record.Locator) (*record.KeyRecord, []byte, error) {
	network, now := f.dir.network, f.dir.now()
	pairs, err := who.Places(network, now)
	if err != nil {
		return nil, nil, err
	}
	for _, keys := range pairs {
		raw, err := f.table.Get(ctx, keys[:]...)
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
