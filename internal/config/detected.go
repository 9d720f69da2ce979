package config

import (
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/detect"
)

// memberKeys say which etcd is meant. One of them that is set anywhere decides alone: what is set and what is detected is never mixed.
func memberKeys() []string { return []string{"endpoints", "cacert", "cert", "key"} }

// detect sets the flags that are not set to what is known of the etcd on this node. What is not clear is left to those who need it: a restore
// on a node with two etcds must not fail because of its certificates.
func (o *Origins) detect(c *cli.Context) error {
	has := func(key string) bool {
		return slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == key })
	}
	if !slices.ContainsFunc(memberKeys(), has) || slices.ContainsFunc(memberKeys(), func(key string) bool { return o.set(c, key) }) {
		return nil
	}
	o.Find = func() (*detect.Member, error) { return detect.Find(o.root) }
	found, err := o.Find()
	if err != nil {
		o.DetectError = Usagef("%w", err)
		return nil
	}
	if o.Detected = found; found == nil {
		return nil
	}
	values := MemberValues(*found)
	if !has("endpoints") && found.OwnCert != "" { // members present it to each other; that of a client can't serve
		values["cert"], values["key"] = found.OwnCert, found.OwnKey
	}
	for _, key := range append(memberKeys(), "data-dir", "wal-dir") {
		value := values[key]
		if isDir := strings.HasSuffix(key, "-dir"); value == "" || !has(key) || isDir && (o.set(c, "data-dir") || o.set(c, "wal-dir")) {
			continue
		}
		if err := c.Set(key, value); err != nil {
			return Usagef("%s: --%s: %w", found.Source, key, err)
		}
		o.detected = append(o.detected, key)
	}
	return nil
}

// set reports a key that the command line, a variable or the file sets, also if the command has no flag for it.
func (o *Origins) set(c *cli.Context, key string) bool {
	for _, f := range slices.Concat(EtcdFlags(), RestoreFlags()) {
		if f.Names()[0] != key {
			continue
		}
		for _, variable := range f.(cli.DocGenerationFlag).GetEnvVars() { //nolint:forcetypeassert // all kinds of flags are
			if os.Getenv(variable) != "" {
				return true
			}
		}
	}
	i := slices.IndexFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == key })
	return o.lines[key] > 0 || i >= 0 && c.IsSet(key) && !setToNothing(c, c.Command.Flags[i])
}

// MemberValues are the values that a detected member gives to keys; "": none.
func MemberValues(m detect.Member) map[string]string {
	return map[string]string{"endpoints": m.Endpoint, "cacert": m.CACert, "cert": m.Cert, "key": m.Key, "data-dir": m.DataDir, "wal-dir": m.WALDir}
}
