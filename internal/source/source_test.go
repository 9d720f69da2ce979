package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/peer"
)

const (
	older = "manual_n1_20260101T000000Z.db.zst"
	newer = "rolling_n2_20260102T000000Z.db.zst"
)

// store is a directory with two files that have the names of snapshots; what is in them does not matter here.
func store(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{older, newer} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpenFindsALocalSnapshotByEveryReference(t *testing.T) {
	dir := store(t)
	for _, test := range []struct {
		ref  string
		want string
		file bool
	}{
		{snapshot.Latest, newer, false},
		{"manual", older, false},
		{older, older, false},
		{filepath.Join(dir, older), older, true},
	} {
		for _, from := range []config.Place{config.Anywhere, config.Local} {
			o, err := Open(t.Context(), Request{Reference: test.ref, From: from, Dir: dir})
			if err != nil {
				t.Errorf("%s: %v", test.ref, err)
				continue
			}
			wantPlace, wantFrom := dir, config.Local
			if test.file {
				wantPlace, wantFrom = "a file", config.Anywhere
			}
			if o.Name != filepath.Join(dir, test.want) || o.File.Name() != o.Name || o.Place != wantPlace || o.From != wantFrom || o.Scratch.Path() != dir {
				t.Errorf("%s: opened %+v with temporary files in %s", test.ref, o, o.Scratch.Path())
			}
			if err := o.File.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// What is not there is not found, with a hint where else it may be; what cannot be meant is wrong usage, before anybody is asked.
func TestOpenRefuses(t *testing.T) {
	dir := store(t)
	bucket := &s3.Config{Bucket: "backups", Endpoint: "127.0.0.1:1"}
	asked := errors.New("the peer is asked")
	identity := func() (peer.Identity, error) { return peer.Identity{}, asked }
	for _, test := range []struct {
		r     Request
		class error
		text  string
	}{
		{Request{Reference: "other", Dir: dir}, snapshot.ErrNotFound, "in a bucket? set --s3-bucket; at a peer? restore --peer"},
		{Request{Reference: "other", Dir: dir, From: config.Local, Bucket: bucket}, snapshot.ErrNotFound, "a file elsewhere: give its path"},
		{Request{Reference: snapshot.Latest, Dir: filepath.Join(dir, "none")}, snapshot.ErrUnusableDir, "in a bucket? set --s3-bucket"},
		{Request{Reference: "a/b", Dir: dir}, os.ErrNotExist, "a/b"},
		{Request{Reference: dir + "/", Dir: dir}, config.ErrUsage, "is not a file"},
		{Request{Reference: snapshot.Latest, Dir: dir, From: config.S3}, config.ErrUsage, "--from s3 needs --s3-bucket"},
		{Request{Reference: snapshot.Latest, Dir: dir, From: config.Peer}, config.ErrUsage, "--from peer needs --peer"},
		{Request{Reference: snapshot.Latest, Dir: dir, From: config.Local, Peer: "h:1"}, config.ErrUsage, "--peer goes with --from peer"},
		{Request{Reference: "./x", Dir: dir, From: config.S3, Bucket: bucket}, config.ErrUsage, "--from s3: ./x is the path of a file"},
		{Request{Reference: "./x", Dir: dir, Peer: "h:1", Identity: identity}, config.ErrUsage, "--from peer: ./x is the path of a file"},
		{Request{Reference: snapshot.Latest, Dir: dir, Peer: "h:1", Identity: identity}, asked, "asked"},
	} {
		o, err := Open(t.Context(), test.r)
		if o != nil || !errors.Is(err, test.class) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%+v: got %v and %v, want %v with %q", test.r, o, err, test.class, test.text)
		}
	}
}

// S3 that is down must not delay or stop a restore of what the directory has: it costs one line.
func TestOpenGoesOnWithTheDirectoryWhileS3IsDown(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	r := Request{Dir: store(t), Bucket: &s3.Config{Bucket: "backups", Endpoint: "http://127.0.0.1:1", Folder: "cluster-3"}}
	var notices []string
	r.Notice = func(text string) { notices = append(notices, text) }
	for ref, want := range map[string]struct {
		name    string
		notices int
	}{"manual": {older, 1}, snapshot.Latest: {newer, 1}, older: {older, 0}} {
		r.Reference, notices = ref, nil
		o, err := Open(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if o.Snapshot.String() != want.name || len(notices) != want.notices {
			t.Errorf("%s: %s with the notices %q, want %s with %d", ref, o.Snapshot, notices, want.name, want.notices)
		}
		for _, n := range notices {
			if !strings.HasPrefix(n, "warning: only "+r.Dir+" is searched, and s3://backups/cluster-3 may have newer snapshots: list: s3://") {
				t.Errorf("%s: the notice is %q", ref, n)
			}
		}
		if err := o.File.Close(); err != nil {
			t.Error(err)
		}
	}
	// What the directory does not have may be in the bucket: both are in the error.
	r.Reference = "other"
	if _, err := Open(t.Context(), r); !errors.Is(err, s3.ErrHost) || !errors.Is(err, snapshot.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	// A fresh machine has no directory, which is no news.
	r.Dir, notices = filepath.Join(r.Dir, "none"), nil
	if _, err := Open(t.Context(), r); !errors.Is(err, s3.ErrHost) || errors.Is(err, snapshot.ErrUnusableDir) || len(notices) != 0 {
		t.Errorf("got %v, notices %q", err, notices)
	}
}

func TestListSkipsPlacesThatAreNotGiven(t *testing.T) {
	dir := store(t)
	all, failed := List(t.Context(), dir, nil)
	if failed != nil || len(all) != 1 || all[0].Place != config.Local || all[0].Where != dir {
		t.Fatalf("got %+v and %v", all, failed)
	}
	for name, want := range map[string]bool{older: true, newer: true, "manual_n1_20250101T000000Z.db.zst": false} {
		n, err := snapshot.ParseName(name)
		if err != nil || all[0].Has(n) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if none, failed := List(t.Context(), "", nil); failed != nil || len(none) != 0 {
		t.Errorf("got %+v and %v, want nothing", none, failed)
	}
}

// A damaged file is renamed to NAME.broken. That the one before it is used now is said, and that a full name means a damaged one.
func TestOpenReportsANewerBrokenSnapshot(t *testing.T) {
	dir := store(t)
	for _, name := range []string{"rolling_n2_20260103T000000Z.db.zst", "lost_n2_20260101T120000Z.db.zst"} {
		if err := os.WriteFile(filepath.Join(dir, name+snapshot.BrokenSuffix), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]int{snapshot.Latest: 1, snapshot.RollingSet: 1, "manual": 0, newer: 0} {
		for _, from := range []config.Place{config.Anywhere, config.Local} {
			var notices []string
			o, err := Open(t.Context(), Request{Reference: ref, From: from, Dir: dir, Notice: func(n string) { notices = append(notices, n) }})
			if err != nil {
				t.Fatal(err)
			}
			_ = o.File.Close() // only read
			if len(notices) != want || want > 0 && !strings.HasPrefix(notices[0], "warning: a newer snapshot in "+dir+" was found damaged, rolling_n2_20260103T000000Z.db.zst.broken (") {
				t.Errorf("%s: the notices are %q", ref, notices)
			}
		}
	}
	for _, ref := range []string{"lost", "lost_n2_20260101T120000Z.db.zst"} {
		_, err := Open(t.Context(), Request{Reference: ref, Dir: dir})
		if !errors.Is(err, snapshot.ErrNotFound) || !strings.Contains(err.Error(), "lost_n2_20260101T120000Z.db.zst was found damaged: "+dir+"/lost_n2_20260101T120000Z.db.zst.broken") {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}
