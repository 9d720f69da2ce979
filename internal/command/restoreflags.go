package command

import "github.com/urfave/cli/v2"

func restoreFlags() []cli.Flag {
	const g = "restore"
	return []cli.Flag{
		text(g, "data-dir", "/var/lib/etcd", "`DIRECTORY` that etcd will be started on"),
		text(g, "wal-dir", "", "`DIRECTORY` of etcd's write-ahead log (default: in --data-dir)"),
		onOff("replace", "move the data that is there to DIRECTORY.before-restore-TIME instead of refusing"),
		text(g, "chown", "", "`USER[:GROUP]` that the data belongs to (default: the owner of the data that was there, or of the directory around it)"),
		onOff("kubernetes", "raise the revision by 1000000000 and mark all before as compacted, so that nothing goes on with what it remembers"),
		&cli.IntFlag{Name: "bump-revision", Category: g, EnvVars: envVars("bump-revision"), Usage: "raise the revision by `N`; goes with --mark-compacted"},
		onOff("mark-compacted", "let all revisions up to the raised one count as compacted"),
		onOff("skip-hash-check", "take a database without etcd's digest, such as a copy of a member's file"),
		onOff("dry-run", "check everything, unpack and prove the snapshot, and change nothing"),
	}
}

func memberFlags() []cli.Flag {
	const g = "member"
	return []cli.Flag{
		text(g, "name", "", "this member's `NAME` (needed where the snapshot records several members)"),
		text(g, "members", "", "`WHO` is in the cluster: recorded (as in the snapshot, the default) or single (one member at localhost)"),
		text(g, "initial-cluster", "", "`NAME=URL,...`: the members, where they are others than the recorded ones"),
		text(g, "initial-cluster-token", "", "`TOKEN` of the new cluster (default: made of the snapshot, so that all who restore it have the same)"),
		text(g, "initial-advertise-peer-urls", "", "this member's peer `URL,...` (default: those in the list of members)"),
	}
}

func peerFlag() cli.Flag {
	return text("source", "peer", "", "`HOST:PORT` of a member that gives its snapshot with serve")
}

// certificateFlags are etcd's, for talking to peers.
func certificateFlags() []cli.Flag {
	var flags []cli.Flag
	for _, f := range etcdFlags() {
		switch f.Names()[0] {
		case "cacert", "cert", "key":
			flags = append(flags, f)
		}
	}
	return flags
}

func onOff(name, usage string) *cli.BoolFlag {
	return &cli.BoolFlag{Name: name, Category: "restore", EnvVars: envVars(name), Usage: usage}
}
