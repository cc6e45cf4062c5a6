package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// What a contact with a conversation stores, about.
const (
	contactSize   = 250
	sessionSize   = 3500
	numberingSize = 300
	seenSize      = 1000
	messageSize   = 2000 // one waiting in the outbox
)

// people makes a file with a master key of test keys and so many contacts, added
// in so many transactions.
func people(b *testing.B, contacts, transactions int) (path string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "vault.db")
	if err := write(filepath.Dir(path), path, golden(b, "header-v2"), testKeys()); err != nil {
		b.Fatal(err)
	}
	v := reopen(b, path, testKeys())
	v.store.(*disk).db.NoSync = true
	for t := range transactions {
		err := v.Update(func(tx *Tx) error {
			for i := t; i < contacts; i += transactions {
				key := fmt.Sprintf("%056d", i)
				err := errors.Join(tx.Put("contacts", key, noise(contactSize)), tx.Put("sessions", key, noise(sessionSize)),
					tx.Put("numberings", key, noise(numberingSize)), tx.Put("seen", key, noise(seenSize)))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := v.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkQueue is a message that goes into the outbox, and the numbering of its
// conversation with it, beside a bbolt transaction that puts as many bytes under as
// many keys into a twin of the file.
func BenchmarkQueue(b *testing.B) {
	for _, contacts := range []int{10, 1000} {
		b.Run(fmt.Sprint(contacts), func(b *testing.B) {
			path := people(b, contacts, 10)
			raw, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			twin := filepath.Join(b.TempDir(), "twin.db")
			if err := os.WriteFile(twin, raw, 0o600); err != nil {
				b.Fatal(err)
			}
			v := reopen(b, path, testKeys())
			defer v.Close()
			db, err := bolt.Open(twin, 0o600, options(false))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			k := testKeys()
			numbering := k.of("numberings", fmt.Sprintf("%056d", 0))

			var ours, floor []time.Duration
			for b.Loop() {
				i := len(ours)
				key := fmt.Sprintf("%056d %016x", 0, i)
				message, state := noise(messageSize), noise(numberingSize)
				start := time.Now()
				err := v.Update(func(tx *Tx) error {
					return errors.Join(tx.Put("outbox", key, message), tx.Put("numberings", fmt.Sprintf("%056d", 0), state))
				})
				ours = append(ours, time.Since(start))
				if err != nil {
					b.Fatal(err)
				}

				at := k.of("outbox", key)
				one, two := k.sealValue(at, key, message), k.sealValue(numbering, fmt.Sprintf("%056d", 0), state)
				start = time.Now()
				err = db.Update(func(tx *bolt.Tx) error {
					bucket := tx.Bucket(rootBucket())
					return errors.Join(bucket.Put(at[:], one), bucket.Put(numbering[:], two))
				})
				floor = append(floor, time.Since(start))
				if err != nil {
					b.Fatal(err)
				}
			}
			o, f := median(ours), median(floor)
			b.ReportMetric(0, "ns/op") // the mean of the parts together says nothing
			b.ReportMetric(us(o), "us/ours")
			b.ReportMetric(us(f), "us/floor")
			b.ReportMetric(us(o)/us(f), "x-floor")
		})
	}
}

// BenchmarkScrub is what is to be paid once after a while of updates, beside one
// of them, and when there is nothing to scrub.
func BenchmarkScrub(b *testing.B) {
	path := people(b, 1000, 10)
	v := reopen(b, path, testKeys())
	defer v.Close()
	var scrubs, updates, idle []time.Duration
	timed := func(fn func() error) time.Duration {
		start := time.Now()
		if err := fn(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	for b.Loop() {
		updates = append(updates, timed(func() error {
			return v.Update(func(tx *Tx) error {
				return tx.Put("sessions", fmt.Sprintf("%056d", len(updates)%1000), noise(sessionSize))
			})
		}))
		scrubs = append(scrubs, timed(v.Scrub))
		idle = append(idle, timed(v.Scrub))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us(median(scrubs)), "us/scrub")
	b.ReportMetric(us(median(updates)), "us/update")
	b.ReportMetric(us(median(idle)), "us/idle")
}

// BenchmarkOpen opens a vault of 10,000 contacts and reads all of it, without
// stretching the passphrase. The floor is reading the file.
func BenchmarkOpen(b *testing.B) {
	const contacts = 10_000
	path := people(b, contacts, 100)
	buckets := []string{"contacts", "sessions", "numberings", "seen"}
	var checked, read, floor []time.Duration
	for b.Loop() {
		start := time.Now()
		f, err := inspect(path, func([]byte) (*keys, error) { return testKeys(), nil })
		if err != nil {
			b.Fatal(err)
		}
		d, k, err := f.open(path, opensWith(b, testMaster()), nil)
		if err != nil {
			b.Fatal(err)
		}
		checked = append(checked, time.Since(start))

		v := &Vault{path: path, store: d, keys: k}
		start = time.Now()
		n := 0
		err = v.View(func(tx *Tx) error {
			for _, bucket := range buckets {
				if err := tx.ForEach(bucket, func(string, []byte) error { n++; return nil }); err != nil {
					return err
				}
			}
			return nil
		})
		read = append(read, time.Since(start))
		if err != nil || n != contacts*len(buckets) {
			b.Fatal(n, err)
		}
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}

		start = time.Now()
		file, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{file}); err != nil {
			b.Fatal(err)
		}
		floor = append(floor, time.Since(start))
		file.Close()
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us(median(checked))/1000, "ms/checked")
	b.ReportMetric(us(median(read))/1000, "ms/read")
	b.ReportMetric(us(median(floor))/1000, "ms/file")
	b.ReportMetric(float64(info.Size())/contacts, "B/contact")
}

// BenchmarkPassphrase is the part of opening that is meant to take long.
func BenchmarkPassphrase(b *testing.B) {
	salt := noise(saltSize)
	for b.Loop() {
		clear(passphraseKey(passphrase(), salt))
	}
}

// BenchmarkUpdate is one durable transaction of one small value.
func BenchmarkUpdate(b *testing.B) {
	v, err := Create(filepath.Join(b.TempDir(), "vault.db"), passphrase())
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	for b.Loop() {
		if err := v.Update(func(tx *Tx) error { return tx.Put("b", "k", make([]byte, 300)) }); err != nil {
			b.Fatal(err)
		}
	}
}
