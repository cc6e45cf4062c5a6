package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A config.toml that never ends is not read to its end.
func TestEndlessConfig(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/zero", filepath.Join(dir, configName)); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(dir); err == nil || !strings.Contains(err.Error(), "larger than 65536 bytes") {
		t.Errorf("read all the same: %v", err)
	}
}

// Addresses that cannot be listened on are refused where they are written, and
// what is refused is not repeated at any length.
func TestConfigWithWrongAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"listen = ['/ip4/0.0.0.0/tcp/4001', '/dns4/localhost/tcp/1']":    `"/dns4/localhost/tcp/1" is not an address to listen on`,
		"listen = ['/ip4/0.0.0.0/tcp/" + strings.Repeat("0", 200) + "']": "at most 128 bytes, this has 217",
	} {
		if _, err := parseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("%.80s: %v", text, err)
		}
	}
}
