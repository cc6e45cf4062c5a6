package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// config is config.toml: what a person may set and may be seen by whoever has
// the disk. Secrets, and who is known, stay in the vault.
type config struct {
	// Listen are the multiaddrs to listen on; empty: any free port on all interfaces.
	Listen []string `toml:"listen,omitempty"`
}

const (
	configName = "config.toml"
	configTemp = ".config-*" // on its way to that
	maxConfig  = 64 << 10
)

func readConfig(dir string) (config, error) {
	path := filepath.Join(dir, configName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return config{}, nil
	}
	if err != nil {
		return config{}, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return config{}, err
	}
	c, err := parseConfig(raw)
	if err != nil {
		return config{}, fmt.Errorf("%s cannot be read: %w", path, err)
	}
	return c, nil
}

// parseConfig reads the settings in a config.toml. It refuses what nobody could
// mean: settings that there are not, addresses that cannot be listened on.
func parseConfig(raw []byte) (config, error) {
	if len(raw) > maxConfig {
		return config{}, fmt.Errorf("it is larger than %d bytes", maxConfig)
	}
	var c config
	if err := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields().Decode(&c); err != nil {
		return config{}, plainConfigError(err)
	}
	for _, s := range c.Listen {
		if _, err := ParseListen(s); err != nil {
			return config{}, err
		}
	}
	return c, nil
}

// plainConfigError says which setting is unknown: the library names it in a
// picture of several lines.
func plainConfigError(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		row, _ := unknown.Errors[0].Position()
		return fmt.Errorf("line %d: there is no setting %q", row, strings.Join(unknown.Errors[0].Key(), "."))
	}
	return err
}

// writeConfig replaces config.toml whole or not at all. It does nothing for a
// profile without a directory.
func writeConfig(dir string, c config) error {
	if dir == "" {
		return nil
	}
	raw, err := toml.Marshal(c)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, configTemp)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already if all went well
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, configName))
}
