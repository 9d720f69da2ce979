package s3_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// The right to abort uploads is told of, also by a server that looks for the upload first, and what the probe leaves is nothing,
// or said.
func TestProbeReportsTheRightToAbort(t *testing.T) {
	t.Parallel()
	_, faults, c := shared(t)
	minimal := s3test.MinimalPolicy(c.Bucket, "")
	c = asUser(t, faults.Target, c.Bucket, "aborts", minimal)
	b := open(t, c)
	line := probed(t, b, "s3:AbortMultipartUpload")
	wantError(t, line.Err, s3.ErrPermission, "allow s3:AbortMultipartUpload")
	if key := begun(faults, c.Bucket); key != "" || !line.Optional {
		t.Errorf("optional: %t; an upload of %q was begun that can't be ended", line.Optional, key)
	}

	unknown := s3test.Refuse(http.StatusNotFound, minio.NoSuchUpload)
	faults.Set(s3test.When(s3test.Method(http.MethodDelete), s3test.When(func(r *http.Request) bool {
		return r.URL.Query().Get("uploadId") == "none"
	}, unknown)))
	line = probed(t, b, "s3:AbortMultipartUpload")
	key := begun(faults, c.Bucket)
	wantError(t, line.Err, s3.ErrPermission, "allow s3:AbortMultipartUpload", key+" is left", "AbortIncompleteMultipartUpload")
	if !strings.HasPrefix(key, "backups/probe-") || uploadsOf(t, c.Bucket, key) != 1 {
		t.Errorf("%d uploads of %q are left", uploadsOf(t, c.Bucket, key), key)
	}

	must(t, server.SetPolicy(t.Context(), "bk-aborts", strings.Replace(minimal, `"s3:PutObject"`, `"s3:PutObject","s3:AbortMultipartUpload"`, 1)))
	must(t, probed(t, b, "s3:AbortMultipartUpload").Err)
	if last := begun(faults, c.Bucket); last == key || uploadsOf(t, c.Bucket, last) != 0 {
		t.Errorf("%d uploads of %q are left", uploadsOf(t, c.Bucket, last), last)
	}

	begins := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") }
	faults.Set(s3test.When(begins, s3test.Refuse(http.StatusForbidden, "AccessDenied")))
	lines := b.Probe(t.Context())
	if i := slices.IndexFunc(lines, func(p s3.Permission) bool { return p.Err != nil && !p.Optional }); i < 0 {
		t.Errorf("large snapshots can't be stored, and the probe says %v", lines)
	} else {
		wantError(t, lines[i].Err, s3.ErrPermission, "allow s3:PutObject")
	}
}

// probed is what a probe says of one action.
func probed(t *testing.T, b *s3.Bucket, action string) s3.Permission {
	t.Helper()
	lines := b.Probe(t.Context())
	i := slices.IndexFunc(lines, func(p s3.Permission) bool { return p.Action == action })
	if i < 0 {
		t.Fatalf("%s is not among %v", action, lines)
	}
	return lines[i]
}

// begun is the key of the last upload that was begun to be aborted.
func begun(faults *s3test.HTTPFaults, bucket string) string {
	key := ""
	for _, r := range faults.Requests() {
		if r.Method == http.MethodPost && strings.HasPrefix(r.Query, "uploads") && !strings.HasSuffix(r.Path, "-parts.tmp") {
			key = strings.TrimPrefix(r.Path, "/"+bucket+"/")
		}
	}
	return key
}

// A permission that is missing for one upload does not hide what else goes wrong with others.
func TestSweepReportsMoreThanMissingPermissions(t *testing.T) {
	t.Parallel()
	fake := s3test.RunFake(t)
	faults := s3test.RunHTTPFaults(t, fake.Target)
	b, c := bed(t, faults.Target)
	for i := range 4 {
		begin(t, fake.Target, c.Bucket, "backups/"+rolling(t, i).String())
	}
	of := func(r *http.Request, i int) bool {
		return r.Method == http.MethodDelete && strings.Contains(r.URL.Path, rolling(t, i).String())
	}
	refused := s3test.Refuse(http.StatusForbidden, "AccessDenied")
	denied := s3test.When(func(r *http.Request) bool { return of(r, 0) || of(r, 2) }, refused)
	busy := s3test.When(func(r *http.Request) bool { return of(r, 1) }, s3test.SlowDown())
	all := func(snapshot.Name) bool { return true }
	faults.Set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		denied(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { busy(w, r, next) }))
	})
	swept, err := b.Sweep(t.Context(), nil, all, -time.Minute)
	wantError(t, err, s3.ErrBusy, rolling(t, 1).String())
	if swept != 1 {
		t.Errorf("%d swept, not 1", swept)
	}
	faults.Set(denied)
	if swept, err := b.Sweep(t.Context(), nil, all, -time.Minute); swept != 1 || err != nil {
		t.Errorf("with two that are not allowed: %d swept, %v", swept, err)
	}
	faults.Set(refused)
	if swept, err := b.Sweep(t.Context(), nil, all, -time.Minute); swept != 0 || err != nil {
		t.Errorf("without the right to list: %d swept, %v", swept, err)
	}
}
