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
		return fmt.Sprintf("[%s]%s %s: %s", clock(e.At), again, called(e.Name, e.Tag), Inline(e.Text))
	case control.RequestReceived:
		return fmt.Sprintf("Somebody asks to become a contact: /accept, /reject or /block\n%s", request(e.From, e.Nick, e.Tag, e.Text))
	case control.ContactChanged:
		return contactChanged(e)
	case control.StatusChanged:
		return status(e)
	case control.Warning:
		return Inline(e.Text)
	}
	return ""
}

// ready names the identity where there are several, and tells whoever starts one for
// the first time what it shows.
func ready(e control.Ready) string {
	who := e.Hashid
	if e.Identity != "" {
		who = fmt.Sprintf("%s, %s", Inline(e.Identity), e.Hashid)
	}
	text := fmt.Sprintf("Ready in %s as %s. /help lists the commands.", Inline(e.Network), who)
	if e.Unseen > 0 {
		text = fmt.Sprintf("You are %s. Nobody sees your node in %s for %d s more, so that it does not come as the other goes.", who, Inline(e.Network), e.Unseen)
	}
	if e.First {
		text += "\nYou are visible: whoever knows this hashid can find this node and its IP address. /set visible says more."
	}
	return text
}

func contactChanged(e control.ContactChanged) string {
	name := called(e.Local, e.Tag)
	switch e.State {
	case "requested":
		return fmt.Sprintf("Asked %s to become a contact.", name)
	case "accepted":
		return fmt.Sprintf("%s is a contact now: @%s TEXT writes to them.", name, Inline(e.Local))
	case "blocked":
		return fmt.Sprintf("%s is blocked: nothing of theirs is heard or answered any more, and they are not told.", name)
	case "removed":
		return fmt.Sprintf("%s is a stranger again, and what was said is deleted.", name)
	}
	return fmt.Sprintf("%s is %s now.", name, e.State) // without a colon: somebody may be called error
}

func status(e control.StatusChanged) string {
	mark := e.ID[:min(8, len(e.ID))]
	switch {
	case e.State == control.Queued && e.Reason == "":
		return "" // the line that was typed says as much
	case e.Reason != "":
		return fmt.Sprintf("  (%s %s: %s)", mark, e.State, Inline(e.Reason))
	}
	return fmt.Sprintf("  (%s %s)", mark, e.State)
}

// request shows who asks. What the stranger chose stands in quotes, on lines of
// its own, so that it cannot be taken for the hashid.
func request(from, nick, tag, text string) string {
	shown := "  " + from
	if nick != "" {
		shown += "\n    calls itself " + quote(nick)
		if tag != "" {
			shown += " [" + tag + "], a name that may mislead"
		}
	}
	if text != "" {
		shown += "\n    and says " + quote(text)
	}
	return shown
}

// own is how this person is called beside what it said. No name has brackets, and some
// would like to be called "you".
const own = "(you)"

// contactLine shows a contact as it stands.
func contactLine(c control.Contact) string {
	line := fmt.Sprintf("%-16s %-9s %s", called(c.Name, c.Tag), c.State, c.Hashid)
	switch {
	case c.Changed:
		line += "  another key: see /verify"
	case c.Verified:
		line += "  verified"
	}
	if !c.Last.IsZero() {
		line += "  last " + c.Last.Local().Format(day)
	}
	return line
}

const (
	day        = "2006-01-02 15:04"
	usageWidth = 36 // of a command, before what it does; after a longer one that is on the next line
)

func clock(t time.Time) string { return t.Local().Format("15:04") }

// Result returns the result of a command as a person reads it.
func Result(result any) string {
	var b strings.Builder
	switch r := result.(type) {
	case control.Help:
		for _, c := range r.Commands {
			if len(c.Usage) > usageWidth {
				fmt.Fprintf(&b, "%s\n%*s %s\n", c.Usage, usageWidth, "", c.Help)
			} else {
				fmt.Fprintf(&b, "%-*s %s\n", usageWidth, c.Usage, c.Help)
			}
		}
	case control.ID:
		fmt.Fprintf(&b, "hashid  %s\nnode    %s\nlisted  %s\n", r.Hashid, r.Node, listed(r.Listed))
	case control.Identities:
		for _, one := range r.Identities {
			b.WriteString(identity(one))
		}
	case control.Identity:
		fmt.Fprintf(&b, "%s is a new identity: /id use %s begins to use it.\n%s", Inline(r.Name), Inline(r.Name), identity(r))
	case control.NowUsed:
		fmt.Fprintf(&b, "The node ends, and another starts for %s.\n", Inline(r.Name))
	case control.Visible:
		first := min(1, len(r.Why))
		fmt.Fprintf(&b, "%s%s.\n", strings.ToUpper(r.Why[:first]), Clean(r.Why[first:]))
	case control.Wiped:
		b.WriteString(wiped(r))
	case control.Nick:
		fmt.Fprintf(&b, "You call yourself %s.\n", quote(r.Nick))
	case control.Invite:
		fmt.Fprintln(&b, r.Invite)
	case control.Listing:
		b.WriteString(listing(r))
	case control.Latency:
		b.WriteString(latency(r.Latency))
	case control.Contacts:
		for _, c := range r.Contacts {
			fmt.Fprintln(&b, contactLine(c))
		}
		empty(&b, "You have no contacts yet: /add HASHID NAME asks somebody.")
	case control.Requests:
		for _, q := range r.Requests {
			fmt.Fprintln(&b, request(q.From, q.Name, q.Tag, q.Text))
		}
		empty(&b, "Nobody waits for your answer.")
	case control.Stored:
		fmt.Fprintf(&b, "  (%s queued)\n", r.ID[:min(8, len(r.ID))])
	case control.Conversation:
		fmt.Fprintf(&b, "What you type goes to %s now; /close ends that.\n", called(r.Name, r.Tag))
	case control.Contact:
		fmt.Fprintf(&b, "Called %s now.\n", called(r.Name, r.Tag))
	case control.Safety:
		b.WriteString(safetyNumber(r))
	case control.Compared:
		b.WriteString(compared(r))
	case control.Text:
		fmt.Fprintln(&b, textStatus(r))
	case control.Settings:
		b.WriteString(settings(r))
	case control.History:
		for _, said := range r.Texts {
			who := called(said.Name, said.Tag)
			if said.Own {
				who = own
			}
			fmt.Fprintf(&b, "[%s] %s: %s\n", said.At.Local().Format(day), who, Inline(said.Text))
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

// listing says who can find this person.
func listing(l control.Listing) string {
	if l.Listed {
		return "You are listed: whoever knows your hashid can find you and ask you.\n"
	}
	return "You are not listed: only your contacts, and who has a link that /invite prints from now on, can find you. If you were listed before, whoever knows your hashid sees for two weeks that you took your record back.\n"
}

// listed is the same in a few words.
func listed(yes bool) string {
	if yes {
		return "yes: the hashid is enough to find you"
	}
	return "no: only contacts and who has a link of /invite find you"
}

// latency says how what this person sends travels.
func latency(l string) string {
	switch l {
	case "normal":
		return "What you send is normal: each relay holds it for a tenth of a second on average, so that when it comes and goes tells less.\n"
	case "slow":
		return "What you send is slow: each relay holds it for two seconds on average, so that when it comes and goes tells little. A text takes some ten seconds, and so does its receipt.\n"
	}
	return "What you send is fast: relays hold nothing, and who watches enough of them can match times.\n"
}

// identity shows one of a profile's identities.
func identity(i control.Identity) string {
	mark, made, hashid := ' ', "", i.Hashid
	if i.Used {
		mark = '*'
	}
	if i.Unlisted {
		made += "  not listed"
	}
	if i.Damaged {
		hashid = "is damaged, and cannot be used"
	}
	if !i.Made.IsZero() {
		made = "  made " + i.Made.Local().Format("2006-01-02")
	}
	return fmt.Sprintf("%c %-16s %s%s\n", mark, Inline(i.Name), hashid, made)
}

// wiped says what is gone.
func wiped(w control.Wiped) string {
	if w.Ephemeral {
		return "This identity is gone: it was nowhere on the disk. A profile on the disk is as it was.\n"
	}
	return "The profile is destroyed.\n"
}

// settings says what is kept of a conversation.
func settings(s control.Settings) string {
	kept := "Nothing is kept of what you and %s say"
	if s.History {
		kept = "What you and %s say is kept"
	}
	kept = fmt.Sprintf(kept, called(s.Name, s.Tag))
	if s.TTL == 0 {
		return kept + ".\n"
	}
	return fmt.Sprintf("%s; what you say is forgotten after %v by both of you, and what %s says by you.\n", kept, time.Duration(s.TTL)*time.Second, Clean(s.Name))
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
	fmt.Fprintf(&b, "hashid       %s\nnode         %s\nlisted       %s\n", s.Hashid, s.Node, listed(s.Listed))
	fmt.Fprintf(&b, "network      %s (%s, %d hops)\n", Inline(s.Network), kind, s.Hops)
	for _, a := range s.Listen {
		fmt.Fprintf(&b, "listening    %s\n", a)
	}
	if s.Unseen > 0 {
		fmt.Fprintf(&b, "listening    in %d s: until then nobody sees this node\n", s.Unseen)
	}
	fmt.Fprintf(&b, "relays       %d known, %d usable", s.Known, s.Usable)
	if s.Missing > 0 {
		fmt.Fprintf(&b, "; %d more needed before messages can go", s.Missing)
	}
	fmt.Fprintln(&b)
	if s.Paths != nil {
		paths(&b, s.Paths)
	}
	if s.ClockOff != 0 {
		way := "ahead of"
		if s.ClockOff < 0 {
			way = "behind"
		}
		fmt.Fprintf(&b, "clock        %v %s those of other nodes: set it right\n", (time.Duration(s.ClockOff) * time.Second).Abs(), way)
	}
	if s.Crowded > 0 {
		fmt.Fprintf(&b, "records      crowded at %d places: somebody may be trying to hide them\n", s.Crowded)
	}
	fmt.Fprintf(&b, "connections  %d\nlatency      %s\nmessages     %d without a receipt\n", s.Connections, s.Latency, s.Queued)
	fmt.Fprintf(&b, "relayed      %d packets, %d dropped\n", s.Forwarded, s.Dropped)
	fmt.Fprintf(&b, "kept         %d records of others, %d bytes; %d nodes banned\n", s.Records, s.RecordBytes, s.Banned)
	return b.String()
}
