package main

import (
	"errors"
	"strings"
)

// identityFlag is the name of an identity. It is not empty where it is given: a script whose
// variable is not set must not speak for whichever identity was used last.
type identityFlag string

func (i *identityFlag) String() string { return string(*i) }
func (i *identityFlag) Type() string   { return "name" }

func (i *identityFlag) Set(s string) error {
	switch {
	case s == "":
		return errors.New("the name is empty")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' }):
		return errors.New("the name of an identity is one word")
	}
	*i = identityFlag(s)
	return nil
}
