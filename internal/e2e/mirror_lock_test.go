package e2e_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
)

// A locked object is passed over and counted, and is no trouble; who wants it gone is told.
func TestLockedObjectsStay(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	archive := m.save(t)
	for _, mode := range []minio.RetentionMode{minio.Governance, minio.Compliance} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			m.keepsLocked(t, archive, mode)
		})
	}
}

func (m *mirrorBed) keepsLocked(t *testing.T, archive string, mode minio.RetentionMode) {
	t.Helper()
	b := newBucket(t, m.server.Target, s3test.BucketOptions{ObjectLock: true})
	dir, names := newStore(t), rolling(t, node, 3)
	plant(t, dir, archive, names...)
	args := append(b.flags(m.server.Target), "--dir="+dir, "--node="+node)
	lock := []string{"--s3-object-lock=1h", "--s3-object-lock-mode=" + strings.ToLower(mode.String())}
	run(t, 0, []string{"3 uploaded"}, words("mirror", args, lock)...)
	b.locked(names[2], mode, time.Hour)
	for _, lock := range [][]string{nil, lock} {
		run(t, 0, []string{"0 removed, 2 held by a lock"}, words("mirror", args, lock, []string{"--s3-keep-last=1"})...)
		run(t, 0, []string{"Object Lock holds it", "removed 0 of 3"}, words("prune", args, lock, []string{"--from=s3", "--s3-keep-last=1"})...)
	}
	run(t, 1, []string{names[2], "held by object lock", "until "}, words("delete", b.flags(m.server.Target), []string{"--from=s3", names[2]})...)
	b.has(names...)

	// With a single run the log has a single pass that brings a snapshot.
	p, _ := m.follow(t, args, lock, patient, []string{"--s3-keep-last=1", "--schedule=@every 1h"})
	p.next(t, "msg=mirrored", "uploaded=1", "pruned=0", "locked=3")
	p.stop(t, syscall.SIGTERM, 0)
	if log := p.stderr.String(); strings.Contains(log, "level=error") {
		t.Errorf("a lock is an error:\n%s", log)
	}

	// A bucket without Object Lock can't do it, and costs no local snapshot.
	plain := m.bucket(t)
	p, _ = m.follow(t, plain.flags(m.server.Target), lock)
	p.next(t, "mirroring failed", "--s3-object-lock requires a bucket that was created with Object Lock")
	p.goesOn(t, 1)
	p.stop(t, syscall.SIGTERM, 0)
}

// locked demands a lock of this mode for about so long, which in mode compliance not even root can break.
func (b *bucket) locked(key string, mode minio.RetentionMode, hold time.Duration) {
	b.t.Helper()
	got, until, err := b.client.GetObjectRetention(context.Background(), b.name, key, "")
	must(b.t, err)
	if *got != mode || time.Until(*until) < hold-10*time.Minute || time.Until(*until) > hold+10*time.Minute {
		b.t.Errorf("%s is locked in mode %s until %s, want %s for %s", key, *got, until, mode, hold)
	}
	info, err := b.client.StatObject(context.Background(), b.name, key, minio.StatObjectOptions{})
	must(b.t, err)
	if mode == minio.Compliance {
		err := b.client.RemoveObject(context.Background(), b.name, key, minio.RemoveObjectOptions{VersionID: info.VersionID, GovernanceBypass: true})
		if err == nil {
			b.t.Errorf("root has removed %s", key)
		}
	}
}
