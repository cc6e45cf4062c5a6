package relay

import (
	"chatnt/discovery/hashid"
	"chatnt/overlay/fair"
)

// Every packet that a relay opens leaves a tag, to be remembered for as long as
// its key serves: its own epoch, the next one, and before its own the time by
// which a sender's clock may be ahead, 2 [record.EpochLength] + [record.ClockSkew]
// in all. So a bound on tags remembered is a bound on the rate of packets opened.
// Tags that came within those 130 minutes number at most
//
//	tagBurst + tagRate * 7800 s = 4,112,288
//
// which is less than one [onion.ReplaySet] holds, and 50 MB in two or three of
// them. The rate is 2 MB a second each way for as long as anybody likes to send,
// 7 GB an hour, however fast the processor; faster for the first hours is a matter
// of the burst, 2 GB.
const (
	tagRate  = 460     // a second
	tagBurst = 1 << 19 // before the rate binds
)

// newTags returns the tags that a relay may remember, for the neighbours that
// packets come from. A flood leaves nothing behind that an epoch would have to end
// to clear.
//
// Who sends too much through an honest neighbour takes from that neighbour's
// part: nobody but the neighbour could tell its packets apart.
func newTags() *fair.Budget[hashid.NodeID] { return fair.NewBudget[hashid.NodeID](tagRate, tagBurst) }
