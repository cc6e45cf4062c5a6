package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// FuzzHeader reads any bytes as a header, as they are and with the right hash.
func FuzzHeader(f *testing.F) {
	good := appendHeader(nil, passphrase(), make([]byte, masterSize))
	f.Add(good)
	f.Add(good[:len(good)-32])
	f.Add(append(bytes.Clone(good[:len(good)-32]), 0))
	f.Add([]byte{})
	f.Add([]byte{version})
	f.Add([]byte{9, 9})
	f.Fuzz(func(t *testing.T, h []byte) {
		for _, h := range [][]byte{h, withSum(bytes.Clone(h))} {
			err := checkHeader(h)
			if err == nil && (len(h) != headerSize || h[0] < oldest || h[0] > version) {
				t.Errorf("accepted %d bytes of version %d", len(h), h[0])
			}
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
				t.Errorf("error of no known sort: %v", err)
			}
		}
	})
}

// FuzzValue reads any bytes as a sealed value, and any as the body of one that is
// sealed with the right key: what opens is what sealValue would have sealed.
func FuzzValue(f *testing.F) {
	k := testKeys()
	at := k.of("b", "k")
	body := func(key, value string) []byte {
		b := append([]byte{byte(len(key))}, binary.BigEndian.AppendUint32(nil, uint32(len(value)))...)
		b = append(append(b, key...), value...)
		return append(b, make([]byte, padded(len(b))-len(b))...)
	}
	good := body("k", "value")
	f.Add(k.sealValue(at, "k", []byte("value")), good)
	f.Add([]byte{}, append(bytes.Clone(good), make([]byte, 8)...))                           // padded too far
	f.Add(make([]byte, 104), append([]byte{1, 0xff, 0xff, 0xff, 0xff}, make([]byte, 59)...)) // a negative length, to 32 bits
	f.Add(make([]byte, 103), append([]byte{255, 0, 0, 0, 0}, make([]byte, 59)...))
	f.Add(make([]byte, 200), body("k", string(bytes.Repeat([]byte("v"), 300))))
	f.Add([]byte{1}, good[:63])
	f.Add([]byte{1}, append(bytes.Clone(good[:63]), 1))
	f.Fuzz(func(t *testing.T, sealed, body []byte) {
		if key, value, err := k.openValue(at, sealed); err == nil && (key != "k" || string(value) != "value") {
			t.Fatalf("%x opens as %q, %q", sealed, key, value)
		}
		nonce := make([]byte, 24)
		key, value, err := k.openValue(at, newAEAD(k.seal[:]).Seal(nonce, nonce, body, k.aad(at)))
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("error of no known sort: %v", err)
			}
			return
		}
		again := append([]byte{byte(len(key))}, binary.BigEndian.AppendUint32(nil, uint32(len(value)))...)
		again = append(append(again, key...), value...)
		if rest := body[len(again):]; !bytes.HasPrefix(body, again) || len(body) != padded(len(again)) || !bytes.Equal(rest, make([]byte, len(rest))) {
			t.Errorf("%x opens as %q = %q", body, key, value)
		}
	})
}

// FuzzPages spoils a sound file in two places, and repairs the sums of its meta
// pages. bbolt must find its way through whatever passes the check.
func FuzzPages(f *testing.F) {
	path := filepath.Join(f.TempDir(), "vault.db")
	k := testKeys()
	if err := write(filepath.Dir(path), path, withSum([]byte{version}), k); err != nil {
		f.Fatal(err)
	}
	v := reopen(f, path, k)
	err := v.Update(func(tx *Tx) error {
		for i := range byte(40) { // enough for a branch
			if err := tx.Put("bucket", string([]byte{'k', i}), bytes.Repeat([]byte{i}, 200)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, v.Close()); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	for page := range uint16(len(raw) / pageSize) {
		f.Add(page, uint16(8), []byte{branchFlag}, page, uint16(12), []byte{1})
		f.Add(page, uint16(10), []byte{0xff, 0xff}, page, uint16(pageHeader), []byte{0xff, 0xff, 0xff, 0xff})
		f.Add(page, uint16(pageHeader+8), []byte{3}, page, uint16(pageHeader+24), []byte{3})
		f.Add(page, uint16(pageHeader+16), []byte{byte(page)}, page^1, uint16(0), raw[:64])
	}
	newest, _, err := metas(bytes.NewReader(raw))
	if err != nil {
		f.Fatal(err)
	}
	// The state before, of which nothing but its list of free pages is read.
	other, number := uint16(1-newest.transaction%2), binary.NativeEndian.AppendUint64
	for _, list := range []uint64{newest.freelist, newest.root, 2, 1 << 40} {
		f.Add(other, uint16(pageHeader+16), number(nil, newest.root), other, uint16(pageHeader+32), number(nil, list))
		f.Add(other, uint16(pageHeader+16), number(nil, newest.root+1), other, uint16(pageHeader+32), number(nil, list))
	}
	f.Fuzz(func(t *testing.T, page1, at1 uint16, with1 []byte, page2, at2 uint16, with2 []byte) {
		bad := bytes.Clone(raw)
		spoil := func(page, at uint16, with []byte) {
			start := int(page) * pageSize % len(bad)
			copy(bad[start+int(at)%pageSize:], with)
		}
		spoil(page1, at1, with1)
		spoil(page2, at2, with2)
		for id := range 2 {
			meta := bad[id*pageSize+pageHeader:]
			sum := fnv.New64a()
			sum.Write(meta[:metaSize-8])
			binary.NativeEndian.PutUint64(meta[metaSize-8:], sum.Sum64())
		}
		if _, err := checkPages(bytes.NewReader(bad), int64(len(bad))); err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if bytes.Equal(bad, raw) {
			return
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		db, _, err := openBolt(path, true)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			return
		}
		before := entries(t, &disk{db: db})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if len(before) > len(raw)/pageSize*(pageSize/elementSize) {
			t.Errorf("%d entries", len(before))
		}
		// What is wiped is none of them, whatever the lists of free pages say.
		d, err := openDisk(path)
		if err != nil {
			t.Fatal(err)
		}
		d.db.NoSync = true
		scrubbed := d.scrub()
		after := entries(t, d)
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
		if scrubbed == nil {
			bad, err = os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, scrubbed = checkPages(bytes.NewReader(bad), int64(len(bad)))
		}
		if scrubbed != nil || !maps.Equal(before, after) {
			t.Errorf("%d of %d entries after scrubbing, %v", len(after), len(before), scrubbed)
		}
	})
}

// entries returns what is sealed in a file, by name.
func entries(t *testing.T, d *disk) map[name]string {
	t.Helper()
	all := make(map[name]string)
	err := d.view(func(p pages) error {
		return p.scan(nil, func(at name, sealed []byte) error {
			all[at] = string(sealed)
			if got := p.get(at); !bytes.Equal(got, sealed) {
				t.Errorf("%x is found by going through, and not by name", at)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
