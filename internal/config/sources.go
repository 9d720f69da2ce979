package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"etcd-rolling-backup/snapshot/keyfile"
)

// Sources say what the configuration file and the command line contribute to the settings.
type Sources struct {
	File        string   // the configuration file; "": none was read
	FileFlags   []string // the flags with which another command on this node reads the same file; none: it does so without one
	FileByFlag  bool     // --config is on the command line; a variable is there for the next command in the same terminal too
	FromFile    []string // keys whose value is the file's
	Hidden      []string // keys of the file that have no effect, because a variable or a flag sets another value
	FileSecrets []string // keys of the file, of whatever command, whose value is a secret
	FlagSecrets []string // flags of the command line whose value is a secret, which the process list shows
	// Environment is the environment file of our systemd units, and EnvironmentSecrets are the keys whose value is a secret in it.
	Environment        string
	EnvironmentSecrets []string
}

// environmentFile is what our systemd units read, if it exists.
const environmentFile = "/etc/etcd-rolling-backup/env"

// Reading is what one reading of the settings gives.
type Reading struct {
	Config   Config
	Settings []Setting
	Sources  Sources
}

// Sources are those of the command, after Read.
func (o *Origins) Sources(c *cli.Context) Sources {
	s := Sources{File: o.File, FromFile: o.applied, Hidden: o.hidden, FileSecrets: o.secrets}
	switch path := c.String("config"); path {
	case o.standard:
	case "", os.DevNull: // there may be a default file
		s.FileFlags = []string{"--config", path}
	default:
		if full, err := filepath.Abs(path); err == nil {
			path = full
		}
		s.FileFlags = []string{"--config", path}
	}
	s.FileByFlag = slices.Contains(givenFlags(c.Command, o.Words), "config")
	s.Environment = filepath.Join("/", o.root, environmentFile)
	environment, _ := keyfile.Read(s.Environment) // systemd has read it, if anybody has
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		value := c.String(name)
		if !IsSecret(name, value) {
			continue
		}
		switch o.Of(c, name).Kind {
		case FromFlag:
			s.FlagSecrets = append(s.FlagSecrets, name)
		case FromEnvironment:
			if bytes.Contains(environment, []byte(value)) {
				s.EnvironmentSecrets = append(s.EnvironmentSecrets, name)
			}
		}
	}
	return s
}

// Needs reports a flag that another command on this node needs to get the same value; fallback is the flag's default.
func (s Sources) Needs(key, value, fallback string) bool {
	switch {
	case slices.Contains(s.FromFile, key):
		return false
	case slices.Contains(s.Hidden, key): // even the default has to take precedence over the file
		return true
	}
	return value != fallback && value != ""
}

// holdsSecret reports a value of the file, or one of its items, that is a secret.
func holdsSecret(key string, value *yaml.Node) bool {
	return IsSecret(key, value.Value) || slices.ContainsFunc(value.Content, func(item *yaml.Node) bool { return IsSecret(key, item.Value) })
}
