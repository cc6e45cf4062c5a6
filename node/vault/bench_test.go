package vault

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkOpen shows what the check of a full vault adds to the passphrase's cost.
func BenchmarkOpen(b *testing.B) {
	for _, entries := range []int{10, 10_000} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "vault.db")
			v, err := Create(path, passphrase())
			if err != nil {
				b.Fatal(err)
			}
			err = v.Update(func(tx *Tx) error {
				for i := range entries {
					if err := tx.Put("b", fmt.Sprint(i), make([]byte, 1000)); err != nil {
						return err
					}
				}
				return nil
			})
			if err := errors.Join(err, v.Close()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				v, err := Open(path, passphrase())
				if err != nil {
					b.Fatal(err)
				}
				v.Close()
			}
		})
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
