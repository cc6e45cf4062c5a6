package repl

import (
	"bytes"
	"io"
	"sync"
	"unicode/utf8"

	"chatnt/node/control"
)

// Bracketed paste (xterm control sequences, "Bracketed Paste Mode"): what asks a
// terminal for it, and what one that was asked sends around a paste.
const (
	markPastes   = "\x1b[?2004h"
	unmarkPastes = "\x1b[?2004l"

	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// Keys that no keyboard sends, as keyboard or editor.filter drops them: the first
// two tell the editor, in the order of the keys, of something that waits elsewhere.
const (
	keyPaste = 0x1e // a paste is to be taken from keyboard.takePaste
	keyWake  = 0x1c // someone called wake
	keyErase = 0x1d // made by the editor: the line is to be emptied
)

// maxKey bounds an escape sequence, in bytes. Longer ones are noise.
const maxKey = 32

// maxPastes bounds the pastes that wait for the editor, in number.
const maxPastes = 64

// A keyboard is the reader between a terminal and the line editor. It hands on
// whole keys only, each escape sequence and each rune in one piece, so that what
// it puts in between is never taken for a part of one; and it collects a paste,
// which arrives as one key.
type keyboard struct {
	chunks <-chan []byte // raw input; closed at its end
	woken  chan struct{} // capacity 1
	done   <-chan struct{}

	raw   []byte // owned by Read: not yet whole keys
	ready []byte // owned by Read: to hand on
	paste []byte // owned by Read: the paste so far, nil outside one

	mu     sync.Mutex // guards the fields below
	asked  []byte     // answers to the editor's questions, first to hand on
	pastes []string   // whole ones, oldest first
	ended  bool       // Read has returned io.EOF
}

func newKeyboard(chunks <-chan []byte, done <-chan struct{}) *keyboard {
	return &keyboard{chunks: chunks, done: done, woken: make(chan struct{}, 1)}
}

// wake makes Read hand on a keyWake soon. It never blocks.
func (k *keyboard) wake() {
	select {
	case k.woken <- struct{}{}:
	default:
	}
}

// answer hands on s as if the terminal had sent it, before all that waits.
func (k *keyboard) answer(s string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, s...)
}

// takePaste returns the paste that a keyPaste stands for.
func (k *keyboard) takePaste() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pastes) == 0 {
		return ""
	}
	s := k.pastes[0]
	k.pastes = k.pastes[1:]
	return s
}

// hasEnded reports whether the input is over and Read has said so.
func (k *keyboard) hasEnded() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended
}

// Read implements io.Reader for the editor.
func (k *keyboard) Read(p []byte) (int, error) {
	for {
		k.mu.Lock()
		k.ready, k.asked = append(k.asked, k.ready...), nil
		k.mu.Unlock()
		if len(k.ready) > 0 {
			n := copy(p, k.ready)
			k.ready = k.ready[n:]
			return n, nil
		}
		select {
		case <-k.done:
			return k.end()
		default:
		}
		select {
		case <-k.done:
			return k.end()
		case <-k.woken:
			k.ready = append(k.ready, keyWake)
		case chunk, ok := <-k.chunks:
			if !ok {
				return k.end()
			}
			k.raw = append(k.raw, chunk...)
			k.split()
		}
	}
}

func (k *keyboard) end() (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	return 0, io.EOF
}

// split moves whole keys from raw to ready.
func (k *keyboard) split() {
	for len(k.raw) > 0 {
		if k.paste != nil {
			if !k.splitPaste() {
				return
			}
			continue
		}
		n := keyLen(k.raw)
		if n == 0 {
			return
		}
		key := k.raw[:n]
		k.raw = k.raw[n:]
		switch {
		case string(key) == pasteStart:
			k.paste = []byte{}
		case n == 1 && (key[0] == keyPaste || key[0] == keyWake):
		case n > maxKey:
		default:
			k.ready = append(k.ready, key...)
		}
	}
}

// splitPaste moves bytes from raw to the paste and reports whether it saw its end.
// One byte over the longest line is kept, so that the line is refused, not cut.
func (k *keyboard) splitPaste() bool {
	body, rest, whole := bytes.Cut(k.raw, []byte(pasteEnd))
	if !whole {
		// The end may have come in part.
		keep := min(len(k.raw), len(pasteEnd)-1)
		body, rest = k.raw[:len(k.raw)-keep], k.raw[len(k.raw)-keep:]
	}
	body = body[:min(len(body), control.MaxLine+1-len(k.paste))]
	k.paste = append(k.paste, body...)
	k.raw = bytes.Clone(rest)
	if !whole {
		return false
	}
	k.mu.Lock()
	if len(k.pastes) < maxPastes {
		k.pastes = append(k.pastes, string(k.paste))
		k.ready = append(k.ready, keyPaste)
	}
	k.mu.Unlock()
	k.paste = nil
	return true
}

// keyLen is the length of the key that b begins with, 0 if its end is still to
// come. b is not empty.
//
//	ESC [ digits and semicolons, then one byte     cursor and function keys
//	ESC O the same                                 the same, on other terminals
//	ESC ESC and one of the above                   with Alt held
//	ESC and a rune                                 a letter with Alt held
//	a rune
func keyLen(b []byte) int {
	if b[0] != 0x1b {
		return runeLen(b)
	}
	i := 1
	if i < len(b) && b[i] == 0x1b {
		i++
	}
	if i == len(b) {
		return 0
	}
	if b[i] != '[' && b[i] != 'O' {
		if n := runeLen(b[i:]); n > 0 {
			return i + n
		}
		return 0
	}
	for i++; i < len(b); i++ {
		if c := b[i]; c != ';' && (c < '0' || c > '9') {
			if n := runeLen(b[i:]); n > 0 {
				return i + n
			}
			return 0
		}
		if i > maxKey {
			return i + 1
		}
	}
	return 0
}

// runeLen is the length of the rune, or the byte that is none, that b begins with,
// 0 if it is cut short.
func runeLen(b []byte) int {
	if !utf8.FullRune(b) {
		return 0
	}
	_, n := utf8.DecodeRune(b)
	return n
}
