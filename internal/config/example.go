package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

const exampleHead = `# Settings of etcd-rolling-backup on this node, for the daemon and for every command: ` + DefaultFile + `
# Remove the # before a key to set it. A line shows the default, or an example where it says so.
# A flag takes precedence over an environment variable, and both over this file.
# etcd-rolling-backup config show     shows the effective values and where they come from
# etcd-rolling-backup check           tests them
# Then: systemctl restart etcd-rolling-backup. For keys marked "reload", systemctl reload is enough.
`

// Example is a configuration file with all of the flags as keys: commented out with their defaults, or set where there is a value.
func Example(flags []cli.Flag, value func(key string) (string, bool)) string {
	var b strings.Builder
	b.WriteString(exampleHead)
	group := ""
	for _, f := range flags {
		if !isKey(f) {
			continue
		}
		d, name := f.(cli.DocGenerationFlag), f.Names()[0] //nolint:forcetypeassert // all kinds of flags are
		if g := f.(cli.CategorizableFlag).GetCategory(); g != group {
			fmt.Fprintf(&b, "\n### %s\n", g)
			group = g
		}
		notes := ""
		if Reloadable(name) {
			notes = " [reload]"
		}
		fallback := Default(f)
		if fallback == "" {
			fallback = sample(name)
			notes += " [example]"
		}
		fmt.Fprintf(&b, "\n# %s%s\n", strings.ReplaceAll(d.GetUsage(), "`", ""), notes)
		if text, ok := value(name); ok {
			fmt.Fprintf(&b, "%s: %s\n", name, quoted(text))
		} else {
			fmt.Fprintf(&b, "#%s: %s\n", name, quoted(fallback))
		}
	}
	return b.String()
}

// Default is the default of a flag as text.
func Default(f cli.Flag) string {
	switch f := f.(type) {
	case *cli.StringFlag:
		return f.Value
	case *cli.StringSliceFlag:
		return strings.Join(f.Value.Value(), ",")
	case *cli.IntFlag:
		return strconv.Itoa(f.Value)
	case *cli.BoolFlag:
		return strconv.FormatBool(f.Value)
	}
	return ""
}

// sample is an example for a key without a default.
func sample(key string) string {
	const ours, kubeadm = "/etc/etcd-rolling-backup/", "/etc/kubernetes/pki/etcd/"
	samples := map[string]string{
		"cacert": kubeadm + "ca.crt", "cert": kubeadm + "healthcheck-client.crt", "key": kubeadm + "healthcheck-client.key",
		"stream-rate": "auto", "user": "root", "password-file": ours + "password", "node": "node-a",
		"s3-bucket": "etcd-backups", "s3-endpoint": "minio.example.com:9000", "s3-region": "us-east-1", "s3-folder": "cluster-a",
		"s3-access-key-file": ours + "s3-access-key", "s3-secret-key-file": ours + "s3-secret-key", "s3-ca": ours + "s3-ca.crt",
		"s3-sse": "s3", "s3-storage-class": "STANDARD", "web-config": ours + "web.yml",
		"heartbeat-url": "https://hc-ping.com/UUID", "heartbeat-url-file": ours + "heartbeat-url",
		"wal-dir": "/var/lib/etcd-wal", "chown": "etcd:etcd",
	}
	return samples[key]
}

var needsNoQuotes = regexp.MustCompile(`^[A-Za-z0-9/-][A-Za-z0-9/._-]*$`)

// quoted is a value in YAML. Quotes also protect what somebody writes in its place, such as "*/15 * * * *".
func quoted(value string) string {
	if needsNoQuotes.MatchString(value) {
		return value
	}
	return strconv.Quote(value)
}
