package command

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// Every flag is made here, once. Its environment variable is ETCD_BACKUP_ and its name in capitals; some know a
// second one, etcdctl's.

func envVars(name string, also ...string) []string {
	return append([]string{"ETCD_BACKUP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}, also...)
}

func text(group, name, value, usage string, also ...string) *cli.StringFlag {
	return &cli.StringFlag{Name: name, Category: group, Value: value, Usage: usage, EnvVars: envVars(name, also...)}
}

func count(name string, value int, usage string) *cli.IntFlag {
	return &cli.IntFlag{Name: name, Category: "retention", Value: value, Usage: usage, EnvVars: envVars(name)}
}

func configFlag() cli.Flag {
	return text("general", "config", "", "YAML `FILE` with flag names as keys; flags and environment variables take precedence")
}

func logFlags() []cli.Flag {
	return []cli.Flag{
		text("general", "log-level", "info", "`LEVEL`: debug, info, warn or error"),
		text("general", "log-format", "text", "`FORMAT`: text or json"),
	}
}

func etcdFlags() []cli.Flag {
	const g = "etcd"
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: "endpoints", Category: g, Value: cli.NewStringSlice("127.0.0.1:2379"), EnvVars: envVars("endpoints", "ETCDCTL_ENDPOINTS"),
			Usage: "`HOST:PORT` of the member beside this program; of several the first that answers (https when a CA or certificate is given)",
		},
		text(g, "cacert", "", "CA `FILE` that etcd's server certificate is checked against", "ETCDCTL_CACERT"),
		text(g, "cert", "", "client certificate `FILE`", "ETCDCTL_CERT"),
		text(g, "key", "", "client key `FILE`", "ETCDCTL_KEY"),
		text(g, "user", "", "`NAME` of an etcd user with the role root", "ETCDCTL_USER"),
		text(g, "password-file", "", "`FILE` with the password of --user"),
		text(g, "etcd-timeout", "10s", "wait at most `DURATION` for an answer of etcd; the stream has --stall-timeout"),
		text(g, "stall-timeout", "30s", "wait at most `DURATION` for the next byte of a snapshot, then give it up"),
	}
}

func dirFlags() []cli.Flag {
	return []cli.Flag{text("store", "dir", "/var/lib/etcd-rolling-backup", "`DIRECTORY` that keeps the snapshots")}
}

func nodeFlags() []cli.Flag {
	return []cli.Flag{text("store", "node", "", "this node's `NAME` in snapshot names (default: the host name)")}
}

func storeFlags() []cli.Flag {
	return append(append(dirFlags(), nodeFlags()...),
		text("store", "min-free", "1GiB", "`SIZE` that a snapshot leaves free on the disk"))
}

func scheduleFlags() []cli.Flag {
	const g = "schedule"
	return []cli.Flag{
		text(g, "schedule", "0 * * * *", "take snapshots at `CRON`: five cron fields, @hourly, @every 15m; CRON_TZ=ZONE before the fields sets the time zone"),
		text(g, "jitter", "0s", "spread the nodes' runs over this `DURATION`; each node's share is always the same"),
		text(g, "only-on", "any", "take snapshots while this member is `ROLE`: leader, follower or any"),
	}
}

func policyFlags() []cli.Flag {
	return []cli.Flag{
		count("keep-last", 24, "keep the newest `N`; of this and every other count, -1 is no end and 0 is off"),
		text("retention", "keep-within", "0s", "keep all that are less than `DURATION` (such as 36h, 7d, 4w) older than the newest"),
		count("keep-hourly", 0, "keep the newest of each of the last `N` hours that have one"),
		count("keep-daily", 0, "keep the newest of each of the last `N` days that have one"),
		count("keep-weekly", 0, "keep the newest of each of the last `N` weeks that have one"),
		count("keep-monthly", 0, "keep the newest of each of the last `N` months that have one"),
	}
}

func s3Flags() []cli.Flag {
	const g = "s3"
	return []cli.Flag{
		text(g, "s3-bucket", "", "`BUCKET` that mirrors the snapshots; without one there is no mirror"),
		text(g, "s3-endpoint", "", "`HOST[:PORT]`, https unless http:// stands before it (default: Amazon)"),
		text(g, "s3-region", "", "`REGION` of the bucket (default: us-east-1)", "AWS_REGION", "AWS_DEFAULT_REGION"),
		text(g, "s3-folder", "", "`FOLDER` in the bucket, one for each cluster"),
		text(g, "s3-access-key-file", "", "`FILE` with the access key; without it AWS variables, profile, web identity, IAM role"),
		text(g, "s3-secret-key-file", "", "`FILE` with the secret key"),
		text(g, "s3-ca", "", "`CA` of the server's certificate beside the system's: a file, PEM text, or base64 of it"),
		&cli.BoolFlag{Name: "s3-insecure-skip-verify", Category: g, EnvVars: envVars("s3-insecure-skip-verify"), Usage: "take any server certificate"},
		text(g, "s3-bucket-lookup", "auto", "`STYLE` of the bucket in URLs: auto, dns or path"),
		text(g, "s3-sse", "", "server-side encryption: `MODE` s3, kms or kms:KEYID"),
		text(g, "s3-storage-class", "", "storage `CLASS` of the objects"),
		text(g, "s3-object-lock", "0s", "lock each object for `DURATION`; the bucket must have Object Lock"),
		text(g, "s3-object-lock-mode", "governance", "`MODE` of the lock: governance or compliance"),
		text(g, "s3-upload-rate", "0", "upload at most `SIZE` a second, such as 10MiB; 0: as fast as it goes"),
		text(g, "s3-checksum", "auto", "`MODE`: auto (S3's own checksums) or md5 (servers without them)"),
		text(g, "s3-timeout", "30s", "longest wait (`DURATION`) for an answer of S3; transfers have --s3-stall"),
		text(g, "s3-stall", "1m", "longest wait (`DURATION`) for the next byte of a transfer"),
	}
}

func s3PolicyFlags() []cli.Flag {
	flags := []cli.Flag{text("s3 retention", "s3-orphan-after", "0s", "remove other nodes' rolling snapshots, but for the newest, when that is older than `DURATION`; 0s: never")}
	for _, f := range policyFlags() {
		switch f := f.(type) {
		case *cli.IntFlag:
			f.Name, f.Value = "s3-"+f.Name, 0
			f.Category, f.EnvVars, f.Usage = "s3 retention", envVars(f.Name), "in the bucket: "+f.Usage
			flags = append(flags, f)
		case *cli.StringFlag:
			f.Name = "s3-" + f.Name
			f.Category, f.EnvVars, f.Usage = "s3 retention", envVars(f.Name), "in the bucket: "+f.Usage
			flags = append(flags, f)
		}
	}
	return flags
}

func drillFlags() []cli.Flag {
	const g = "drill"
	return []cli.Flag{
		text(g, "drill-schedule", "@weekly", "restore the newest snapshot for a test at `CRON`, spread over 6h, sooner after one that failed, and once after the first snapshot of all; off: never"),
		text(g, "drill-from", fromLocal, "`PLACE` the snapshot for it is taken from: local or s3"),
	}
}

func monitorFlags() []cli.Flag {
	const g = "monitoring"
	return []cli.Flag{
		text(g, "listen", ":9979", "`ADDRESS` of metrics, health and the status page: host:port, or off"),
		text(g, "web-config", "", "`FILE` with TLS and passwords for --listen, in the form that all Prometheus exporters share"),
		text(g, "heartbeat-url", "", "`URL` to call after each cycle when all is well, as healthchecks.io gives it; with /fail behind its path when it is not"),
	}
}

func fromFlag(value, usage string) cli.Flag {
	return text("store", "from", value, usage)
}

func outputFlag() cli.Flag {
	return text("general", "output", "table", "`FORMAT`: table or json")
}

// group joins flags in the order of the help.
func group(lists ...[]cli.Flag) []cli.Flag {
	var all []cli.Flag
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
