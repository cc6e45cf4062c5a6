// Package path chooses the relays that a node's packets pass, and learns from how
// they fared which relays to leave out.
//
// A way goes from this node to an end node and back, through up to three relays
// each way:
//
//	self ─► guard ─► second ─► third ─► end
//	self ◄─ guard ◄─ second ◄─ third ◄─ end
//
// Guards are two or three, kept for 60 to 90 days each, and stand next to this node
// on both ways. The second relays come from a set of four kept for 1 to 22 days, and
// the third ones from all usable relays. So those that see where packets go learn,
// even over thousands of ways to an end that is with them, no more than these four;
// and who has to find out whose guard a relay talks to must have one of the four. If
// there are fewer than twelve usable relays, no more are picked to be kept, and if none of
// those that are kept is usable then, any relay stands first, as in any network of fewer
// than 24.
//
// Nothing is picked to be kept out of the first relays that a node reaches, whoever these
// may be: not before their number has not grown for fifteen seconds, or some minutes went
// by (growth.go). And nothing is picked in place of what cannot be used while it may be
// this node's own network that fails, see [Chooser.Reached]; after that at once, but then
// ever later.
//
// Where the network has a prefix rule, no two nodes of one way share an IPv4 /16 or
// IPv6 /32, the end included, by any of their addresses; all host names count as one
// prefix. Relays are drawn so that a prefix of a thousand is drawn as often as one of
// a single relay. This rule is never relaxed.
//
// The package is pure: time, random bits and the usable relays come in, relays go
// out. A relay's observed age, which would be a good thing to know before it becomes
// a guard, is not among what comes in.
//
// # What it cannot know
//
// Losses are put down to relays and links as chances, see [Chooser.Report]. Some
// things look the same from here. A relay that never passed a packet between others,
// but only stood next to one end, and lost all, may have been framed by that end: it
// is avoided there, and nowhere else. Several ends that agree can have any relay left
// out that stood next to them: up to a quarter of all, for minutes to hours, which
// raises the share of bad relays among third ones by a third at the most, and tells
// nothing about guards. Three bad ones of the four second relays can have a good
// guard left out that they lose everything from. A relay that loses less than a
// quarter stays. Addresses are as relays claim them; that a swarm in few prefixes
// gains next to nothing from claiming others besides is shown at the drawing (fair.go),
// but a relay that nobody has reached at the prefix it claims can still share a way
// with another of the same operator.
//
// # What is stored
//
// All integers are big endian, times are unix seconds.
//
//	offset  size  field
//	0       1     version, 1
//	1       8     when a guard was last picked; with none, when picking some was first
//	              put off; 0 if never
//	9       1     number g of guards, at most 20
//	10      48g   guards, in the order in which they were picked
//	10+48g  1     number s of second relays, at most 16
//	11+48g  48s   second relays, in the order in which they were picked
//
// Each relay is its node id (32), since when (8) and until when it is kept (8). Both
// are part of what anybody wants to know who looks for this node: it is to be stored
// sealed. Blame is not stored; a minute brings it back.
package path
