package control_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"chatnt/discovery/hashid"
	"chatnt/discovery/network"
	"chatnt/node/control"
)

// Each line of a dialogue, what the node was told to do, and what came of it:
// the result as JSON, or the error.
func TestDialogue(t *testing.T) {
	carol := hashid.ID{3}.String()
	invite, err := (&network.Invite{Person: hashid.ID{4}}).Text()
	if err != nil {
		t.Fatal(err)
	}
	netOnly, err := network.New("fam", 3, true)
	if err != nil {
		t.Fatal(err)
	}
	toNetwork, err := (&network.Invite{Network: netOnly}).Text()
	if err != nil {
		t.Fatal(err)
	}
	link := linkKey()
	linked, err := (&network.Invite{Person: hashid.ID{4}, Link: link}).Text()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := (&network.Invite{Network: netOnly, Person: hashid.ID{4}, Link: link}).Text()
	if err != nil {
		t.Fatal(err)
	}
	number := func(verified bool) string {
		return `{"hashid":"` + hashid.ID{2}.String() + `","name":"bob","digits":"1","words":"one","qr":"x","verified":` + strconv.FormatBool(verified) + `,"changed":false}`
	}
	sent := `{"id":"07` + strings.Repeat("0", 30) + `","state":"queued"}`
	f := newFake()
	s := control.NewDialogue(f)
	for _, step := range []struct{ line, did, result, fails string }{
		{line: "/id", result: `{"hashid":"me","node":"here","listed":true}`},
		{line: "/id ", result: `{"hashid":"me","node":"here","listed":true}`},
		{line: "/id x", fails: "/id [list | new NAME"},
		{line: "/", fails: "there is no command /:"},
		{line: "/ id", fails: "there is no command"},
		{line: "/ID", fails: "there is no command /ID"},
		{line: "/nonsense x", fails: "there is no command /nonsense"},
		{line: "/nick", result: `{"nick":""}`},
		{line: "/nick  ada l ", did: `nick "ada l"`, result: `{"nick":"ada l"}`},
		{line: "/nick bad", did: `nick "bad"`, fails: "a bad nick"},
		{line: "/invite", result: `{"invite":"chatnt:both"}`},
		{line: "/invite me", result: `{"invite":"chatnt:me"}`},
		{line: "/invite network", result: `{"invite":"chatnt:network"}`},
		{line: "/invite new", did: "new link", result: `{"invite":"chatnt:both"}`},
		{line: "/invite you", fails: "/invite [me | network | new]"},
		{line: "/invite me new", fails: "/invite [me | network | new]"},
		{line: "/set listed", result: `{"listed":true}`},
		{line: "/set listed off", did: "listed false", result: `{"listed":false}`},
		{line: "/set listed", result: `{"listed":false}`},
		{line: "/set listed on", did: "listed true", result: `{"listed":true}`},
		{line: "/set listed perhaps", fails: "listed [on|off]"},
		{line: "/set listed off bob", fails: "listed [on|off]"},
		{line: "/add", fails: "/add HASHID|INVITE NAME [TEXT]"},
		{line: "/add " + carol, fails: "/add HASHID|INVITE NAME [TEXT]"},
		{line: "/add carol carol", fails: "56 letters"},
		{line: "/add " + carol[:55] + "2 carol", fails: ""},
		{line: "/add " + carol + " carol", did: `add 3 "carol" ""`, result: "null"},
		{line: "/add " + carol + "  carol  hello there", did: `add 3 "carol" "hello there"`, result: "null"},
		{line: "/add " + invite + " dan", did: `add 4 "dan" ""`, result: "null"},
		{line: "/add " + strings.ToUpper(invite) + " dan", did: `add 4 "dan" ""`, result: "null"},
		{line: "/add " + toNetwork + " dan", fails: "names a network, but no person"},
		{line: "/add " + linked + " dan", did: `add 4 by a link key "dan" ""`, result: "null"},
		{line: "/add " + elsewhere + " dan", fails: "this invite belongs to another network than this node"},
		{line: "/add " + linked[:len(linked)-2] + " dan", fails: network.ErrChecksum.Error()},
		{line: "/add chatnt:x dan", fails: "typing error"},
		{line: "/accept", fails: "/accept HASHID|NAME [LOCALNAME]"},
		{line: "/accept a b c", fails: "/accept HASHID|NAME [LOCALNAME]"},
		{line: "/accept a", did: `accept "a" ""`, result: "null"},
		{line: "/accept a b", did: `accept "a" "b"`, result: "null"},
		{line: "/reject", fails: "/reject HASHID|NAME"},
		{line: "/reject a b", fails: "/reject HASHID|NAME"},
		{line: "/reject a", did: `reject "a"`, result: "null"},
		{line: "/contacts", result: `{"contacts":[{"hashid":"` + hashid.ID{2}.String() + `","name":"bob","nick":"Bobby","state":"accepted","since":"1970-01-01T00:00:01Z"}]}`},
		{line: "/requests", result: `{"requests":[]}`},
		{line: "/msg", fails: "/msg [-id IDENTITY] [-fast|-normal|-slow] [-verified] [-json] NAME TEXT"},
		{line: "/msg bob", fails: "/msg [-id IDENTITY] [-fast|-normal|-slow] [-verified] [-json] NAME TEXT"},
		{line: "/msg bob  ", fails: "/msg [-id IDENTITY] [-fast|-normal|-slow] [-verified] [-json] NAME TEXT"},
		{line: "/msg -json bob \"two\\nlines\"", did: `send bob "two\nlines"`, result: sent},
		{line: "/msg -json bob two", fails: "JSON string"},
		{line: "/msg -json bob \"a\\u0000\"", fails: "JSON string"},
		{line: "/msg -json bob", fails: "[-verified] [-json] NAME TEXT"},
		{line: "/msg -verified -json bob \"hi\"", did: `verified bob, send bob "hi"`, result: sent},
		{line: "/msg -verified stranger hi", did: "verified stranger", fails: "not verified"},
		{line: "/msg -slow bob hi", did: `slow bob, send bob "hi"`, result: sent},
		{line: "/msg -verified -normal -json bob \"hi\"", did: `normal bob, verified bob, send bob "hi"`, result: sent},
		{line: "/msg -fast bob -slow", did: `fast bob, send bob "-slow"`, result: sent},
		{line: "/msg -fast -slow bob hi", fails: "[-fast|-normal|-slow]"},
		{line: "/msg -slow bob", fails: "[-fast|-normal|-slow]"},
		{line: "/set latency", result: `{"latency":"fast"}`},
		{line: "/set latency slow", result: `{"latency":"slow"}`},
		{line: "/set latency", result: `{"latency":"slow"}`},
		{line: "/set latency quick", fails: "no latency"},
		{line: "/set latency slow bob", fails: "latency [fast|normal|slow]"},
		{line: "/msg -nonsense bob hi", fails: "[-verified] [-json] NAME TEXT"},
		{line: "/msg bob -json", did: `send bob "-json"`, result: sent},
		{line: "/block", fails: "/block HASHID|NAME"},
		{line: "/block a b", fails: "/block HASHID|NAME"},
		{line: "/block a", did: `block "a"`, result: "null"},
		{line: "/unblock a", did: `unblock "a"`, result: "null"},
		{line: "/remove", fails: "/remove NAME"},
		{line: "/remove a", did: `remove "a"`, result: "null"},
		{line: "/rename bob", fails: "/rename NAME NEWNAME"},
		{line: "/rename bob a b", fails: "/rename NAME NEWNAME"},
		{line: "/rename bob robert", did: `rename "bob" "robert"`, result: `{"hashid":"` + hashid.ID{2}.String() + `","name":"robert","nick":"Bobby","state":"accepted","since":"1970-01-01T00:00:01Z"}`},
		{line: "/verify", fails: "/verify NAME [yes|no|NUMBER]"},
		{line: "/verify carol", fails: "no such contact"},
		{line: "/verify bob yes", fails: "nothing to say yes to yet: /verify bob shows the number"},
		{line: "/verify bob no", fails: "nothing to say no to yet: /verify bob shows the number"},
		{line: "/verify bob", result: number(false)},
		{line: "/verify bob yes ", did: `compare bob "x" true`, result: number(true)},
		{line: "/verify bob  no", did: `compare bob "x" false`, result: number(false)},
		{line: "/verify bob 1", did: `compare bob "1" true`, result: number(true)},
		{line: "/verify bob 12345 67890", fails: control.ErrOtherNumber.Error()},
		{line: "/verify carol yes", fails: "no such contact"},
		{line: "/verify carol 1", fails: "no such contact"},
		{line: "/status 7", result: `{"id":"7","to":"","state":"sent","reason":""}`},
		{line: "/status 8", fails: "no such text"},
		{line: "/status 7 8", fails: "/status [ID]"},
		{line: "/cancel", fails: "/cancel ID"},
		{line: "/cancel 7 8", fails: "/cancel ID"},
		{line: "/cancel 8", fails: "no such text"},
		{line: "/cancel 7", did: "cancel 7", result: `{"id":"7","to":"","state":"failed","reason":"it was taken back"}`},
		{line: "/msg bob hi", did: `send bob "hi"`, result: sent},
		{line: "/msg bob   two  spaces ", did: `send bob "  two  spaces "`, result: sent},
		{line: "/msg carol hi", fails: "no such contact"},
		{line: "@bob hi", did: `send bob "hi"`, result: sent},
		{line: "@bob /quit", did: `send bob "/quit"`, result: sent},
		{line: "@bob", fails: "@NAME TEXT"},
		{line: "@", fails: "@NAME TEXT"},
		{line: "@ hi", fails: "@NAME TEXT"},
		{line: "@carol hi", fails: "no such contact"},
		{line: "hi", fails: "no conversation is open"},
		{line: "//hi", fails: "no conversation is open"},
		{line: "/query carol", fails: "no such contact"},
		{line: "/query", fails: "/query NAME"},
		{line: "/query bob hi", fails: "/query NAME"},
		{line: "/query bob", result: `{"name":"bob","hashid":"` + hashid.ID{2}.String() + `"}`},
		{line: " hi", did: `send bob " hi"`, result: sent},
		{line: "//hi", did: `send bob "/hi"`, result: sent},
		{line: "/hi", fails: "there is no command /hi"},
		{line: "#room hi", fails: "there are no rooms yet"},
		{line: "/close", result: "null"},
		{line: "hi", fails: "no conversation is open"},
		{line: "/peers", result: `{"known":3,"usable":1,"relays":["there"]}`},
		{line: "/path", fails: "no path yet"},
		{line: "@bob \xff", fails: "not text"},
		{line: "@bob a\x00b", fails: "not text"},
		{line: "@bob \x1b[2J", did: `send bob "\x1b[2J"`, result: sent},
	} {
		if s.Over() {
			t.Fatalf("over before %q", step.line)
		}
		result, err := s.Execute(step.line)
		if did := strings.Join(f.done(), ", "); did != step.did {
			t.Errorf("%q did %s, want %s", step.line, did, step.did)
		}
		if step.result == "" {
			if err == nil || !strings.Contains(err.Error(), step.fails) {
				t.Errorf("%q: error %v, want %q", step.line, err, step.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", step.line, err)
			continue
		}
		if got := asJSON(t, result); got != step.result {
			t.Errorf("%q: %s, want %s", step.line, got, step.result)
		}
	}
	if _, err := s.Execute("/quit"); err != nil || !s.Over() {
		t.Errorf("/quit: %v, over %v", err, s.Over())
	}
}

// The open conversation is with a person, not with a name.
func TestQueryFollowsThePerson(t *testing.T) {
	s := control.NewDialogue(newFake())
	if c, open := s.Open(); open {
		t.Errorf("the open conversation is %+v", c)
	}
	if _, err := s.Execute("/query " + hashid.ID{2}.String()); err != nil {
		t.Fatal(err)
	}
	if c, open := s.Open(); !open || c.Name != "bob" {
		t.Errorf("the open conversation is %+v", c)
	}
}

// A yes or no is about the number that was shown in the same dialogue: not about one that another key makes,
// nor one that somebody else looked at.
func TestAnswersAreToWhatWasShown(t *testing.T) {
	f := newFake()
	s, other := control.NewDialogue(f), control.NewDialogue(f)
	run := func(s *control.Dialogue, line, fails string, did ...string) {
		t.Helper()
		_, err := s.Execute(line)
		if (err == nil) != (fails == "") || err != nil && !strings.Contains(err.Error(), fails) {
			t.Errorf("%q: %v", line, err)
		}
		if got := f.done(); !slices.Equal(got, did) {
			t.Errorf("%q did %q", line, got)
		}
	}
	run(s, "/verify bob", "")
	f.mu.Lock()
	f.rekeyed = true // while they compare
	f.mu.Unlock()
	run(other, "/verify bob yes", "nothing to say yes to")
	run(other, "/verify bob", "")
	const stale = "the keys have changed since you looked, and nothing was done: /verify bob shows the new number"
	run(s, "/verify bob yes", stale)
	run(s, "/verify bob no", stale)
	run(s, "/verify bob 1", "not the number")
	run(s, "/verify "+bob().Hashid, "")
	run(s, "/verify bob no", "", `compare bob "y" false`)
	run(s, "/verify bob 2", "", `compare bob "2" true`)
}

// Every command of /help is one, and is explained.
func TestHelp(t *testing.T) {
	result, err := control.NewDialogue(newFake()).Execute("/help")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range result.(control.Help).Commands {
		name, _, _ := strings.Cut(c.Usage, " ")
		names = append(names, name)
		if c.Help == "" {
			t.Errorf("%s is not explained", name)
		}
		_, err := control.NewDialogue(newFake()).Execute(name)
		if err != nil && strings.Contains(err.Error(), "no command") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name := range strings.FieldsSeq("/help /id /nick /invite /add /accept /reject /contacts /requests /msg /query /peers /path /status /set /quit") {
		if !slices.Contains(names, name) {
			t.Errorf("%s of the contract is missing", name)
		}
	}
}

func TestComplete(t *testing.T) {
	s := control.NewDialogue(newFake())
	for line, want := range map[string]string{
		"/qu":      "/query |/quit ",
		"/msg":     "/msg ",
		"/x":       "",
		"@":        "@bob ",
		"@bo":      "@bob ",
		"@x":       "",
		"@bob ":    "",
		"/msg ":    "/msg bob ",
		"/query b": "/query bob ",
		"/verify ": "/verify bob ",
		"/rename":  "/rename ",
		"/id ":     "",
		"":         "",
		"hello":    "",
	} {
		if got := strings.Join(s.Complete(line), "|"); got != want {
			t.Errorf("Complete(%q) = %q, want %q", line, got, want)
		}
	}
}

// ends reports whether a line is /quit or /wipe -now.
func ends(line string) bool {
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	return slices.Equal(words, []string{"/quit"}) || slices.Equal(words, []string{"/wipe", "-now"})
}

// No line is too odd to be answered, and only these end a dialogue.
func FuzzExecute(f *testing.F) {
	for _, line := range []string{
		"", "/", "//", "@", "#", "/quit", "/quit x", "/msg bob  hi", "@bob hi", "/add a b c", "/query bob", "\x00", "\xff", "/\xff", "@bob\thi", " /quit",
		"/add chatnt:qqqq bob", "/accept\t\ta b", "/nick \u202e",
		"/msg -json bob \"a\\nb\"", "/msg -", "/verify bob no", "/rename bob b", "/wipe -now", "/id use work", "/id delete work -now",
	} {
		f.Add(line, line)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		n := newFake()
		s := control.NewDialogue(n)
		for _, line := range []string{first, second, "/query bob", first, second} {
			result, err := s.Execute(line)
			if err != nil && err.Error() == "" {
				t.Errorf("%q: an error without a sentence", line)
			}
			if err == nil && result != nil {
				asJSON(t, result)
			}
			s.Complete(line)
		}
		if quit := ends(first) || ends(second); s.Over() != quit {
			t.Errorf("over is %v", s.Over())
		}
	})
}
