package config

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Setting is the effective value of one key, as others may see it.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`           // secrets are hidden
	Source string `json:"source"`          // default, detected, file, environment or flag
	Where  string `json:"where,omitempty"` // FILE:LINE, $VARIABLE, --FLAG, or the file by which etcd was detected; for a default, what it is derived from

	raw     string // Value with its secrets
	derived bool   // it follows other keys
}

// Settings are those of the flags that the command has, in their order, after Read.
func (o *Origins) Settings(c *cli.Context, cfg Config) []Setting {
	var all []Setting
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if !isKey(f) {
			continue
		}
		at, raw := o.Of(c, name), ""
		if several, ok := f.(*cli.StringSliceFlag); ok {
			raw = strings.Join(c.StringSlice(several.Name), ",")
		} else {
			raw = fmt.Sprint(c.Value(name))
		}
		s := Setting{Key: name, Source: at.Kind, Where: at.Where, raw: raw}
		s.derive(c, cfg)
		s.Value = Shown(name, s.raw)
		all = append(all, s)
	}
	return all
}

// derive replaces a default that depends on something else by what that gives.
func (s *Setting) derive(c *cli.Context, cfg Config) {
	if s.Source != FromDefault {
		return
	}
	local, isBucket := strings.CutPrefix(s.Key, "s3-keep-")
	_, bucket := PolicyGiven(c)
	switch {
	case s.Key == "node":
		s.raw, s.Where = cfg.Store.Node, "host name"
	case s.Key == "stream-rate":
		s.raw = cfg.Etcd.StreamRate.String()
	case isBucket && !bucket && cfg.S3 != nil && cfg.S3.AppendOnly:
		s.Where = "--s3-append-only: nothing is removed"
	case isBucket && !bucket:
		s.derived, s.raw, s.Where = true, fmt.Sprint(c.Value("keep-"+local)), "--keep-"+local
	}
}

// Changed returns the keys whose values differ, those that a running daemon takes over and those that need a restart.
func Changed(before, after []Setting) (reloaded, restart []string) {
	for _, s := range after {
		i := slices.IndexFunc(before, func(b Setting) bool { return b.Key == s.Key })
		switch {
		case i >= 0 && (before[i].raw == s.raw || before[i].derived && s.derived || before[i].unset() && s.unset()):
		case Reloadable(s.Key):
			reloaded = append(reloaded, s.Key)
		default:
			restart = append(restart, s.Key)
		}
	}
	return reloaded, restart
}

// unset reports a key of the member that no setting has: the daemon itself looks for another etcd once this one does not answer.
func (s Setting) unset() bool {
	return slices.Contains(memberKeys(), s.Key) && (s.Source == FromDefault || s.Source == FromDetection)
}

// Merge returns the settings in effect after a reload: those that need a restart stay as they were before.
func Merge(before, after []Setting) []Setting {
	merged := slices.Clone(before)
	for i, s := range merged {
		if j := slices.IndexFunc(after, func(a Setting) bool { return a.Key == s.Key }); j >= 0 && Reloadable(s.Key) {
			merged[i] = after[j]
		}
	}
	return merged
}

// Reloadable reports a key that a running daemon reads again.
func Reloadable(key string) bool {
	return slices.Contains([]string{
		"schedule", "jitter", "only-on", "min-free", "drill-schedule", "drill-from", "orphan-after", "s3-orphan-after", "s3-upload-rate", "stream-rate", "log-level", "journal-keep", "journal-max-behind",
	}, key) ||
		slices.ContainsFunc(slices.Concat(PolicyFlags(), S3PolicyFlags()), func(f cli.Flag) bool { return f.Names()[0] == key })
}

// Reload returns the Config with those settings of the next one that a running daemon takes over.
func (c Config) Reload(next Config) Config {
	c.Schedule, c.Role, c.Drill, c.Log.Level = next.Schedule, next.Role, next.Drill, next.Log.Level
	c.Policy, c.Mirror, c.Store.OrphanAfter, c.Store.MinFree = next.Policy, next.Mirror, next.Store.OrphanAfter, next.Store.MinFree
	c.Etcd.StreamRate, c.Journal.Keep, c.Journal.MaxBehind = next.Etcd.StreamRate, next.Journal.Keep, next.Journal.MaxBehind
	if c.S3 != nil && next.S3 != nil {
		bucket := *c.S3
		bucket.UploadRate = next.S3.UploadRate
		c.S3 = &bucket
	}
	return c
}

// isKey reports a flag that the configuration file can set.
func isKey(f cli.Flag) bool {
	v, ok := f.(cli.VisibleFlag)
	return ok && !slices.Contains([]string{"config", "name", "help"}, f.Names()[0]) && v != nil
}

// Keys are the flags of all commands that the configuration file can set, each once. They are copies that the help does not show.
func Keys(commands []*cli.Command) []cli.Flag {
	var keys []cli.Flag
	seen := map[string]bool{} // Names is too slow to compare each flag with all others at every start
	for _, c := range commands {
		for _, f := range c.VisibleFlags() {
			if name := f.Names()[0]; isKey(f) && !seen[name] {
				seen[name] = true
				keys = append(keys, hidden(f))
			}
		}
	}
	return keys
}

func hidden(f cli.Flag) cli.Flag {
	switch f := f.(type) {
	case *cli.StringFlag:
		c := *f
		c.Hidden = true
		return &c
	case *cli.StringSliceFlag:
		c := *f
		c.Hidden = true
		return &c
	case *cli.IntFlag:
		c := *f
		c.Hidden = true
		return &c
	case *cli.BoolFlag:
		c := *f
		c.Hidden = true
		return &c
	}
	return f
}

// FromEnvironmentAlone is the value that our own variable of a key has.
func FromEnvironmentAlone(key string) (value string, ok bool) {
	value, ok = os.LookupEnv(envVars(key)[0])
	return value, ok && value != ""
}
