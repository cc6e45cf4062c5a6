package backup

import (
	"bufio"
	"errors"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"filippo.io/age"
)

// workFactor is the logarithm of scrypt's N, about a second on a machine of today. Files that
// ask for more are not opened: each step doubles the memory that somebody else's file takes.
const workFactor = 18

// Temp is the pattern, as os.CreateTemp's, of the name that a backup has until it is whole.
const Temp = ".chatnt-backup-*"

const (
	ageName  = "age-encryption.org/"
	ageIntro = ageName + "v1\n"
)

// ErrPassphrase says that the passphrase is wrong, or empty.
var ErrPassphrase = errors.New("the passphrase of the backup is wrong")

// Seal returns a writer whose bytes go sealed to w. Closing it writes the rest, and does not
// close w.
func Seal(w io.Writer, passphrase []byte) (io.WriteCloser, error) {
	if len(passphrase) == 0 {
		return nil, ErrPassphrase
	}
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(workFactor)
	defer debug.FreeOSMemory() // scrypt's 256 MiB
	return age.Encrypt(w, recipient)
}

// Open returns a reader of what was sealed. Its errors and Open's are ErrPassphrase,
// ErrFormat, ErrVersion, ErrDamaged, or those of r. Bytes that it hands out are
// authentic; that they are all is certain at io.EOF only.
//
// A file whose first 150 bytes or so are damaged may look as if the passphrase were wrong.
func Open(r io.Reader, passphrase []byte) (io.Reader, error) {
	if len(passphrase) == 0 {
		return nil, ErrPassphrase
	}
	identity, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, err
	}
	identity.SetMaxWorkFactor(workFactor)
	o := &opened{source: &source{r: r}}
	buffered := bufio.NewReader(o.source)
	if err := o.checkIntro(buffered); err != nil {
		return nil, err
	}
	defer debug.FreeOSMemory()
	if o.plain, err = age.Decrypt(buffered, identity); err != nil {
		return nil, o.failure(err)
	}
	return o, nil
}

// source remembers why it could not be read.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// opened reads a backup, and says what is wrong with it in words of this package.
type opened struct {
	source *source
	plain  io.Reader
}

func (o *opened) Read(b []byte) (int, error) {
	n, err := o.plain.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // wrapped, it would be age's about something else
		err = o.failure(err)
	}
	return n, err
}

// checkIntro looks at the first line before age does, whose errors do not tell what it saw.
func (o *opened) checkIntro(r *bufio.Reader) error {
	intro, err := r.Peek(len(ageIntro))
	switch got := string(intro); {
	case o.source.err != nil:
		return o.source.err
	case got == ageIntro:
		return nil
	case err != nil && strings.HasPrefix(ageIntro, got):
		return ErrDamaged
	case strings.HasPrefix(got, ageName):
		return ErrVersion
	}
	return ErrFormat
}

// failure translates an error of age's.
func (o *opened) failure(err error) error {
	var none *age.NoIdentityMatchError
	switch {
	case o.source.err != nil:
		return o.source.err
	case !errors.As(err, &none):
		return ErrDamaged
	case slices.Equal(none.StanzaTypes, []string{"scrypt"}):
		return ErrPassphrase
	}
	return ErrFormat // sealed to keys
}
