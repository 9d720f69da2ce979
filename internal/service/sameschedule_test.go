package service

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// site is what one daemon has.
type site struct {
	dir    *snapshot.Dir
	status *status.Tracker
	taker  *taker
	bucket *s3.Config
}

func newSite(t *testing.T, bucket *s3.Config) *site {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	s := &site{dir: snapshot.NewDir(filepath.Join(t.TempDir(), "store")), status: status.New(status.Options{Mirror: true}), bucket: bucket}
	must(t, s.dir.Prepare())
	s.taker = &taker{
		member: func() (member.Config, error) {
			return member.Config{Endpoints: c.Endpoints(), Timeout: 10 * time.Second}, nil
		},
		role: daemon.RoleAny, dir: s.dir, status: s.status, name: &memberName{},
		options: snapshot.TakeOptions{Set: snapshot.RollingSet, Node: "n1", Stall: 10 * time.Second},
	}
	return s
}

func (s *site) take(t *testing.T) snapshot.Taken {
	t.Helper()
	taken, err := s.taker.Take(t.Context(), logrus.New(), func() {})
	must(t, err)
	return taken
}

// move stores a snapshot again, with another time in its name.
func (s *site) move(t *testing.T, n snapshot.Name, at time.Time) snapshot.Name {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir.Path(), n.String()))
	must(t, err)
	n, err = snapshot.NewName(n.Set, n.Node, at)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(s.dir.Path(), n.String()), data, 0o600))
	return n
}

// pass lists the directory and mirrors it, as the daemon does.
func (s *site) pass(t *testing.T) error {
	t.Helper()
	l, err := s.dir.List()
	must(t, err)
	var copies []status.Copy
	for _, e := range l.Snapshots {
		m, err := s.dir.Manifest(e.Name)
		must(t, err)
		copies = append(copies, status.Copy{Name: e.Name, Size: e.Size, Modified: e.Modified, Facts: m.Facts()})
	}
	s.status.SetInventory(status.Local, copies, nil)
	o := MirrorOptions(config.Config{Store: config.Store{Node: "n1"}, Mirror: config.Mirror{Policy: retention.Policy{Last: 100}}})
	o.Status, o.Lineage = s.status, s.status.Lineage
	_, err = MirrorOnce(t.Context(), s.bucket, s.dir, o)
	return err
}

func (s *site) reports() string {
	var texts []string
	for _, p := range s.status.Problems() {
		if p.Code == status.CodeOtherCluster {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// Two clusters have the same node name, folder and schedule, so they take their snapshots in the same seconds, and the bucket has no place
// for the second one's. That one leaves those seconds to the other, so its next snapshots arrive, and both daemons report it.
func TestClustersThatSnapshotInTheSameSecondsBothReportIt(t *testing.T) {
	server := s3test.Run(t, s3test.Options{})
	keys := t.TempDir()
	cfg := &s3.Config{
		Endpoint: server.URL(), Bucket: s3test.Bucket(t, server.Target, s3test.BucketOptions{}),
		AccessKeyFile: filepath.Join(keys, "access"), SecretKeyFile: filepath.Join(keys, "secret"),
	}
	must(t, os.WriteFile(cfg.AccessKeyFile, []byte(server.AccessKey), 0o600))
	must(t, os.WriteFile(cfg.SecretKeyFile, []byte(server.SecretKey), 0o600))
	first, second := newSite(t, cfg), newSite(t, cfg)
	a, b := first.take(t).Name, second.take(t).Name
	// The last minute of the schedule "* * * * *", with runs in any of the seconds that the test may need.
	used := map[int]bool{}
	start := time.Now().Add(-time.Minute)
	for s := range 6 {
		n := first.move(t, a, start.Add(time.Duration(s)*time.Second))
		second.move(t, b, n.Time)
		used[n.Time.Second()] = true
	}
	must(t, errors.Join(first.dir.Remove(t.Context(), a), second.dir.Remove(t.Context(), b)))
	must(t, first.pass(t))
	if err := second.pass(t); !errors.Is(err, snapshot.ErrExists) {
		t.Errorf("the bucket took two snapshots of one name: %v", err)
	}
	if text := second.reports(); !strings.Contains(text, "in S3") || first.reports() != "" {
		t.Errorf("at first, the second one reports %q, and the first one %q", text, first.reports())
	}

	next := second.take(t).Name
	if used[next.Time.Second()] {
		t.Errorf("%s is of a second that the other cluster uses", next)
	}
	_ = second.pass(t) // the old ones still can't be uploaded
	must(t, first.pass(t))
	if text := first.reports(); !strings.Contains(text, "in S3") {
		t.Errorf("after a pass of each, the first one reports %q", text)
	}
}
