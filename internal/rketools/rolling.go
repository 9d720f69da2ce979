package rketools

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/retention"
)

// ourProgram is the name for the commands that log and status page show: the image has the program under both names.
const ourProgram = "etcd-rolling-backup"

// rolling is the daemon: it takes snapshots until ctx ends, which is no error. What fails is tried again until it succeeds or the next
// snapshot is due, however small the numbers of retries are. So it stays up while etcd, S3 or kubectl do not answer.
func rolling(ctx context.Context, o saveOptions) error {
	cfg, err := o.rollingConfig()
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more is no reason to exit
	kubectl := NewKubectl(o.paths)
	return service.Run(ctx, cfg, service.Process{
		Program: ourProgram, Version: o.version, Stderr: renamed{o.stderr, flagNames()}, UnknownVariables: unknownVariables(),
		StateFile: func(ctx context.Context) ([]byte, error) {
			f := kubectl.Fetch(ctx)
			return f.Data, f.Err
		},
	})
}

// renamed replaces our flags in the lines of a log.
type renamed struct {
	w     io.Writer
	flags *strings.Replacer
}

// Write implements io.Writer.
func (r renamed) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.w, r.flags.Replace(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// rollingConfig adds to our settings what RKE's flags say: one history of snapshots, pruned by age, in /backup and in the bucket.
func (o saveOptions) rollingConfig() (cfg config.Config, err error) {
	cfg = o.config()
	cfg.Store.Zip, cfg.Store.MinFreeShare = true, o.sharesSpace()
	cfg.Store.Host, _ = os.Hostname() // it is only shown
	cfg.Role = daemon.RoleAny
	cfg.Policy = retention.Policy{Within: o.retention}
	cfg.Mirror.Policy = cfg.Policy
	cfg.Drill.From = config.Local
	cfg.Monitor.Optional = true
	if cfg.Schedule, err = daemon.ParseSchedule("@every "+o.creation.String(), 0, ""); err != nil {
		return cfg, config.Usagef("--creation: %w", err)
	}
	if o.s3 == nil {
		return cfg, nil
	}
	bucket, err := o.s3.config()
	if err == nil {
		err = bucket.Check()
	}
	if err != nil {
		return cfg, setServer(err)
	}
	cfg.S3 = &bucket
	// Without a folder the bucket has the snapshots of any number of clusters, with the same names.
	cfg.Mirror.OnlySent = bucket.Folder == ""
	return cfg, nil
}
