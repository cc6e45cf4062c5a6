package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"chatnt/node"
	"chatnt/node/contact"
	"chatnt/node/control"
	"chatnt/node/message"
)

const (
	// sendWait is how long a text may take to be delivered unless told otherwise: to join
	// a network, find somebody and get the receipt takes seconds.
	sendWait = 30 * time.Second

	sendLook = 100 * time.Millisecond // between two looks at how far it is
)

// queuedError says that a text waits.
type queuedError string

func (e queuedError) Error() string { return string(e) }

// outgoingText is a text that a command line asks to send.
type outgoingText struct {
	common
	name, text string
	verified   bool
	wait       time.Duration
}

func newSend(std stdio) *cobra.Command {
	s := &outgoingText{common: common{std: std}}
	cmd := &cobra.Command{
		Use:   "send NAME [TEXT]",
		Short: "Send a text to a contact",
		Long: `Send a text, from the command line or else from standard input, to a contact. The
running node sends it; where none runs, one does for as long as it takes. Exits with 0
when it was delivered, with 3 when it is queued, and with 6 when the contact's key has
changed, or when --verified is given and the contact is not: nothing is queued then. Should
another key come while the text waits, it is taken back, and that is 6 as well; what may
have gone out by then stays queued until /verify has settled whose key it is, and is 3.

With --id only the identity of that NAME sends: where a node runs for another nothing is
queued, and where none runs this one is in use from then on.`,
		Example: `  chatnt send bob 'see you at eight'
  date | chatnt send bob --verified --wait 1m`,
		Args: func(cmd *cobra.Command, args []string) error {
			return exactArgs([]string{"the contact's NAME", "the TEXT"}[:min(max(len(args), 1), 2)]...)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.read(args); err != nil {
				return usageError{err}
			}
			return s.send(cmd.Context())
		},
	}
	s.flags(cmd)
	cmd.Flags().Var(&s.id, "id", "the identity to send as (default: the one in use)")
	cmd.Flags().BoolVar(&s.verified, "verified", false, "only to a contact whose safety number was compared")
	cmd.Flags().DurationVar(&s.wait, "wait", sendWait, "how long to wait until it is delivered, such as 90s or 5m; 0: not at all")
	return cmd
}

// read takes over the arguments, and the text from standard input if it is not one of them.
func (s *outgoingText) read(args []string) error {
	s.name = args[0]
	if s.name == "" || strings.ContainsFunc(s.name, func(r rune) bool { return r <= ' ' }) {
		return errors.New("the NAME of a contact is one word")
	}
	if s.wait < 0 {
		return errors.New("nothing is waited for less than 0s")
	}
	if len(args) == 2 {
		s.text = args[1]
	} else {
		if term.IsTerminal(int(s.std.in.Fd())) {
			fmt.Fprintln(s.std.err, "Type the text; Ctrl-D on a line of its own ends it.")
		}
		raw, err := io.ReadAll(io.LimitReader(s.std.in, message.MaxText+int64(len("\r\n"))+1))
		if err != nil {
			return fmt.Errorf("the text cannot be read: %w", err)
		}
		s.text = strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	}
	if strings.ContainsRune(s.text, 0) {
		return errors.New("the text has a zero byte")
	}
	_, err := message.Split(s.text)
	return err
}

// asker has a node carry out a line, and decodes the fields of its result into result.
type asker func(line string, result any) error

func (s *outgoingText) send(ctx context.Context) error {
	line, err := s.line()
	if err != nil {
		return err
	}
	var (
		queued control.Stored
		from   control.ID // whose node runs before; none if none does
	)
	_, _ = s.askRunning("/id", &from)
	running, err := s.ask(ctx, line, &queued, inNetwork(func(p *node.Profile) error {
		return s.alone(ctx, p, func(ctx context.Context, ask asker) error {
			if err := ask(line, &queued); err != nil {
				return err
			}
			return s.await(ctx, ask, queued.ID, "a node has to run on this profile")
		})
	}))
	if !running || err != nil {
		return err
	}
	ask := func(line string, result any) error {
		running, err := s.askRunning(line, result)
		if err == nil && !running {
			return control.ErrNotRunning
		}
		return err
	}
	return s.await(ctx, sameIdentity(ask, from), queued.ID, "the running node goes on with it")
}

// errOther says that the node does not know of a text, as another identity's runs now.
var errOther = errors.New("another identity is in use now")

// sameIdentity is ask, but that it tells a text which is not known to the identity that runs from one
// that is not known at all.
func sameIdentity(ask asker, from control.ID) asker {
	return func(line string, result any) error {
		err := ask(line, result)
		if err == nil || from.Hashid == "" || errors.Is(err, control.ErrNotRunning) || errors.Is(err, control.ErrNoAnswer) {
			return err
		}
		var now control.ID
		if ask("/id", &now) == nil && now.Hashid != from.Hashid {
			return errOther
		}
		return err
	}
}

// line is the command that has a node send the text, which may have several lines.
func (s *outgoingText) line() (string, error) {
	quoted, err := json.Marshal(s.text)
	if err != nil {
		return "", err
	}
	flags := "-json"
	if s.verified {
		flags = "-verified -json"
	}
	if s.id != "" {
		flags += " -id " + string(s.id)
	}
	line := fmt.Sprintf("/msg %s %s %s", flags, s.name, quoted)
	if len(line) > control.MaxLine {
		return "", usageError{errors.New("the text has too many characters that are no text")}
	}
	return line, nil
}

// await looks how far a text is until it has ended, or its time is up. It is stored: unless it is
// known to be given up, the error says that it is queued, or it would be sent twice.
func (s *outgoingText) await(ctx context.Context, ask asker, id, then string) error {
	look := time.NewTicker(sendLook)
	defer look.Stop()
	for late := time.Now().Add(s.wait); ; {
		var text control.Text
		err := ask("/status "+id, &text)
		switch {
		case errors.Is(err, control.ErrNotRunning):
			return queuedError("the text is queued, and the node has ended: it goes out when one runs again")
		case errors.Is(err, errOther):
			return queuedError("the text is queued, and another identity is in use now: it goes on when that which sends it is used again")
		case err != nil && time.Now().After(late):
			return queuedError(fmt.Sprintf("the text is queued, and what came of it is not known: %v", err))
		case err != nil: // many may ask at once
		case text.State == control.Delivered:
			return nil
		case text.State == control.Failed:
			return fmt.Errorf("the text was given up: %s", text.Reason)
		case text.Changed && takenBack(ask, id):
			return fmt.Errorf("the text was taken back: %w", contact.ErrKeyChanged)
		case time.Now().After(late):
			return queuedError(stillQueued(text) + ": " + then)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// takenBack takes a text back, so that whoever sends it once more does not send it twice. What may have
// gone out cannot be, and is waited for.
func takenBack(ask asker, id string) bool { return ask("/cancel "+id, new(control.Text)) == nil }

// stillQueued says why a text is not delivered.
func stillQueued(text control.Text) string {
	said := "the text is queued and not delivered yet"
	switch {
	case text.State == control.Sent:
		return "the text was sent and not confirmed yet"
	case text.Reason != "":
		return said + " (" + text.Reason + ")"
	}
	return said
}

// alone runs the profile's node for as long as do takes. Nobody reads its events: texts that come in
// meanwhile are shown when somebody does.
func (s *outgoingText) alone(whole context.Context, p *node.Profile, do func(context.Context, asker) error) error {
	dir, err := s.dir()
	if err != nil {
		return err
	}
	if later := p.Unseen(time.Now()); later > 0 && s.wait > 0 {
		s.wait += later
		fmt.Fprintf(s.std.err, "Nobody sees the node for %.0f s more, so that it does not come as that of the other identity goes.\n", later.Seconds())
	}
	log := slog.New(slog.DiscardHandler) // what fails is said once, by the error
	n, err := node.NewRunner(node.Config{Profile: p, Log: log})
	if err != nil {
		return err
	}
	return runNode(whole, n, func(ctx context.Context) error {
		stop := serveSocket(ctx, staying{n}, dir, log) // for others who send meanwhile
		defer stop()
		err := do(ctx, control.NewDialogue(n).Ask)
		if errors.Is(err, ctx.Err()) && whole.Err() == nil {
			return nil // the node has ended, and says why
		}
		return err
	})
}

// staying is a profile whose identity cannot be changed: nobody would show the events of another's
// node.
type staying struct{ *node.Runner }

// UseIdentity fails.
func (staying) UseIdentity(string, bool) error {
	return errors.New("a text is being sent: try again when 'chatnt send' has ended")
}
