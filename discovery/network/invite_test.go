package network

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"chatnt/discovery/record"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/google/go-cmp/cmp"
)

func testInvites(t testing.TB) map[string]*Invite {
	t.Helper()
	return map[string]*Invite{
		"private.txt":  {Network: testPrivate(t), Person: testPerson()},
		"public.txt":   {Network: testPublic()},
		"person.txt":   {Person: testPerson()},
		"unlisted.txt": {Person: testPerson(), Link: testLink()},
		"all.txt":      {Network: testPrivate(t), Person: testPerson(), Link: testLink()},
	}
}

func testText(t testing.TB) string {
	t.Helper()
	text, err := (&Invite{Network: testPrivate(t), Person: testPerson()}).Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestGoldenInvites(t *testing.T) {
	for file, invite := range testInvites(t) {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimSuffix(string(data), "\n")
		got, err := invite.Text()
		if err != nil || got != want {
			t.Errorf("%s: Text = %v\n%s\nwant\n%s", file, err, got, want)
		}
		for _, text := range []string{want, strings.ToUpper(want), " \t" + want + "\r\n"} {
			parsed, err := ParseInvite(text)
			if err != nil {
				t.Errorf("%s: ParseInvite(%q): %v", file, text, err)
			} else if diff := cmp.Diff(invite, parsed); diff != "" {
				t.Errorf("%s: what was parsed differs from what was written:\n%s", file, diff)
			}
		}
	}
}

func TestTextNeedsSomethingToSay(t *testing.T) {
	for name, i := range map[string]*Invite{
		"nothing":                  {},
		"a link key alone":         {Link: testLink()},
		"a link key and a network": {Network: testPublic(), Link: testLink()},
		"what is no link key":      {Person: testPerson(), Link: record.LinkKey{1}},
	} {
		if text, err := i.Text(); err == nil {
			t.Errorf("Text of an invite with %s = %q", name, text)
		}
	}
}

func TestLocator(t *testing.T) {
	i := &Invite{Person: testPerson(), Link: testLink()}
	if got, want := i.Locator(), (record.Locator{Hashid: testPerson(), Link: testLink()}); got != want {
		t.Errorf("Locator = %v", got)
	}
}

func TestLargestInvite(t *testing.T) {
	n := testPrivate(t)
	n.Name = strings.Repeat("n", maxName)
	n.Bootstrap = nil
	for c := range strings.SplitSeq("abcdefgh", "") {
		n.Bootstrap = append(n.Bootstrap, testAddr(t, "/dns4/"+strings.Repeat(c, 54)+"/udp/1/quic-v1"+testPeer))
	}
	text, err := (&Invite{Network: n, Person: testPerson(), Link: testLink()}).Text()
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > maxText {
		t.Errorf("the largest invite has %d letters, more than ParseInvite reads", len(text))
	}
	if parsed, err := ParseInvite(text); err != nil || parsed.Network.ID() != n.ID() || len(parsed.Network.Bootstrap) != 8 {
		t.Errorf("the largest invite does not parse: %v", err)
	}
}

func TestParseInviteTellsWhatIsWrong(t *testing.T) {
	text := testText(t)
	_, digits, _, err := bech32.DecodeNoLimitWithVersion(strings.Replace(text, ":", "1", 1))
	if err != nil {
		t.Fatal(err)
	}
	old, err := bech32.Encode(scheme, digits)
	if err != nil {
		t.Fatal(err)
	}
	padded, err := bech32.EncodeM(scheme, append(digits, 0))
	if err != nil {
		t.Fatal(err)
	}
	other, err := bech32.EncodeM("other", digits)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"empty", "", ErrNotInvite},
		{"spaces", "   ", ErrNotInvite},
		{"a sentence", "please join us", ErrNotInvite},
		{"hashid", testPerson().String(), ErrNotInvite},
		{"another scheme", "other:" + other[6:], ErrNotInvite},
		{"bech32 separator", strings.Replace(text, ":", "1", 1), ErrChecksum},
		{"prefix alone", prefix, ErrChecksum},
		{"short", prefix + "qqqqqq", ErrChecksum},
		{"half in capitals", strings.ToUpper(text[:50]) + text[50:], ErrChecksum},
		{"prefix in capitals", strings.ToUpper(prefix) + text[len(prefix):], ErrChecksum},
		{"bech32 without m", prefix + old[len(prefix):], ErrChecksum},
		{"needless padding", prefix + padded[len(prefix):], ErrNotInvite},
		{"too long", text + strings.Repeat(" ", maxText), ErrNotInvite},
		{"far too long", prefix + strings.Repeat("q", 1<<20), ErrNotInvite},
		{"two invites", text + " " + text, ErrChecksum},
	} {
		if i, err := ParseInvite(test.text); i != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: ParseInvite = %v, %v; want %v", test.name, i, err, test.want)
		}
	}
}

// entry lays out one entry.
func entry(kind uint8, value string) string {
	return string([]byte{kind, byte(len(value) >> 8), byte(len(value))}) + value
}

// inviteOf writes any payload as an invite.
func inviteOf(t testing.TB, payload string) string {
	t.Helper()
	digits, err := bech32.ConvertBits([]byte(payload), 8, 5, true)
	if err != nil {
		t.Fatal(err)
	}
	text, err := bech32.EncodeM(scheme, digits)
	if err != nil {
		t.Fatal(err)
	}
	return prefix + text[len(prefix):]
}

func TestEntries(t *testing.T) {
	var (
		boot1   = entry(1, string(testAddr(t, "/ip4/20.0.0.1/tcp/4001"+testPeer).Bytes()))
		boot2   = entry(1, string(testAddr(t, "/ip4/20.0.0.2/tcp/4001"+testPeer).Bytes()))
		name    = entry(0x81, "home")
		rules   = entry(0x82, "\x02\x00")
		nonce   = entry(0x83, strings.Repeat("n", 16))
		psk     = entry(0x84, strings.Repeat("k", 32))
		expires = entry(0x85, "\x00\x00\x00\x00\x6b\x49\xd2\x00")
		person  = entry(0x86, strings.Repeat("p", 32))
		key     = testLink()
		link    = entry(0x87, string(key[:]))
	)
	for _, test := range []struct {
		what    string
		payload string
		want    error
	}{
		{"network", "\x01" + name + rules + nonce + psk, nil},
		{"all", "\x01" + boot1 + boot2 + name + rules + nonce + psk + expires + person, nil},
		{"person", "\x01" + person, nil},
		{"public network", "\x01" + name + entry(0x82, "\x03\x01") + nonce, nil},
		{"unknown entry", "\x01" + boot1 + entry(2, "later") + name + rules + nonce + psk, nil},
		{"unknown entry with a person", "\x01" + entry(0x7f, "") + person, nil},

		{"unlisted person", "\x01" + person + link, nil},
		{"network and unlisted person", "\x01" + name + rules + nonce + psk + person + link, nil},

		{"unknown critical entry", "\x01" + name + rules + nonce + psk + entry(0x88, "later"), ErrVersion},
		{"unknown critical entry after a link key", "\x01" + person + link + entry(0x88, ""), ErrVersion},
		{"unknown critical entry without value", "\x01" + person + entry(0xff, ""), ErrVersion},
		{"only an unknown critical entry", "\x01" + entry(0xff, ""), ErrVersion},
		{"version 0", "\x00" + person, ErrVersion},
		{"version 2", "\x02" + person, ErrVersion},
		{"version 2, of another shape", "\x02\xff", ErrVersion},

		{"nothing", "", ErrNotInvite},
		{"no entry", "\x01", ErrNotInvite},
		{"only an unknown entry", "\x01" + entry(2, "later"), ErrNotInvite},
		{"type 0", "\x01" + entry(0, "") + person, ErrNotInvite},
		{"half an entry", "\x01" + person[:len(person)-1], ErrNotInvite},
		{"half a length", "\x01" + person + "\x88\x00", ErrNotInvite},
		{"half an entry after a critical one", "\x01" + person + entry(0x88, "") + "\x89", ErrNotInvite},
		{"descending", "\x01" + rules + name + nonce + psk, ErrNotInvite},
		{"name twice", "\x01" + name + name + rules + nonce + psk, ErrNotInvite},
		{"unknown entry twice", "\x01" + entry(2, "a") + entry(2, "b") + person, ErrNotInvite},
		{"no name", "\x01" + rules + nonce + psk, ErrNotInvite},
		{"no rules", "\x01" + name + nonce + psk, ErrNotInvite},
		{"no nonce", "\x01" + name + rules + psk, ErrNotInvite},
		{"no key", "\x01" + name + rules + nonce, ErrNotInvite},
		{"key alone", "\x01" + psk + person, ErrNotInvite},
		{"expiry alone", "\x01" + expires + person, ErrNotInvite},
		{"address alone", "\x01" + boot1 + person, ErrNotInvite},
		{"public with key", "\x01" + name + entry(0x82, "\x03\x01") + nonce + psk, ErrNotInvite},
		{"public with two hops", "\x01" + name + entry(0x82, "\x02\x01") + nonce, ErrNotInvite},
		{"neither public nor private", "\x01" + name + entry(0x82, "\x03\x02") + nonce, ErrNotInvite},
		{"no hops", "\x01" + name + entry(0x82, "\x00\x00") + nonce + psk, ErrNotInvite},
		{"short rules", "\x01" + name + entry(0x82, "\x03") + nonce + psk, ErrNotInvite},
		{"long rules", "\x01" + name + entry(0x82, "\x03\x00\x00") + nonce + psk, ErrNotInvite},
		{"empty name", "\x01" + entry(0x81, "") + rules + nonce + psk, ErrNotInvite},
		{"name with an escape", "\x01" + entry(0x81, "\x1b[2J") + rules + nonce + psk, ErrNotInvite},
		{"short nonce", "\x01" + name + rules + entry(0x83, "n") + psk, ErrNotInvite},
		{"long nonce", "\x01" + name + rules + entry(0x83, strings.Repeat("n", 17)) + psk, ErrNotInvite},
		{"short key", "\x01" + name + rules + nonce + entry(0x84, "k"), ErrNotInvite},
		{"zero key", "\x01" + name + rules + nonce + entry(0x84, strings.Repeat("\x00", 32)), ErrNotInvite},
		{"zero expiry", "\x01" + name + rules + nonce + psk + entry(0x85, strings.Repeat("\x00", 8)), ErrNotInvite},
		{"expiry past all dates", "\x01" + name + rules + nonce + psk + entry(0x85, strings.Repeat("\xff", 8)), ErrNotInvite},
		{"short expiry", "\x01" + name + rules + nonce + psk + entry(0x85, "\x01"), ErrNotInvite},
		{"zero person", "\x01" + entry(0x86, strings.Repeat("\x00", 32)), ErrNotInvite},
		{"long person", "\x01" + entry(0x86, strings.Repeat("p", 33)), ErrNotInvite},
		{"link key alone", "\x01" + link, ErrNotInvite},
		{"link key and a network", "\x01" + name + rules + nonce + psk + link, ErrNotInvite},
		{"link key before the person", "\x01" + link + person, ErrNotInvite},
		{"link key twice", "\x01" + person + link + link, ErrNotInvite},
		{"zero link key", "\x01" + person + entry(0x87, strings.Repeat("\x00", 32)), ErrNotInvite},
		{"empty link key", "\x01" + person + entry(0x87, ""), ErrNotInvite},
		{"short link key", "\x01" + person + entry(0x87, string(key[:31])), ErrNotInvite},
		{"long link key", "\x01" + person + entry(0x87, string(key[:])+"k"), ErrNotInvite},
		{"link key of small order", "\x01" + person + entry(0x87, "\x01"+strings.Repeat("\x00", 31)), ErrNotInvite},
		{"link key that is no point", "\x01" + person + entry(0x87, "\x02"+strings.Repeat("\x00", 31)), ErrNotInvite},
		{"address twice", "\x01" + boot1 + boot1 + name + rules + nonce + psk, ErrNotInvite},
		{"nine addresses", "\x01" + strings.Repeat(boot1, 9) + name + rules + nonce + psk, ErrNotInvite},
		{"empty address", "\x01" + entry(1, "") + name + rules + nonce + psk, ErrNotInvite},
		{"address in other bytes", "\x01" + entry(1, "\x84\x00"+boot1[4:]) + name + rules + nonce + psk, ErrNotInvite},
		{"address without peer", "\x01" + entry(1, boot1[3:11]) + name + rules + nonce + psk, ErrNotInvite},
	} {
		i, err := ParseInvite(inviteOf(t, test.payload))
		if !errors.Is(err, test.want) || (err == nil) != (i != nil) {
			t.Errorf("%s: ParseInvite = %v, %v; want %v", test.what, i, err, test.want)
		}
	}

	// Unknown entries are passed over, and change nothing else.
	i, err := ParseInvite(inviteOf(t, "\x01"+entry(2, "later")+name+rules+nonce+psk))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := i.Text(); err != nil || text != inviteOf(t, "\x01"+name+rules+nonce+psk) {
		t.Errorf("written again without the unknown entry: %q, %v", text, err)
	}
}

func TestStorage(t *testing.T) {
	for _, n := range []*Network{testPrivate(t), testPublic()} {
		b, err := n.Append([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		b, ok := bytes.CutPrefix(b, []byte("before"))
		if !ok {
			t.Fatalf("Append lost what was before: %x", b)
		}
		parsed, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if diff := cmp.Diff(n, parsed); diff != "" {
			t.Errorf("what was parsed differs from what was appended:\n%s", diff)
		}
	}
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"a person":           []byte("\x01" + entry(0x86, strings.Repeat("p", 32))),
		"too long":           []byte("\x01" + entry(2, strings.Repeat("x", maxBytes)) + entry(0x86, strings.Repeat("p", 32))),
		"an unlisted person": mustAppendInvite(t, &Invite{Person: testPerson(), Link: testLink()}),
		"both, in it":        slices.Concat(mustAppend(t, testPrivate(t)), []byte(entry(0x86, strings.Repeat("p", 32)))),
	} {
		if n, err := Parse(b); n != nil || !errors.Is(err, ErrNotInvite) {
			t.Errorf("%s: Parse = %v, %v; want ErrNotInvite", name, n, err)
		}
	}
}

func mustAppendInvite(t *testing.T, i *Invite) []byte {
	t.Helper()
	b, err := i.append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustAppend(t *testing.T, n *Network) []byte {
	t.Helper()
	b, err := n.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzInvite feeds texts as they are and, since few have a checksum, payloads
// made into invites. What parses and is written again must mean the same, and
// the second writing is the canonical one.
func FuzzInvite(f *testing.F) {
	for _, i := range testInvites(f) {
		payload, err := i.append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
		f.Add([]byte(inviteOf(f, string(payload))))
	}
	f.Add([]byte("\x01" + entry(2, "later") + entry(0x86, strings.Repeat("p", 32))))
	f.Add([]byte("\x01" + entry(0x87, "later")))
	f.Add([]byte("\x01" + entry(0x86, strings.Repeat("p", 32)) + entry(0x87, "\x01"+strings.Repeat("\x00", 31))))
	f.Add([]byte("\x01" + entry(0x86, strings.Repeat("p", 32)) + entry(0x88, "later")))
	f.Add([]byte("chatnt:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, text := range []string{string(b), inviteOf(t, string(b))} {
			i, err := ParseInvite(text)
			if err != nil {
				if !errors.Is(err, ErrNotInvite) && !errors.Is(err, ErrChecksum) && !errors.Is(err, ErrVersion) {
					t.Errorf("error of no known sort: %v", err)
				}
				continue
			}
			canonical, err := i.Text()
			if err != nil {
				t.Fatalf("%q parses and is not written again: %v", text, err)
			}
			again, err := ParseInvite(canonical)
			if err != nil || !cmp.Equal(i, again) {
				t.Fatalf("%q means %+v; written again as %q it is %+v, %v", text, i, canonical, again, err)
			}
			if len(canonical) == len(strings.TrimSpace(text)) && !strings.EqualFold(canonical, strings.TrimSpace(text)) {
				t.Errorf("two texts of one invite: %q and %q", text, canonical)
			}
		}
	})
}
