package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"chatnt/node/contact"
)

// Writer writes events as JSON, one object a line. It is safe for concurrent use.
type Writer struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

// errEncoding says that something cannot be written as JSON: nothing of it was.
var errEncoding = errors.New("this cannot be written as JSON")

// NewWriter returns a writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Event writes an event of the node.
func (w *Writer) Event(e Event) error { return w.write(e.Event(), e) }

// Done writes that a line was carried out, with the fields of its result, if any.
func (w *Writer) Done(line string, result any) error {
	if result == nil {
		result = struct{}{}
	}
	return w.write("done", struct {
		Line string `json:"line"`
	}{strings.ToValidUTF8(line, "\ufffd")}, result)
}

// Error writes that a line could not be carried out.
func (w *Writer) Error(line string, err error) error {
	return w.write("error", struct {
		Line  string `json:"line"`
		Error string `json:"error"`
		Cause string `json:"cause,omitempty"`
	}{strings.ToValidUTF8(line, "\ufffd"), err.Error(), causeOf(err)})
}

// The causes of errors that a program must tell from others.
const (
	causeChanged    = "key changed"
	causeUnverified = "not verified"
)

func causeOf(err error) string {
	switch {
	case errors.Is(err, contact.ErrKeyChanged):
		return causeChanged
	case errors.Is(err, contact.ErrUnverified):
		return causeUnverified
	}
	return ""
}

// answeredError is an error that a running node has written.
type answeredError struct {
	text string
	is   error // nil if it may be any
}

func (e *answeredError) Error() string { return e.text }
func (e *answeredError) Unwrap() error { return e.is }

// errorOf is the other way of causeOf.
func errorOf(text, cause string) error {
	switch cause {
	case causeChanged:
		return &answeredError{text, contact.ErrKeyChanged}
	case causeUnverified:
		return &answeredError{text, contact.ErrUnverified}
	}
	return &answeredError{text, nil}
}

// write writes one object: the event's name, then the fields of all parts.
func (w *Writer) write(event string, parts ...any) error {
	object := []byte(`{"event":`)
	name, err := json.Marshal(event)
	if err != nil {
		return err
	}
	object = append(object, name...)
	for _, part := range parts {
		fields, err := marshal(part)
		if err != nil {
			return fmt.Errorf("writing a %s: %w: %w", event, errEncoding, err)
		}
		if len(fields) > 0 {
			object = append(append(object, ','), fields...)
		}
	}
	object = append(object, '}', '\n')
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.w.Write(object)
	return err
}

// marshal returns the fields of a struct as JSON without the braces.
func marshal(part any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(part); err != nil {
		return nil, err
	}
	object := bytes.TrimSpace(b.Bytes())
	if len(object) < 2 || object[0] != '{' {
		return nil, errors.New("a result is not a JSON object")
	}
	return escapeControls(object[1 : len(object)-1]), nil
}

// escapeControls writes what could steer a terminal as \u escapes. The text that
// a JSON reader gets is the same, but a person who looks at the output is safe:
// JSON itself escapes only the controls below U+0020.
func escapeControls(object []byte) []byte {
	clean := true
	for _, b := range object {
		if b >= utf8.RuneSelf || b == 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return object
	}
	out := make([]byte, 0, len(object)+16)
	for _, r := range string(object) {
		switch {
		case r == 0x7f || (r >= utf8.RuneSelf && r <= 0xffff && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)):
			out = fmt.Appendf(out, `\u%04x`, r)
		case r > 0xffff && unicode.Is(unicode.Cf, r):
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}
