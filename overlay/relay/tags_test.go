package relay

import (
	"testing"
	"time"

	"chatnt/discovery/hashid"
	"chatnt/discovery/record"
	"chatnt/overlay/onion"
)

// All the tags of the epochs whose keys serve at once fit one set.
func TestBudgetBoundsTheTags(t *testing.T) {
	tags := newTags()
	now := time.Unix(1_700_000_000, 0)
	begin, taken := now, 0
	const served = 2*record.EpochLength + record.ClockSkew // by a key
	for now.Sub(begin) < served {                          // two neighbours ask for more than there is
		for i := range byte(2) {
			for range tagRate {
				if tags.Take(now, hashid.NodeID{i}) {
					taken++
				}
			}
		}
		now = now.Add(time.Second)
	}
	if taken > onion.MaxReplayTags || taken < onion.MaxReplayTags*9/10 {
		t.Errorf("%d tags in %v, a set holds %d", taken, served, onion.MaxReplayTags)
	}
}
