package network

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"

	"github.com/btcsuite/btcd/btcutil/bech32"
)

// Why a text is not an invite that can be used.
var (
	ErrNotInvite = errors.New("this is not an invite")
	ErrChecksum  = errors.New("this invite has a typing error or is cut short: copy it again, whole")
	ErrVersion   = errors.New("this invite was made by another version of the program: bring both to the same version")
)

// What follows ErrNotInvite.
var (
	errPrefix    = errors.New("'chatnt:' does not stand at its beginning")
	errLong      = errors.New("it is too long")
	errMalformed = errors.New("it is malformed")
	errSettings  = errors.New("settings of its network are missing")
	errBare      = errors.New("it names neither a network nor a person")
	errLink      = errors.New("its link key is damaged, or nobody's")
)

const (
	scheme = "chatnt"
	prefix = scheme + ":"
)

// Invite carries a network, a person, or both from one user to another. One
// with a private network is a secret: it contains the pre-shared key. One with a
// link key is for those who may find the person, and write to them.
type Invite struct {
	Network *Network       // nil: none
	Person  hashid.ID      // zero: none
	Link    record.LinkKey // of the person, if unlisted; zero: none
}

// Locator returns what finds the person's key record.
func (i *Invite) Locator() record.Locator { return record.Locator{Hashid: i.Person, Link: i.Link} }

// Text returns the invite as one line of text. It is an error if the invite
// carries nothing, settings that no network has, or a link key that is none or
// without a person.
func (i *Invite) Text() (string, error) {
	b, err := i.append(nil)
	if err != nil {
		return "", fmt.Errorf("writing the invite: %w", err)
	}
	defer clear(b)
	digits, err := bech32.ConvertBits(b, 8, 5, true)
	if err != nil {
		return "", fmt.Errorf("writing the invite: %w", err)
	}
	defer clear(digits)
	text, err := bech32.EncodeM(scheme, digits)
	if err != nil {
		return "", fmt.Errorf("writing the invite: %w", err)
	}
	return prefix + text[len(prefix):], nil
}

// ParseInvite reads an invite's text, with any space around it, in small
// letters or in capitals. Errors are ErrNotInvite with a reason, ErrChecksum and
// ErrVersion. It does not look at the expiry: see Network.CheckTime.
func ParseInvite(s string) (*Invite, error) {
	if len(s) > maxText {
		return nil, notInvite(errLong)
	}
	s = strings.TrimSpace(s)
	if !LooksLikeInvite(s) {
		return nil, notInvite(errPrefix)
	}
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return nil, ErrChecksum
	}
	data := s[len(prefix):]
	if strings.Contains(data, "1") {
		return nil, ErrChecksum // bech32 would take it for the separator
	}
	_, digits, kind, err := bech32.DecodeNoLimitWithVersion(s[:len(scheme)] + "1" + data)
	if err != nil || kind != bech32.VersionM {
		return nil, ErrChecksum
	}
	defer clear(digits)
	b, err := bech32.ConvertBits(digits, 5, 8, false)
	if err != nil {
		return nil, notInvite(errMalformed)
	}
	defer clear(b)
	return parse(b)
}

// LooksLikeInvite reports whether a text was meant to be an invite: it begins with
// "chatnt:", but for one character at the most that is wrong, missing or too much, or two
// neighbours that changed places. No hashid does.
func LooksLikeInvite(s string) bool {
	s = strings.ToLower(s[:min(len(s), 4*len(prefix))])
	for i := range len(prefix) + 1 {
		rest, ok := strings.CutPrefix(s, prefix[:i])
		if !ok {
			break
		}
		_, size := utf8.DecodeRuneInString(rest)
		switch after := prefix[i:]; {
		case after == "",
			strings.HasPrefix(rest[size:], after[1:]), // wrong
			strings.HasPrefix(rest, after[1:]),        // missing
			strings.HasPrefix(rest[size:], after),     // too much
			len(after) > 1 && strings.HasPrefix(rest, after[1:2]+after[:1]+after[2:]):
			return true
		}
	}
	return false
}

func notInvite(why error) error { return fmt.Errorf("%w: %w", ErrNotInvite, why) }
