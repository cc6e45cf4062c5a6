package record

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLinkKeyText(t *testing.T) {
	type stored struct {
		Link LinkKey `json:"link,omitzero"`
	}
	key := LinkKey{0xab, 31: 0x01}
	raw, err := json.Marshal(stored{key})
	if want := `{"link":"ab` + strings.Repeat("00", 30) + `01"}`; err != nil || string(raw) != want {
		t.Fatalf("stored as %s, %v, want %s", raw, err, want)
	}
	var back stored
	if err := json.Unmarshal(raw, &back); err != nil || back.Link != key {
		t.Errorf("read as %x, %v", back.Link, err)
	}
	if raw, err := json.Marshal(stored{}); err != nil || string(raw) != "{}" {
		t.Errorf("no link key is stored as %s, %v", raw, err)
	}
	for _, text := range []string{"", "00", strings.Repeat("0", 63), strings.Repeat("0", 66), strings.Repeat("0g", 32)} {
		before := back.Link
		if err := back.Link.UnmarshalText([]byte(text)); err == nil || back.Link != before {
			t.Errorf("%q: read as %x, %v", text, back.Link, err)
		}
	}
}
