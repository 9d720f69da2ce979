package config

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot/restore"
)

// KubernetesBump is how far --kubernetes raises the revision: more than a cluster writes between a snapshot and its loss, and little of the
// 2^63 there are (https://github.com/kubernetes/kubernetes/issues/118501, https://github.com/etcd-io/etcd/issues/16028).
const KubernetesBump = 1_000_000_000

// maxBump is more than a cluster needs that is restored with --kubernetes each day of a century.
const maxBump = math.MaxInt / 4

// DefaultDataDir is etcd's data directory unless --data-dir says otherwise.
const DefaultDataDir = "/var/lib/etcd"

// Restore says what is restored, and to where.
type Restore struct {
	restore.Options
	At            At
	Kubernetes    bool // BumpRevision is a minimum: the cluster may have had higher revisions
	DryRun        bool
	From          Place // Anywhere, Local, S3 or Peer
	Peer          string
	IgnoreRunning bool     // restore although most members run
	OtherCluster  bool     // replace the data of another cluster than the snapshot's
	StateFile     string   // where RKE's state file in the snapshot goes; "": nowhere
	SameFlags     []string // to restore the other members with
}

// RestoreFlags say what is restored, and to where.
func RestoreFlags() []cli.Flag {
	const g = "restore"
	return []cli.Flag{
		AtFlag(),
		Text(g, "data-dir", DefaultDataDir, "data `DIRECTORY` that etcd will be started with"),
		Text(g, "wal-dir", "", "`DIRECTORY` of etcd's write-ahead log (default: in --data-dir)"),
		Bool(g, "replace", "move existing data to DIRECTORY/member.before-restore-TIME instead of refusing"),
		Text(g, "chown", "", "`USER[:GROUP]` that will own the data (default: the owner of the existing data, else the user of the detected etcd, else the owner of the directory)"),
		Bool(g, "kubernetes", "raise the revision by 1000000000, or more if the cluster was raised before, and mark all earlier ones as compacted, so that no client continues from what it has cached"),
		count(g, "bump-revision", 0, "raise the revision by `N`; needs --mark-compacted"),
		Bool(g, "mark-compacted", "mark all revisions up to the raised one as compacted"),
		Bool(g, "skip-hash-check", "accept a database without etcd's digest, such as a copy of a member's file"),
		Bool(g, "ignore-running-members", "restore although most members of the cluster run; what they wrote since the snapshot is not in the restored data"),
		Bool(g, "other-cluster", "replace data of another cluster than the snapshot's"),
		Text(g, "state-file", "", "also extract RKE's state file, which a zip of rke-tools contains, to the new file `PATH`"),
		Bool(g, "dry-run", "check everything, unpack and verify the snapshot, and change nothing"),
	}
}

// AtFlag is --at.
func AtFlag() cli.Flag {
	return Text("restore", "at", "", "the state at `MOMENT`, from a snapshot and the journal: a revision, a time such as 14:03:06, 2026-11-29T14:03:06Z or \"10m ago\", "+
		"latest (the default: all of the journal that follows the snapshot) or base (the snapshot alone)")
}

// MemberFlags say which member of which cluster is restored.
func MemberFlags() []cli.Flag {
	const g = "member"
	return []cli.Flag{
		Text(g, "name", "", "this member's `NAME` (required if the snapshot records several members)"),
		Text(g, "members", "", "`WHO` is in the cluster: recorded (as in the snapshot, the default) or single (one member at localhost)"),
		Text(g, "initial-cluster", "", "`NAME=URL,...`: the members, if they are not the recorded ones"),
		Text(g, "initial-cluster-token", "", "`TOKEN` of the new cluster (default: computed from the snapshot, so that all who restore it have the same)"),
		Text(g, "initial-advertise-peer-urls", "", "this member's peer `URL,...` (default: those in the list of members)"),
	}
}

// ReadRestore refuses what contradicts itself before anything is fetched.
func ReadRestore(c *cli.Context) (Restore, error) {
	o := Restore{
		Options: restore.Options{
			DataDir: c.String("data-dir"), WALDir: c.String("wal-dir"), Replace: c.Bool("replace"),
			MarkCompacted: c.Bool("mark-compacted"), SkipHashCheck: c.Bool("skip-hash-check"),
			Identity: restore.Identity{
				Name: c.String("name"), InitialCluster: c.String("initial-cluster"), Token: c.String("initial-cluster-token"),
				Members: restore.MemberMode(c.String("members")),
			},
		},
		DryRun: c.Bool("dry-run"), StateFile: c.String("state-file"), Peer: c.String("peer"), SameFlags: sameFlags(c),
		IgnoreRunning: c.Bool("ignore-running-members"), OtherCluster: c.Bool("other-cluster"),
	}
	for _, name := range []string{"data-dir", "name", "initial-cluster", "initial-cluster-token", "initial-advertise-peer-urls", "members", "wal-dir", "chown", "from", "peer", "state-file", "at"} {
		if c.IsSet(name) && strings.TrimSpace(c.String(name)) == "" {
			return o, Usagef("--%s is empty: set a value, or remove the flag", name)
		}
	}
	if urls := c.String("initial-advertise-peer-urls"); urls != "" {
		o.PeerURLs = strings.Split(urls, ",")
	}
	var err error
	if o.At, err = ParseAt(c.String("at"), time.Now()); err != nil {
		return o, err
	}
	bump, kubernetes := c.Int("bump-revision"), c.Bool("kubernetes")
	o.Kubernetes = kubernetes
	switch {
	case bump < 0 || bump > maxBump:
		return o, Usagef("--bump-revision: %d is not a number from 0 to %d", bump, maxBump)
	case o.Members != "" && o.Members != restore.Recorded && o.Members != restore.Single:
		return o, Usagef("--members: %q is not recorded or single", o.Members)
	case o.Members != "" && o.InitialCluster != "":
		return o, Usagef("--members and --initial-cluster both say who is in the cluster: use only one of them")
	case kubernetes && (bump > 0 || o.MarkCompacted):
		return o, Usagef("--kubernetes already means --bump-revision %d --mark-compacted: remove those two, or remove --kubernetes", KubernetesBump)
	case (bump > 0) != o.MarkCompacted:
		return o, Usagef("--bump-revision and --mark-compacted go together: give both or none")
	case kubernetes:
		bump, o.MarkCompacted = KubernetesBump, true
	}
	o.BumpRevision = uint64(bump)
	if chown := c.String("chown"); chown != "" {
		owner, err := restore.ParseOwner(chown)
		if err != nil {
			return o, usageError{err}
		}
		o.Owner = &owner
	}
	o.From, err = ReadPlace(c, Anywhere, Local, S3, Peer)
	return o, err
}

// sameFlags are those that must be the same on all members, and where files go, which mostly is.
func sameFlags(c *cli.Context) (words []string) {
	for _, name := range []string{
		"replace", "kubernetes", "mark-compacted", "skip-hash-check", "other-cluster", "bump-revision", "members", "initial-cluster",
		"initial-cluster-token", "data-dir", "wal-dir", "chown",
	} {
		value := c.Value(name)
		if path, ok := value.(string); ok && path != "" && strings.HasSuffix(name, "-dir") {
			if full, err := filepath.Abs(path); err == nil {
				value = full
			}
		}
		switch {
		case value == false, value == 0, value == "", name == "data-dir" && value == DefaultDataDir:
		case value == true:
			words = append(words, "--"+name)
		default:
			words = append(words, "--"+name, fmt.Sprint(value))
		}
	}
	return words
}
