package prometheus_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
	"etcd-rolling-backup/internal/s3test"
)

// notInDaemon are queries without series at a daemon that is well.
var notInDaemon = regexp.MustCompile(`result!="success"|s3_errors_total`)

// TestDaemon runs the dashboard's queries and the rules on what the real daemon tells, beside a real etcd and with a real bucket.
func TestDaemon(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	client := etcdtest.Dial(t, c)
	_, err := client.Put(t.Context(), "/registry/a", "value")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- etcdtest.Churn(ctx, client, 1, 100*time.Millisecond) }() // what the journal has, and a drill restores with it
	defer func() {
		cancel()
		must(t, <-ended)
	}()
	bucket := s3test.Run(t, s3test.Options{})
	access, secret := filepath.Join(t.TempDir(), "access"), filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(access, []byte(bucket.AccessKey), 0o600))
	must(t, os.WriteFile(secret, []byte(bucket.SecretKey), 0o600))
	address := daemon(t,
		"--endpoints="+c.Endpoints()[0], "--schedule=@every 1s", "--keep-last=2", "--journal", "--drill-schedule=@every 10s", "--s3-bucket="+s3test.Bucket(t, bucket.Target, s3test.BucketOptions{}),
		"--s3-endpoint="+bucket.URL(), "--s3-access-key-file="+access, "--s3-secret-key-file="+secret)
	s := watch(t, address)
	checkDashboard(t, s, []string{address}, notInDaemon)
	for _, a := range alerts(t) {
		s.tells(t, selectors(a.Expr)...)
	}
	// The recovery points of a daemon that is well are of now.
	s.tells(t, `etcd_rolling_backup_journal_running == 1`)
	for _, place := range []string{"local", "s3"} {
		s.tells(t, `time() - etcd_rolling_backup_journal_recovery_point_timestamp_seconds{place="`+place+`"} < 30`)
	}
	s.become(t, "inactive")
}

// daemon builds the program, runs it until the test ends, and gives the address of its metrics.
func daemon(t *testing.T, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	built := filepath.Join(dir, "etcd-rolling-backup")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", built, ".")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for {
		ports, err := proctest.ReservePorts(1)
		must(t, err)
		p := &proctest.Server{
			Name: "daemon", Program: built, LogPath: filepath.Join(dir, "log"), Env: proctest.Environ("AWS_", "ETCDCTL_", "ETCD_BACKUP_"),
			Args:  append([]string{"daemon", "--dir=" + filepath.Join(dir, "snapshots"), "--node=node-a", "--min-free=1MiB", "--listen=" + ports[0]}, flags...),
			Probe: func(ctx context.Context) error { return ask(ctx, "http://"+ports[0]+"/healthz", nil) },
		}
		if !runs(t, p) {
			continue
		}
		return ports[0]
	}
}
