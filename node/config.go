package node

import (
	"bytes"
	"errors"
	"fmt"
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
	maxConfig  = 64 << 10
)

func readConfig(dir string) (config, error) {
	var c config
	raw, err := os.ReadFile(filepath.Join(dir, configName))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if len(raw) > maxConfig {
		return c, fmt.Errorf("%s is larger than %d bytes", configName, maxConfig)
	}
	if err := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields().Decode(&c); err != nil {
		return c, fmt.Errorf("%s cannot be read: %w", filepath.Join(dir, configName), plainConfigError(err))
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
	f, err := os.CreateTemp(dir, ".config-*")
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
