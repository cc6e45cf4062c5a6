package repl

import (
	"fmt"
	"strings"
	"time"

	"chatnt/node/control"
)

// Event returns an event as a person reads it, or "" if a person need not be
// told. Everything that others chose is cleaned.
func Event(e control.Event) string {
	switch e := e.(type) {
	case control.Ready:
		return ready(e)
	case control.MessageReceived:
		again := ""
		if e.Again {
			again = " (again)"
		}
		return fmt.Sprintf("[%s]%s %s: %s", clock(e.At), again, Clean(e.Name), Clean(e.Text))
	case control.RequestReceived:
		return fmt.Sprintf("Somebody asks to become a contact: /accept or /reject\n%s", request(e.From, e.Nick, e.Text))
	case control.ContactChanged:
		switch e.State {
		case "requested":
			return fmt.Sprintf("Asked %s to become a contact.", Clean(e.Local))
		case "accepted":
			return fmt.Sprintf("%s is a contact now: @%s TEXT writes to them.", Clean(e.Local), Clean(e.Local))
		}
		return fmt.Sprintf("%s: %s.", Clean(e.Local), e.State)
	case control.StatusChanged:
		return status(e)
	case control.Warning:
		return Clean(e.Text)
	}
	return ""
}

// ready names the identity where there are several, and tells whoever starts one for
// the first time what it shows.
func ready(e control.Ready) string {
	who := e.Hashid
	if e.Identity != "" {
		who = fmt.Sprintf("%s, %s", Clean(e.Identity), e.Hashid)
	}
	text := fmt.Sprintf("Ready in %s as %s. /help lists the commands.", Clean(e.Network), who)
	if e.First {
		text += "\nYou are visible: whoever knows this hashid can find this node and its IP address. /set visible says more."
	}
	return text
}

func status(e control.StatusChanged) string {
	mark := e.ID[:min(8, len(e.ID))]
	switch {
	case e.State == control.Queued && e.Reason == "":
		return "" // the line that was typed says as much
	case e.Reason != "":
		return fmt.Sprintf("  (%s %s: %s)", mark, e.State, e.Reason)
	}
	return fmt.Sprintf("  (%s %s)", mark, e.State)
}

// request shows who asks. What the stranger chose stands in quotes, on lines of
// its own, so that it cannot be taken for the hashid.
func request(from, nick, text string) string {
	shown := "  " + from
	if nick != "" {
		shown += fmt.Sprintf("\n    calls itself %q", Clean(nick))
	}
	if text != "" {
		shown += fmt.Sprintf("\n    and says %q", Clean(text))
	}
	return shown
}

func clock(t time.Time) string { return t.Local().Format("15:04") }

// Result returns the result of a command as a person reads it.
func Result(result any) string {
	var b strings.Builder
	switch r := result.(type) {
	case control.Help:
		for _, c := range r.Commands {
			fmt.Fprintf(&b, "%-36s %s\n", c.Usage, c.Help)
		}
	case control.ID:
		fmt.Fprintf(&b, "hashid  %s\nnode    %s\n", r.Hashid, r.Node)
	case control.Identities:
		for _, one := range r.Identities {
			b.WriteString(identity(one))
		}
	case control.Identity:
		fmt.Fprintf(&b, "%s is a new identity: /id use %s begins to use it.\n%s", Clean(r.Name), Clean(r.Name), identity(r))
	case control.NowUsed:
		fmt.Fprintf(&b, "The node ends, and another starts for %s.\n", Clean(r.Name))
	case control.Visible:
		first := min(1, len(r.Why))
		fmt.Fprintf(&b, "%s%s.\n", strings.ToUpper(r.Why[:first]), Clean(r.Why[first:]))
	case control.Nick:
		fmt.Fprintf(&b, "You call yourself %q.\n", Clean(r.Nick))
	case control.Invite:
		fmt.Fprintln(&b, r.Invite)
	case control.Contacts:
		for _, c := range r.Contacts {
			fmt.Fprintf(&b, "%-16s %-9s %s\n", Clean(c.Name), c.State, c.Hashid)
		}
		empty(&b, "You have no contacts yet: /add HASHID NAME asks somebody.")
	case control.Requests:
		for _, q := range r.Requests {
			fmt.Fprintln(&b, request(q.From, q.Name, q.Text))
		}
		empty(&b, "Nobody waits for your answer.")
	case control.Stored:
		fmt.Fprintf(&b, "  (%s queued)\n", r.ID[:min(8, len(r.ID))])
	case control.Conversation:
		fmt.Fprintf(&b, "What you type goes to %s now; /close ends that.\n", Clean(r.Name))
	case control.Settings:
		b.WriteString(settings(r))
	case control.History:
		for _, said := range r.Texts {
			who := Clean(said.Name)
			if said.Own {
				who = "you"
			}
			fmt.Fprintf(&b, "[%s] %s: %s\n", said.At.Local().Format("2006-01-02 15:04"), who, Clean(said.Text))
		}
		empty(&b, "Nothing is kept of this conversation: /set history on keeps what is said from then on.")
	case control.Peers:
		fmt.Fprintf(&b, "%d relays known, %d usable now\n", r.Known, r.Usable)
		for _, id := range r.Relays {
			fmt.Fprintln(&b, id)
		}
	case control.Path:
		fmt.Fprintf(&b, "message  %s\n", r.ID)
		for i, id := range r.Relays {
			fmt.Fprintf(&b, "relay %d  %s\n", i+1, id)
		}
		fmt.Fprintf(&b, "end      %s\n", r.End)
	case control.Status:
		b.WriteString(Status(r))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// identity shows one of a profile's identities.
func identity(i control.Identity) string {
	mark, made := ' ', ""
	if i.Used {
		mark = '*'
	}
	if !i.Made.IsZero() {
		made = "  made " + i.Made.Local().Format("2006-01-02")
	}
	return fmt.Sprintf("%c %-16s %s%s\n", mark, Clean(i.Name), i.Hashid, made)
}

// settings says what is kept of a conversation.
func settings(s control.Settings) string {
	kept := "Nothing is kept of what you and %s say"
	if s.History {
		kept = "What you and %s say is kept"
	}
	kept = fmt.Sprintf(kept, Clean(s.Name))
	if s.TTL == 0 {
		return kept + ".\n"
	}
	return fmt.Sprintf("%s; texts are forgotten after %v, by both sides.\n", kept, time.Duration(s.TTL)*time.Second)
}

func empty(b *strings.Builder, otherwise string) {
	if b.Len() == 0 {
		b.WriteString(otherwise)
	}
}

// Status returns how a node is doing as a person reads it.
func Status(s control.Status) string {
	var b strings.Builder
	kind := "private"
	if s.Public {
		kind = "public"
	}
	fmt.Fprintf(&b, "hashid       %s\nnode         %s\n", s.Hashid, s.Node)
	fmt.Fprintf(&b, "network      %s (%s, %d hops)\n", Clean(s.Network), kind, s.Hops)
	for _, a := range s.Listen {
		fmt.Fprintf(&b, "listening    %s\n", a)
	}
	fmt.Fprintf(&b, "relays       %d known, %d usable", s.Known, s.Usable)
	if s.Missing > 0 {
		fmt.Fprintf(&b, "; %d more needed before messages can go", s.Missing)
	}
	if s.ClockOff != 0 {
		way := "ahead of"
		if s.ClockOff < 0 {
			way = "behind"
		}
		fmt.Fprintf(&b, "\nclock        %v %s those of other nodes: set it right", (time.Duration(s.ClockOff) * time.Second).Abs(), way)
	}
	if s.Crowded > 0 {
		fmt.Fprintf(&b, "\nrecords      crowded at %d places: somebody may be trying to hide them", s.Crowded)
	}
	fmt.Fprintf(&b, "\nconnections  %d\nmessages     %d without a receipt\n", s.Connections, s.Queued)
	fmt.Fprintf(&b, "relayed      %d packets, %d dropped\n", s.Forwarded, s.Dropped)
	fmt.Fprintf(&b, "kept         %d records of others, %d bytes; %d nodes banned\n", s.Records, s.RecordBytes, s.Banned)
	return b.String()
}
