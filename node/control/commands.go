package control

import (
	"fmt"
	"strings"

	"chatnt/node/message"
)

// command is one slash command. run gets what follows its name, without the
// space between, and returns a struct whose JSON fields are the command's result,
// or nil.
type command struct {
	name  string
	usage string // arguments
	help  string
	run   func(s *Dialogue, rest string) (any, error)
}

// commands lists the slash commands in the order that /help shows them.
func commands() []command {
	return []command{
		{"help", "", "this list", (*Dialogue).help},
		{"id", "[list | new NAME [-unlisted] | use NAME [-now] | delete NAME [-now]]", "your hashid and your node's id; other identities, of which one is in use", (*Dialogue).id},
		{"nick", "[NAME]", "what you call yourself to others", (*Dialogue).nick},
		{"invite", "[me | network | new]", "a link to you and this network, or to one of them; new makes the links to you that you gave away before worthless", (*Dialogue).invite},
		{"add", "HASHID|INVITE NAME [TEXT]", "ask somebody to become a contact; NAME is yours to choose", (*Dialogue).add},
		{"accept", "HASHID|NAME [LOCALNAME]", "say yes to a request", (*Dialogue).accept},
		{"reject", "HASHID|NAME", "say no to a request", (*Dialogue).reject},
		{"block", "HASHID|NAME", "hear nothing of somebody any more; they are not told", (*Dialogue).block},
		{"unblock", "NAME", "make a stranger of somebody you blocked", (*Dialogue).unblock},
		{"remove", "NAME", "make a stranger of a contact, and delete all that was said", (*Dialogue).remove},
		{"rename", "NAME NEWNAME", "call a contact by another name", (*Dialogue).rename},
		{"verify", "NAME [yes|no|NUMBER]", "compare safety numbers, and remember the answer", (*Dialogue).verify},
		{"contacts", "", "whom you know", (*Dialogue).contacts},
		{"requests", "", "who waits for your answer", (*Dialogue).requests},
		{"msg", "[-id IDENTITY] [-fast|-normal|-slow] [-verified] [-json] NAME TEXT", "send a text; @NAME TEXT does the same", (*Dialogue).msg},
		{"cancel", "ID", "take back a text that waits, if it has not gone out", (*Dialogue).cancel},
		{"query", "NAME", "open a conversation: what you type goes there", (*Dialogue).query},
		{"close", "", "close the conversation", (*Dialogue).close},
		{"set", "[history on|off | ttl TIME|off] [NAME] | listed [on|off] | visible [on [-now] | off] | latency [fast|normal|slow]", "what is kept of a conversation, and for how long: /set ttl 1h; whether your hashid is enough to find you, and whether your node can be; how long relays hold what you send", (*Dialogue).set},
		{"history", "[NAME] [COUNT]", "the last texts of a conversation whose history is on", (*Dialogue).history},
		{"peers", "", "the relays you know", (*Dialogue).peers},
		{"path", "", "the relays your last message went through", (*Dialogue).path},
		{"status", "[ID]", "how the node is doing, or how far a text has come", (*Dialogue).status},
		{"wipe", "[-now]", "destroy the profile, at once and for ever; of --ephemeral, end the identity that is nowhere on the disk", (*Dialogue).wipe},
		{"quit", "", "stop", (*Dialogue).quit},
	}
}

// Help is the result of /help.
type Help struct {
	Commands []CommandHelp `json:"commands"`
}

// CommandHelp is one line of it.
type CommandHelp struct {
	Usage string `json:"usage"`
	Help  string `json:"help"`
}

func (s *Dialogue) help(string) (any, error) {
	var h Help
	for _, c := range commands() {
		h.Commands = append(h.Commands, CommandHelp{Usage: strings.TrimSpace("/" + c.name + " " + c.usage), Help: c.help})
	}
	return h, nil
}

// Nick is the result of /nick.
type Nick struct {
	Nick string `json:"nick"`
}

func (s *Dialogue) nick(rest string) (any, error) {
	if name := strings.TrimSpace(rest); name != "" {
		if err := s.node.SetNick(name); err != nil {
			return nil, err
		}
	}
	nick, err := s.node.Nick()
	return Nick{nick}, err
}

func (s *Dialogue) accept(rest string) (any, error) {
	who, rest := word(rest)
	local, rest := word(rest)
	if who == "" || rest != "" {
		return nil, usage("accept")
	}
	return nil, s.node.Accept(who, local)
}

func (s *Dialogue) reject(rest string) (any, error) {
	who, rest := word(rest)
	if who == "" || rest != "" {
		return nil, usage("reject")
	}
	return nil, s.node.Reject(who)
}

// Contacts is the result of /contacts.
type Contacts struct {
	Contacts []Contact `json:"contacts"`
}

func (s *Dialogue) contacts(string) (any, error) {
	return Contacts{Contacts: append([]Contact{}, s.node.Contacts()...)}, nil
}

// Requests is the result of /requests.
type Requests struct {
	Requests []Request `json:"requests"`
}

func (s *Dialogue) requests(string) (any, error) {
	return Requests{Requests: append([]Request{}, s.node.Requests()...)}, nil
}

// Stored is the result of sending a text.
type Stored struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

func (s *Dialogue) msg(rest string) (any, error) {
	var how How
	quoted := false
	for strings.HasPrefix(strings.TrimLeft(rest, " \t"), "-") { // no name begins so
		var flag string
		switch flag, rest = word(rest); {
		case flag == "-verified": // or the text is not taken
			how.Verified = true
		case flag == "-json": // the text is written as a JSON string
			quoted = true
		case flag == "-id": // or the text is not taken
			var as string
			as, rest = word(rest)
			if err := s.speaksFor(as); err != nil {
				return nil, err
			}
		case how.Latency == "" && (flag == "-fast" || flag == "-normal" || flag == "-slow"):
			how.Latency = flag[1:]
		default:
			return nil, usage("msg")
		}
	}
	name, text := addressed(rest)
	if name == "" || text == "" {
		return nil, usage("msg")
	}
	if quoted {
		var err error
		if text, err = asText(text); err != nil {
			return nil, err
		}
	}
	return stored(s.node.SendAs(name, text, how))
}

func (s *Dialogue) send(name, text string) (any, error) { return stored(s.node.Send(name, text)) }

func stored(id message.ID, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return Stored{ID: id.String(), State: Queued}, nil
}

// Conversation is the result of /query.
type Conversation struct {
	Name   string `json:"name"`
	Tag    string `json:"tag,omitempty"`
	Hashid string `json:"hashid"`
}

func (s *Dialogue) query(rest string) (any, error) {
	name, rest := word(rest)
	if name == "" || rest != "" {
		return nil, usage("query")
	}
	c, err := s.node.Contact(name)
	if err != nil {
		return nil, err
	}
	s.open(c.Hashid)
	return Conversation{Name: c.Name, Tag: c.Tag, Hashid: c.Hashid}, nil
}

func (s *Dialogue) close(string) (any, error) {
	s.open("")
	return nil, nil
}

func (s *Dialogue) peers(string) (any, error) { return s.node.Peers(), nil }

func (s *Dialogue) path(string) (any, error) { return s.node.LastPath() }

func (s *Dialogue) status(rest string) (any, error) {
	id, rest := word(rest)
	switch {
	case rest != "":
		return nil, usage("status")
	case id != "":
		return s.node.Text(id)
	}
	return s.node.Status(), nil
}

func (s *Dialogue) cancel(rest string) (any, error) {
	id, rest := word(rest)
	if id == "" || rest != "" {
		return nil, usage("cancel")
	}
	return s.node.Cancel(id)
}

func (s *Dialogue) quit(string) (any, error) {
	if !s.Over() {
		close(s.quitting)
	}
	return nil, nil
}

// word splits the first word off a line, and the spaces and tabs around it.
func word(line string) (first, rest string) {
	line = strings.TrimLeft(line, " \t")
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], strings.TrimLeft(line[i:], " \t")
	}
	return line, ""
}

// addressed splits a name and one space behind it off a text, which is left as
// it is; a text of spaces alone is none.
func addressed(line string) (name, text string) {
	line = strings.TrimLeft(line, " \t")
	i := strings.IndexAny(line, " \t")
	if i < 0 || strings.TrimSpace(line[i:]) == "" {
		return line, ""
	}
	return line[:i], line[i+1:]
}

// usage says how a command is written.
func usage(name string) error {
	for _, c := range commands() {
		if c.name == name {
			return fmt.Errorf("this is written /%s %s", c.name, c.usage)
		}
	}
	return fmt.Errorf("there is no command /%s", name)
}
