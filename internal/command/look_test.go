package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/etcdtest"
)

// lookBed is an etcd with a snapshot directory.
type lookBed struct {
	dir, endpoint string
	client        *clientv3.Client
}

func newLookBed(t *testing.T) *lookBed {
	t.Helper()
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	return &lookBed{t.TempDir(), c.Endpoints()[0], etcdtest.Dial(t, c)}
}

// put returns the revision.
func (b *lookBed) put(t *testing.T, key, value string) int64 {
	t.Helper()
	r, err := b.client.Put(t.Context(), key, value)
	must(t, err)
	return r.Header.Revision
}

func (b *lookBed) remove(t *testing.T, key string) int64 {
	t.Helper()
	r, err := b.client.Delete(t.Context(), key)
	must(t, err)
	return r.Header.Revision
}

func (b *lookBed) save(t *testing.T, label string) {
	t.Helper()
	if status, _, stderr := run(t.Context(), "save", "--dir", b.dir, "--node", "n1", "--label", label, "--endpoints", b.endpoint); status != 0 {
		t.Fatalf("save: %s", stderr)
	}
}

// want runs a command that must succeed, and returns what it prints.
func (b *lookBed) want(t *testing.T, args ...string) string {
	t.Helper()
	status, stdout, stderr := run(t.Context(), append(args, "--dir", b.dir)...)
	if status != 0 {
		t.Errorf("%q: status %d, %s", args, status, stderr)
	}
	return stdout
}

// refused runs a command that must fail with one line that has all these texts.
func (b *lookBed) refused(t *testing.T, wanted int, texts []string, args ...string) {
	t.Helper()
	status, stdout, stderr := run(t.Context(), append(args, "--dir", b.dir)...)
	if status != wanted || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%q: status %d, stdout %q, stderr %q, want status %d and one line", args, status, stdout, stderr, wanted)
	}
	for _, text := range texts {
		if !strings.Contains(stderr, text) {
			t.Errorf("%q: %q does not have %q", args, stderr, text)
		}
	}
}

// wantColumns compares a table without its spaces.
func wantColumns(t *testing.T, table string, rows ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(table) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	if fmt.Sprint(got) != fmt.Sprint(rows) {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(rows, "\n"))
	}
}

// A key that was deleted is gone from ls, is shown by ls --deleted, and get finds its last value where that says.
func TestDeletedKeyIsFoundInASnapshotTakenLater(t *testing.T) {
	b := newLookBed(t)
	created := b.put(t, "app/config", "first")
	changed := b.put(t, "app/config", "second\x00\xff")
	deleted := b.remove(t, "app/config")
	again := b.put(t, "app/config", "third")
	kept := b.put(t, "app/other", "kept")
	gone := b.remove(t, "app/config")
	other := b.put(t, "top", "x")
	b.save(t, "later")

	wantColumns(t, b.want(t, "ls"), "PREFIX KEYS SIZE", `"" 1 1 B`, "app/ 1 4 B")
	wantColumns(t, b.want(t, "ls", "app/"), "KEY REVISION VERSION SIZE", fmt.Sprintf("app/other %d 1 4 B", kept))
	wantColumns(t, b.want(t, "ls", "app/", "--deleted"), "KEY DELETED GET --revision SIZE", fmt.Sprintf("app/config %d %d 5 B", gone, gone-1))
	wantColumns(t, b.want(t, "ls", "", "--deleted", "--revision", fmt.Sprint(deleted)),
		"KEY DELETED GET --revision SIZE", fmt.Sprintf("app/config %d %d 8 B", deleted, changed))
	wantColumns(t, b.want(t, "get", "app/config", "--history"), "REVISION VERSION CHANGE SIZE LEASE",
		fmt.Sprintf("%d 1 created 5 B -", created), fmt.Sprintf("%d 2 changed 8 B -", changed), fmt.Sprintf("%d - deleted - -", deleted),
		fmt.Sprintf("%d 1 created 5 B -", again), fmt.Sprintf("%d - deleted - -", gone))
	for revision, value := range map[int64]string{created: "first", changed: "second\x00\xff", again: "third", kept: "third"} {
		if got := b.want(t, "get", "app/config", "--revision", fmt.Sprint(revision)); got != value {
			t.Errorf("revision %d: %q, want %q", revision, got, value)
		}
	}
	b.refused(t, 1, []string{"no such key: app/config at revision", fmt.Sprintf("it was deleted at revision %d: --revision %d shows its last value", gone, gone-1)},
		"get", "app/config")
	b.refused(t, 1, []string{fmt.Sprintf("at revision %d", kept), fmt.Sprintf("it was created at revision %d", other)}, "get", "top", "--revision", fmt.Sprint(kept))
}

// The bytes of a value come as they are, and as JSON either as a text or in base64.
func TestGetPrintsTheValueAsItIs(t *testing.T) {
	b := newLookBed(t)
	binary := "\x00\x1b[2J\xff\n\n"
	b.put(t, "binary", binary)
	b.put(t, "text", "größer\n")
	b.save(t, "values")
	for _, format := range [][]string{nil, {"-o", "raw"}} {
		if got := b.want(t, append([]string{"get", "binary"}, format...)...); got != binary {
			t.Errorf("%q: %q", format, got)
		}
	}
	for key, want := range map[string]string{"text": `"value":"größer\n"`, "binary": `"value_base64":"ABtbMkr/Cgo="`} {
		var v map[string]any
		must(t, json.Unmarshal([]byte(b.want(t, "get", key, "-o", "json")), &v))
		text, err := json.Marshal(v)
		must(t, err)
		if !strings.Contains(string(text), want) || v["key"] != key {
			t.Errorf("%s: %s", key, text)
		}
	}
}

// Keys of any bytes are shown so that a terminal does not obey them, and are taken back in the same form.
func TestKeysOfAnyBytesAreShownAndTaken(t *testing.T) {
	b := newLookBed(t)
	keys := map[string]string{
		"dir/\x1b]0;title\x07": `"dir/\x1b]0;title\a"`, "dir/\xff\xfe": `"dir/\xff\xfe"`, "dir/a\nb": `"dir/a\nb"`,
		"dir/\u202egnp": `"dir/\u202egnp"`, `"quoted"`: `"\"quoted\""`, "dir/größer": "dir/größer",
	}
	for key, shown := range keys {
		b.put(t, key, "value of "+shown)
	}
	b.save(t, "bytes")
	table := b.want(t, "ls", "")
	var list contents
	must(t, json.Unmarshal([]byte(b.want(t, "ls", "", "--output", "json")), &list))
	if len(list.Keys) != len(keys) {
		t.Errorf("there are %d keys, want %d", len(list.Keys), len(keys))
	}
	for _, k := range list.Keys {
		if strings.ContainsAny(k.Key, "\x1b\x07\n") || !strings.Contains(table, k.Key) {
			t.Errorf("%q in\n%s", k.Key, table)
		}
	}
	for key, shown := range keys {
		if got := b.want(t, "get", shown); got != "value of "+shown {
			t.Errorf("get %s: %q", shown, got)
		}
		if !strings.HasPrefix(key, `"`) && !strings.ContainsRune(key, 0) {
			if got := b.want(t, "get", key); got != "value of "+shown {
				t.Errorf("get %q: %q", key, got)
			}
		}
	}
	b.refused(t, 2, []string{`a key that begins with " must be quoted as ls shows it`}, "get", `"half`)
}

// What does not exist is one line that says what does.
func TestMistakesInLookingAreOneLine(t *testing.T) {
	b := newLookBed(t)
	b.put(t, "/registry-of/frontend", "a")
	b.put(t, "/registry-of/frontier", "a")
	compacted := b.put(t, "/registry-of/frontend", "b")
	newest := b.put(t, "/zzz", "c")
	_, err := b.client.Compact(t.Context(), compacted, clientv3.WithCompactPhysical())
	must(t, err)
	b.save(t, "mistakes")
	retained := fmt.Sprintf("the snapshot has the revisions %d to %d", compacted, newest)
	b.refused(t, 1, []string{"no such key: /registry-of/frontent at revision", "did you mean /registry-of/frontend, /registry-of/frontier?"}, "get", "/registry-of/frontent")
	b.refused(t, 1, []string{"no such key: qqq", "ls shows the keys"}, "get", "qqq")
	for _, command := range [][]string{{"ls"}, {"ls", ""}, {"ls", "--deleted"}, {"get", "/zzz"}} {
		b.refused(t, 2, []string{fmt.Sprintf("%d was compacted", compacted-1), retained}, append(command, "--revision", fmt.Sprint(compacted-1))...)
		b.refused(t, 2, []string{fmt.Sprintf("%d came later", newest+1), retained}, append(command, "--revision", fmt.Sprint(newest+1))...)
		b.refused(t, 2, []string{`--revision: "x" is not a revision of etcd`}, append(command, "--revision", "x")...)
		b.refused(t, 2, []string{`--revision: "0" is not a revision of etcd`}, append(command, "--revision", "0")...)
		b.refused(t, 1, []string{"no such snapshot: none"}, append(command, "--snapshot", "none")...)
	}
	if got := b.want(t, "get", "/registry-of/frontend", "--revision", fmt.Sprint(compacted)); got != "b" {
		t.Errorf("at the compaction's own revision: %q", got)
	}
	b.refused(t, 2, []string{"get needs a key"}, "get")
	b.refused(t, 2, []string{"get needs a key"}, "get", "")
	b.refused(t, 2, []string{"the snapshot has no keys of Kubernetes, so there is no cm"}, "get", "cm", "web")
	b.refused(t, 2, []string{"the snapshot has no keys of Kubernetes, so there is no a"}, "get", "a", "b", "c")
	b.refused(t, 2, []string{"ls takes one prefix, and 2 were given"}, "ls", "a", "b")
	b.refused(t, 2, []string{"diff needs a snapshot"}, "diff")
	b.refused(t, 2, []string{"compares it with itself"}, "diff", "latest", "latest")
	b.refused(t, 2, []string{`--output: "xml" is not table, json, yaml or raw`}, "get", "/zzz", "-o", "xml")
	b.refused(t, 2, []string{`--output: "yaml" is not table or json`}, "ls", "-o", "yaml")
	for prefix, texts := range map[string]string{"/nothing/": "no key that begins with /nothing/ at revision"} {
		status, stdout, stderr := run(t.Context(), "ls", prefix, "--dir", b.dir)
		if status != 0 || stdout != "" || !strings.Contains(stderr, texts) {
			t.Errorf("ls %s: status %d, %q, %q", prefix, status, stdout, stderr)
		}
		if got := b.want(t, "ls", prefix, "-o", "json"); !strings.Contains(got, `"keys": []`) {
			t.Errorf("ls %s: %s", prefix, got)
		}
	}
}

// diff compares two snapshots, or a snapshot with what etcd has now.
func TestDiffShowsWhatChangedSinceTheSnapshot(t *testing.T) {
	b := newLookBed(t)
	b.put(t, "a/json", `{"spec":{"replicas":3,"list":[{"name":"x","v":1},{"name":"y"}]},"null":null}`)
	b.put(t, "a/gone", "1")
	b.put(t, "a/same", "1")
	b.put(t, "b/text", "one\x1b[31m")
	b.save(t, "first")
	b.put(t, "a/json", `{"spec":{"replicas":5,"list":[{"name":"y"},{"name":"x","v":2}]}}`)
	b.remove(t, "a/gone")
	b.put(t, "a/same", "1")
	b.put(t, "a/new", "1")
	b.put(t, "b/text", "two")
	b.save(t, "second")
	fields := []string{"~ a/json", "null null -> (none)", "spec.list[x].v 1 -> 2", `spec.list[*].name ["x","y"] -> ["y","x"]`, "spec.replicas 3 -> 5"}
	all := append([]string{"- a/gone"}, append(fields, "+ a/new", "~ b/text", `value "one\x1b[31m" -> "two"`)...)
	wantColumns(t, b.want(t, "diff", "first", "second"), all...)
	wantColumns(t, b.want(t, "diff", "first", "live", "--endpoints", b.endpoint), all...)
	wantColumns(t, b.want(t, "diff", "first", "second", "b/"), all[len(all)-2:]...)
	wantColumns(t, b.want(t, "diff", "first", `"b/"`, "--endpoints", b.endpoint), all[len(all)-2:]...)
	wantColumns(t, b.want(t, "diff", "second", "live", "--endpoints", b.endpoint, "--exit-code"))
	wantColumns(t, b.want(t, "diff", "live", "second", "--endpoints", b.endpoint, "--exit-code"))
	var out differences
	must(t, json.Unmarshal([]byte(b.want(t, "diff", "second", "first", "-o", "json")), &out))
	if out.Added != 1 || out.Deleted != 1 || out.Changed != 2 || len(out.Changes) != 4 || !strings.Contains(out.Before.Name, "second_n1") || out.After.Revision == 0 {
		t.Errorf("%+v", out)
	}
	status, stdout, stderr := run(t.Context(), "diff", "first", "second", "--exit-code", "--dir", b.dir)
	if status != 1 || stdout == "" || !strings.Contains(stderr, "1 added, 1 deleted, 2 changed") || strings.Contains(stderr, program+":") {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
}

// Two states of different clusters are compared with a warning.
func TestDiffWarnsOfAnotherCluster(t *testing.T) {
	b, other := newLookBed(t), newLookBed(t)
	b.put(t, "/key", "value")
	other.put(t, "/key", "value")
	b.save(t, "mine")
	status, _, stderr := run(t.Context(), "diff", "mine", "live", "--endpoints", other.endpoint, "--dir", b.dir)
	if status != 0 || !strings.Contains(stderr, "warning: A is of cluster ") {
		t.Errorf("status %d, %q", status, stderr)
	}
	if _, _, stderr := run(t.Context(), "diff", "mine", "live", "--endpoints", b.endpoint, "--dir", b.dir); strings.Contains(stderr, "warning") {
		t.Errorf("the same cluster: %q", stderr)
	}
}

// Values that are larger than an answer of etcd usually is, and many keys, are read from etcd in pages.
func TestDiffReadsALargeEtcdInPages(t *testing.T) {
	b := newLookBed(t)
	for i := range 40 {
		b.put(t, fmt.Sprintf("/big/%d", i), strings.Repeat("v", i*30000))
	}
	for i := range 3000 {
		b.put(t, fmt.Sprintf("/small/%d", i), "v")
	}
	b.save(t, "large")
	wantColumns(t, b.want(t, "diff", "large", "live", "--endpoints", b.endpoint, "--exit-code"))
}

// A disk without room for the database is one line, before the database is there, and leaves nothing.
func TestFullDiskIsReportedAndLeavesNothing(t *testing.T) {
	b := newLookBed(t)
	for i := range 100 {
		b.put(t, fmt.Sprint("key/", i), strings.Repeat("compresses well", 2000))
	}
	b.save(t, "small")
	archives, err := filepath.Glob(filepath.Join(b.dir, "small_*"))
	must(t, err)
	disk := t.TempDir()
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m,mode=0700"))
	defer func() { must(t, unix.Unmount(disk, 0)) }()
	copied := filepath.Join(disk, filepath.Base(archives[0]))
	data, err := os.ReadFile(archives[0])
	must(t, err)
	must(t, os.WriteFile(copied, data, 0o600))
	b.refused(t, 1, []string{"look into " + copied, "no space left on device"}, "get", "key/1", "--snapshot", copied, "--min-free", "0")
	b.refused(t, 1, []string{"free space too low"}, "ls", "--snapshot", copied)
	left, err := os.ReadDir(disk)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("%v is left", left)
	}
}

// stopping cancels at the first byte that is written.
type stopping struct {
	io.Writer
	stop context.CancelFunc
}

func (s stopping) Write(p []byte) (int, error) {
	s.stop()
	return s.Writer.Write(p)
}

// A signal in the middle of a long list stops it.
func TestSignalStopsALongList(t *testing.T) {
	b := newLookBed(t)
	for i := range 200 {
		var ops []clientv3.Op
		for j := range 100 {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/key/%d/%d", i, j), "v"))
		}
		_, err := b.client.Txn(t.Context()).Then(ops...).Commit()
		must(t, err)
	}
	b.save(t, "long")
	for _, args := range [][]string{{"ls", ""}, {"diff", "long", "live", "--endpoints", b.endpoint}} {
		if args[0] == "diff" {
			_, err := b.client.Delete(t.Context(), "/key/", clientv3.WithPrefix())
			must(t, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var out, errs strings.Builder
		p := Process{Root: noRoot, Stdout: stopping{&out, stop}, Stderr: &errs}
		status := Main(ctx, p, append([]string{program}, append(args, "--dir", b.dir)...))
		if status != 1 || errs.String() != program+": stopped by a signal\n" {
			t.Errorf("%q: status %d, %q", args, status, errs.String())
		}
		if lines := strings.Count(out.String(), "\n"); lines > 19000 {
			t.Errorf("%q: %d lines were printed", args, lines)
		}
	}
}

// A reader that has gone, as of a pipe to head, ends the program as it ends others: without a word.
func TestClosedPipeEndsTheProgramWithoutAWord(t *testing.T) {
	b := newLookBed(t)
	b.put(t, "/key", "value")
	b.save(t, "pipe")
	for _, args := range [][]string{{"ls", ""}, {"ls"}, {"ls", "-o", "json"}, {"get", "/key"}, {"diff", "pipe", "live", "/key", "--endpoints", b.endpoint}} {
		if args[0] == "diff" {
			b.put(t, "/key", "other")
		}
		r, w, err := os.Pipe()
		must(t, err)
		must(t, r.Close())
		var said strings.Builder
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
		cmd.Args = append([]string{program}, append(args, "--dir", b.dir, "--config", "")...)
		cmd.Stdout, cmd.Stderr = w, &said
		err = cmd.Run()
		must(t, w.Close())
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !status.Signaled() || status.Signal() != unix.SIGPIPE || said.String() != "" {
			t.Errorf("%q: %v, %q", args, err, said.String())
		}
	}
}

// Every form that restore takes can be looked into. What is damaged is refused, with the command for another snapshot.
func TestEveryFormCanBeLookedInto(t *testing.T) {
	b := newLookBed(t)
	b.put(t, "/key", "value")
	b.save(t, "older")
	archives, err := filepath.Glob(filepath.Join(b.dir, "older_*"))
	must(t, err)
	dir := t.TempDir()
	raw := filepath.Join(dir, "raw")
	for _, line := range []string{
		"zstd -q -d -o $RAW $ARCHIVE", "gzip -k $RAW", "zstd -q $RAW", "head -c -32 $RAW > $RAW.copy", "cp $ARCHIVE $RAW.renamed",
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
		cmd.Env = append(os.Environ(), "RAW="+raw, "ARCHIVE="+archives[0])
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	for _, name := range []string{"raw", "raw.gz", "raw.zst", "raw.copy", "raw.renamed"} {
		status, stdout, stderr := run(t.Context(), "get", "/key", "--snapshot", filepath.Join(dir, name), "--dir", b.dir)
		if status != 0 || stdout != "value" || strings.Contains(stderr, "has no digest") != (name == "raw.copy") {
			t.Errorf("%s: status %d, %q, %q", name, status, stdout, stderr)
		}
	}
	b.put(t, "/key", "newer")
	damaged := filepath.Join(b.dir, "older_n1_29990101T000000Z.db.zst")
	data, err := os.ReadFile(archives[0])
	must(t, err)
	data[200] ^= 1 // in the database
	must(t, os.WriteFile(damaged, data, 0o600))
	for _, args := range [][]string{{"get", "/key"}, {"ls", "/k"}} {
		b.refused(t, 3, []string{"look into " + damaged, "damaged", program + " " + strings.Join(args, " ") + " --snapshot older_n1_2"},
			append(args, "--snapshot", filepath.Base(damaged))...)
	}
	b.refused(t, 3, []string{program + " diff older_n1_2", " live"}, "diff", filepath.Base(damaged), "live", "--endpoints", b.endpoint)
	b.refused(t, 3, []string{program + " diff live older_n1_2"}, "diff", "live", filepath.Base(damaged), "--endpoints", b.endpoint)
	b.refused(t, 3, []string{"no snapshot"}, "ls", "--snapshot", "/proc/self/status")
}
