package config

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// ownVariable begins the environment variable of a flag; its name in capitals follows. Some flags know further ones, such as etcdctl's.
const ownVariable = "ETCD_BACKUP_"

// envVars returns the variables of a flag, by precedence. An empty one does not hide those after it: it counts as not set.
func envVars(name string, also ...string) []string {
	all := append([]string{ownVariable + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}, also...)
	if len(also) == 0 {
		return all
	}
	return slices.DeleteFunc(all, isEmpty)
}

// isEmpty reports a variable that is set to nothing, as by a template without a value for it.
func isEmpty(variable string) bool {
	value, set := os.LookupEnv(variable)
	return set && value == ""
}

// Text makes a flag whose value is a text. The usage has the name of the value in backquotes; also are other programs' variables for it.
func Text(group, name, value, usage string, also ...string) *cli.StringFlag {
	return &cli.StringFlag{Name: name, Category: group, Value: value, Usage: usage, EnvVars: envVars(name, also...)}
}

// Bool makes a flag that is false by default.
func Bool(group, name, usage string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: name, Category: group, Usage: usage, EnvVars: envVars(name)}
}

// Deprecated makes a flag for one release that works as before and that help and documentation do not show.
func Deprecated(name, instead string) *cli.StringFlag {
	return &cli.StringFlag{Name: name, Usage: "the former --" + instead, EnvVars: envVars(name), Hidden: true}
}

func count(group, name string, value int, usage string) *cli.IntFlag {
	return &cli.IntFlag{Name: name, Category: group, Value: value, Usage: usage, EnvVars: envVars(name)}
}

// LogFlags are those of Log.
func LogFlags() []cli.Flag {
	return []cli.Flag{
		Text("general", "log-level", "info", "`LEVEL`: debug, info, warn or error"),
		Text("general", "log-format", "text", "`FORMAT`: text or json"),
	}
}

// EtcdFlags are those of Etcd.
func EtcdFlags() []cli.Flag {
	const g = "etcd"
	endpoints := &cli.StringSliceFlag{
		Name: "endpoints", Category: g, Value: cli.NewStringSlice("127.0.0.1:2379"), EnvVars: envVars("endpoints", "ETCDCTL_ENDPOINTS"),
		Usage: "`HOST:PORT` of the etcd member on this node, or unix:///PATH; of several, the first that answers (https if a CA or certificate is given)",
	}
	return slices.Concat([]cli.Flag{endpoints}, CertificateFlags(), []cli.Flag{
		Text(g, "user", "", "`NAME` of an etcd user with the role root", "ETCDCTL_USER"),
		Text(g, "password-file", "", "`FILE` with the password of --user"),
		Text(g, "etcd-timeout", "10s", "wait at most `DURATION` for an answer from etcd; --stall-timeout is for the snapshot stream"),
		Text(g, "stall-timeout", "30s", "wait at most `DURATION` for the next byte of a snapshot, then abort it"),
		Text(g, "stream-rate", "", "read a snapshot from etcd at `RATE`: auto (8 MiB per second, less while etcd answers more slowly, more to end within 5 minutes), SIZE per second such as 50MiB, or off "+
			"(default: auto for the daemon and save --rolling, else off)"),
	})
}

// CertificateFlags are those of Etcd that are for other members as well.
func CertificateFlags() []cli.Flag {
	return []cli.Flag{
		Text("etcd", "cacert", "", "CA `FILE` to verify etcd's server certificate with", "ETCDCTL_CACERT"),
		Text("etcd", "cert", "", "client certificate `FILE`", "ETCDCTL_CERT"),
		Text("etcd", "key", "", "client key `FILE`", "ETCDCTL_KEY"),
	}
}

// DefaultDir is where snapshots are unless --dir says otherwise.
const DefaultDir = "/var/lib/etcd-rolling-backup"

// DirFlags is --dir.
func DirFlags() []cli.Flag {
	return []cli.Flag{Text("store", "dir", DefaultDir, "`DIRECTORY` of the snapshots")}
}

// NodeFlags is --node.
func NodeFlags() []cli.Flag {
	return []cli.Flag{Text("store", "node", "", "this node's `NAME` in snapshot names (default: the host name)")}
}

// allNodes is a flag of commands that only show snapshots. They work on hosts whose name can't be that of a node.
const allNodes = "all-nodes"

// ShownNodeFlags are --node and --all-nodes of such a command.
func ShownNodeFlags() []cli.Flag {
	return []cli.Flag{
		Text("store", "node", "", "show those of the node `NAME` (default: all in the directory, and in the bucket those of this host, or all if it has none)"),
		Bool("store", allNodes, "show those of all nodes, also in the bucket"),
	}
}

// MinFreeFlag is --min-free, with what must leave that much free.
func MinFreeFlag(what string) cli.Flag {
	return Text("store", "min-free", "1GiB", "`SIZE` that "+what+" leaves free on the disk")
}

// StoreFlags are those of Store.
func StoreFlags() []cli.Flag {
	return slices.Concat(DirFlags(), NodeFlags(), []cli.Flag{MinFreeFlag("a snapshot")})
}

// ScheduleFlags say when and on which members snapshots are taken.
func ScheduleFlags() []cli.Flag {
	return []cli.Flag{
		Text("schedule", "schedule", "0 * * * *", "take snapshots at `CRON`: five cron fields, @hourly, @every 15m; CRON_TZ=ZONE before the fields sets the time zone"),
		Text("schedule", "jitter", "0s", "spread the runs of the nodes over this `DURATION`; each node always has the same delay"),
		Text("schedule", "only-on", "any", "take snapshots while this member is `ROLE`: leader, follower or any"),
	}
}

// PolicyFlags are those of the local policy.
func PolicyFlags() []cli.Flag { return policyFlags("retention", "", 24, "") }

// OrphanFlag is --orphan-after.
func OrphanFlag() cli.Flag {
	return Text("retention", "orphan-after", "0s",
		"remove other nodes' rolling snapshots, as of an earlier name of this node, except the newest, when that is older than `DURATION`; 0s: never")
}

// ClusterFlag is --cluster.
func ClusterFlag() cli.Flag {
	return Text("store", "cluster", "", "`ID` of the cluster whose snapshots are meant (default: the one of this node's daemon, or the only one there is)")
}

// S3PolicyFlags are those of Mirror.
func S3PolicyFlags() []cli.Flag {
	const g = "s3 retention"
	orphans := Text(g, "s3-orphan-after", "0s", "remove other nodes' rolling snapshots, except the newest, when that is older than `DURATION`; 0s: never")
	return slices.Concat([]cli.Flag{orphans}, policyFlags(g, "s3-", 0, "in the bucket: "))
}

func policyFlags(g, prefix string, last int, where string) []cli.Flag {
	return []cli.Flag{
		count(g, prefix+"keep-last", last, where+"keep the newest `N`; in every count -1 is unlimited and 0 is off"),
		Text(g, prefix+"keep-within", "0s", where+"keep all that are less than `DURATION` (such as 36h, 7d, 4w) older than the newest"),
		count(g, prefix+"keep-hourly", 0, where+"keep the newest of each of the last `N` hours that have one"),
		count(g, prefix+"keep-daily", 0, where+"keep the newest of each of the last `N` days that have one"),
		count(g, prefix+"keep-weekly", 0, where+"keep the newest of each of the last `N` weeks that have one"),
		count(g, prefix+"keep-monthly", 0, where+"keep the newest of each of the last `N` months that have one"),
	}
}

// Defaults of the bucket's flags.
const (
	DefaultS3Lookup  = "auto"
	DefaultS3Timeout = 30 * time.Second
	DefaultS3Stall   = time.Minute
)

// S3Flags are those of the bucket.
func S3Flags() []cli.Flag {
	const g = "s3"
	return []cli.Flag{
		Text(g, "s3-bucket", "", "`BUCKET` to mirror the snapshots to; without one nothing is mirrored"),
		Text(g, "s3-endpoint", "", "`HOST[:PORT]`, https unless it begins with http:// (default: Amazon)", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
		Text(g, "s3-region", "", "`REGION` of the bucket (default: us-east-1)", "AWS_REGION", "AWS_DEFAULT_REGION"),
		Text(g, "s3-folder", "", "`FOLDER` in the bucket, one for each cluster"),
		Text(g, "s3-access-key-file", "", "`FILE` with the access key; without it AWS variables, profile, web identity, IAM role"),
		Text(g, "s3-secret-key-file", "", "`FILE` with the secret key"),
		Text(g, "s3-ca", "", "`CA` of the server's certificate in addition to the system's: a file, PEM text, or base64 of it"),
		Bool(g, "s3-insecure-skip-verify", "accept any server certificate"),
		Text(g, "s3-bucket-lookup", DefaultS3Lookup, "`STYLE` of the bucket in URLs: auto, dns or path"),
		Text(g, "s3-sse", "", "server-side encryption: `MODE` s3, kms or kms:KEYID"),
		Text(g, "s3-storage-class", "", "storage `CLASS` of the objects"),
		Text(g, "s3-object-lock", "0s", "lock each object for `DURATION`; the bucket must have Object Lock"),
		Text(g, "s3-object-lock-mode", "governance", "`MODE` of the lock: governance or compliance"),
		Bool(g, "s3-append-only", "never remove anything from the bucket, whose lifecycle does that: for keys that may only store, list and read"),
		Text(g, "s3-upload-rate", "0", "upload at most `SIZE` per second, such as 10MiB; 0: unlimited"),
		Text(g, "s3-checksum", "auto", "`MODE`: auto (S3's own checksums, or MD5 if the server does not take them) or md5"),
		Text(g, "s3-timeout", "30s", "wait at most `DURATION` for an answer from S3; --s3-stall is for transfers"),
		Text(g, "s3-stall", "1m", "wait at most `DURATION` for the next byte of a transfer"),
	}
}

// DrillFlags are those of Drill.
func DrillFlags() []cli.Flag {
	return []cli.Flag{
		Text("drill", "drill-schedule", "@weekly", "restore the newest snapshot as a test at `CRON`, spread over 6h, sooner after a failure, and once after the first snapshot of all; off: never"),
		Text("drill", "drill-from", string(Local), "`PLACE` of the snapshot to test: local or s3"),
	}
}

// JournalFlags are those of Journal.
func JournalFlags() []cli.Flag {
	const g = "journal"
	return []cli.Flag{
		Bool(g, "journal", "record every change between two snapshots on each node, whatever --only-on says, so that restore --at can go back to any moment"),
		Text(g, "journal-sync", "1s", "write the journal safely to the disk every `DURATION`: at most so much is lost with the machine's power"),
		Text(g, "journal-segment", "30s", "complete and mirror a segment of the journal every `DURATION`, or at 8 MiB"),
		JournalKeepFlag(),
		count(g, "journal-max-behind", 15000, "catch up with at most `N` revisions after an interruption, otherwise begin a new journal with a new snapshot"),
	}
}

// JournalKeepFlag is --journal-keep.
func JournalKeepFlag() cli.Flag {
	return Text("journal", "journal-keep", "7d", "keep the journal, and the snapshots that it needs, so that any moment of the last `DURATION` can be restored")
}

// ServerFlags are those of the daemon's server.
func ServerFlags() []cli.Flag {
	return []cli.Flag{
		Text("monitoring", "listen", ":9979", "`ADDRESS` of metrics, health and the status page: host:port, or off"),
		Text("monitoring", "web-config", "", "`FILE` with TLS and passwords for --listen, in the format that all Prometheus exporters share"),
	}
}

// MonitorFlags are those of Monitor.
func MonitorFlags() []cli.Flag {
	return append(ServerFlags(),
		Text("monitoring", "status-page", "local", "`WHO` may read the status page and the texts of /readyz without a password: local (this machine) or network"),
		Text("monitoring", "heartbeat-url", "", "`URL` to call after each cycle while healthy, as healthchecks.io gives it; while unhealthy, /fail is added to its path; the process list shows it"),
		Text("monitoring", "heartbeat-url-file", "", "`FILE` that contains the URL of --heartbeat-url, which is a secret"),
	)
}

// VersionFlags are those of commands that only read the bucket.
func VersionFlags() []cli.Flag {
	return []cli.Flag{
		Bool("s3", "s3-versions", "find snapshots that were deleted or overwritten in a versioned bucket, and read their old versions"),
		Text("s3", "s3-version-id", "", "with --s3-versions: use the version `ID` of the snapshot that has it, where several may be the right one"),
	}
}

// PeerFlag is --peer.
func PeerFlag() cli.Flag {
	return Text("source", "peer", "", "`HOST:PORT` of a member that runs serve")
}

// OutputFlag is --output.
func OutputFlag() cli.Flag { return Text("general", "output", "table", "`FORMAT`: table or json") }

// LookFlags say into which snapshot a command looks, and how the place is reached.
func LookFlags() []cli.Flag {
	return slices.Concat([]cli.Flag{
		Text("snapshot", "snapshot", "latest", "`SNAPSHOT` to look into: latest, a name, a label, or a file's path"),
		RevisionFlag(), LookAtFlag(),
	}, SourceFlags())
}

// LookAtFlag is --at of commands that look into a snapshot.
func LookAtFlag() cli.Flag {
	return Text("snapshot", "at", "", "the state at `MOMENT`, from a snapshot and the journal: a revision, a time such as 14:03:06 or \"10m ago\", or latest")
}

// RevisionFlag is --revision.
func RevisionFlag() cli.Flag {
	return Text("snapshot", "revision", "", "the state at revision `N` of etcd, as far as the snapshot retains it (default: its newest)")
}

// SourceFlags say where the snapshots are that a command looks into, and where they are unpacked.
func SourceFlags() []cli.Flag {
	return slices.Concat([]cli.Flag{
		Text("source", "from", "", "`PLACE`: local, s3 or peer (default: local and s3, the newer snapshot)"), PeerFlag(),
		MinFreeFlag("the unpacked database"),
	}, DirFlags(), S3Flags(), VersionFlags())
}

// FormatFlag is --output of commands that show objects as kubectl does.
func FormatFlag(formats string) cli.Flag {
	f := Text("general", "output", "table", "`FORMAT`: "+formats)
	f.Aliases = []string{"o"}
	return f
}

// NamespaceFlag is --namespace.
func NamespaceFlag() cli.Flag {
	f := Text("objects", "namespace", "default", "`NAMESPACE` of the object")
	f.Aliases = []string{"n"}
	return f
}

// ReadRevision reads --revision; 0 is the newest one.
func ReadRevision(c *cli.Context) (int64, error) {
	text := c.String("revision")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, Usagef("--revision: %q is not a revision of etcd, such as 81204", text)
	}
	return n, nil
}

// AllNamespacesFlag is --all-namespaces.
func AllNamespacesFlag() cli.Flag {
	f := Bool("objects", "all-namespaces", "objects of all namespaces")
	f.Aliases = []string{"A"}
	return f
}

// SelectorFlag is --selector.
func SelectorFlag() cli.Flag {
	f := Text("objects", "selector", "", "only objects with these `LABELS`, as kubectl takes them: app=web, app!=web, 'app in (web,api)', app or !app, with commas between")
	f.Aliases = []string{"l"}
	return f
}

// EncryptionFlag is --encryption-config.
func EncryptionFlag() cli.Flag {
	return Text("objects", "encryption-config", "", "the API server's `FILE` with its EncryptionConfiguration, if objects are encrypted in etcd")
}
