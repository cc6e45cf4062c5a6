package vault

import "encoding/binary"

// A census tells how many values there are and which: the sum, by exclusive or,
// of their names. It lies sealed in the bucket "", which no caller can name, so
// that a page that lost its last elements does not pass for a smaller vault.
//
//	0       8     number of values, big-endian
//	8       32    exclusive or of their names
type census struct {
	count uint64
	sum   name
}

const (
	censusKey  = "census"
	censusSize = 8 + nameSize
)

func (c *census) add(n name) {
	c.count++
	c.toggle(n)
}

func (c *census) toggle(n name) {
	for i := range c.sum {
		c.sum[i] ^= n[i]
	}
}

func (c *census) append(b []byte) []byte {
	return append(binary.BigEndian.AppendUint64(b, c.count), c.sum[:]...)
}

func parseCensus(b []byte) (c census, err error) {
	if len(b) != censusSize {
		return c, damaged("its census has a wrong length")
	}
	c.count = binary.BigEndian.Uint64(b)
	copy(c.sum[:], b[8:])
	return c, nil
}

// sealCensus returns where c lies and what lies there.
func (k *keys) sealCensus(c census) (name, []byte) {
	at := k.of("", censusKey)
	return at, k.sealValue(at, censusKey, c.append(nil))
}

// readCensus returns the census in p.
func (k *keys) readCensus(p pages) (census, error) {
	at := k.of("", censusKey)
	_, value, err := k.openValue(at, p.get(at))
	if err != nil {
		return census{}, err
	}
	return parseCensus(value)
}

// checkSeals opens every value in p and compares the whole with the census.
func (k *keys) checkSeals(p pages) error {
	want, err := k.readCensus(p)
	if err != nil {
		return err
	}
	var got census
	own := k.of("", censusKey)
	err = p.scan(nil, func(at name, sealed []byte) error {
		_, value, err := k.openValue(at, sealed)
		clear(value)
		if at != own {
			got.add(at)
		}
		return err
	})
	if err == nil && got != want {
		return damaged("values are missing")
	}
	return err
}
