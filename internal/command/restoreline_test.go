package command

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/metrics"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

const restored = "rolling_n1_20260101T000000Z.db.zst"

// The page's command has what a restore needs and nothing else, as a shell reads it.
func TestRestoreLine(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	mirror := []string{
		"--dir", "/srv/it's here", "--s3-bucket", "backups", "--s3-endpoint", "minio:9000", "--s3-access-key-file", "/k/access",
		"--s3-secret-key-file=/k/secret", "--s3-insecure-skip-verify", "--s3-object-lock", "7d", "--s3-upload-rate", "1MiB",
		"--s3-ca", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n",
	}
	relative := []string{"--dir", "store", "--s3-bucket=backups", "--s3-access-key-file=k/access", "--s3-secret-key-file", "../secret", "--s3-ca=./ca.crt"}
	keys := " --s3-access-key-file " + here + "/k/access --s3-secret-key-file " + filepath.Dir(here) + "/secret --s3-ca " + here + "/ca.crt"
	file := filepath.Join(t.TempDir(), "daemon.yaml")
	must(t, os.WriteFile(file, []byte("dir: ./store\ns3-bucket: backups\ns3-access-key-file: k/access\ns3-secret-key-file: ../secret\ns3-ca: ca.crt\n"), 0o600))
	for _, tc := range []struct {
		from   metrics.Place
		member string
		flags  []string
		want   string
	}{
		{metrics.Local, "", nil, " --replace --from local"},
		{metrics.Local, "node-a", nil, " --replace --name node-a --from local"},
		{metrics.Local, "it's; a", nil, ` --replace --name 'it'\''s; a' --from local`},
		{metrics.Local, "", mirror, ` --replace --from local --dir '/srv/it'\''s here'`},
		{metrics.S3, "node-a", mirror, " --replace --name node-a --from s3 --s3-bucket backups --s3-endpoint minio:9000 --s3-access-key-file /k/access --s3-secret-key-file /k/secret --s3-insecure-skip-verify"},
		{metrics.Local, "", relative, " --replace --from local --dir " + here + "/store"},
		{metrics.S3, "", relative, " --replace --from s3 --s3-bucket backups" + keys},
		{metrics.Local, "", []string{"--config", file}, " --replace --from local --dir " + here + "/store"},
		{metrics.S3, "", []string{"--config", file}, " --replace --from s3 --s3-bucket backups" + keys},
		{metrics.S3, "", []string{"--s3-bucket=backups", "--s3-ca", strings.Repeat("LS0tLS1CRUdJTiBD", 40)}, " --replace --from s3 --s3-bucket backups"},
	} {
		r := newRestorer(parse(t, "daemon", tc.flags...), func() string { return tc.member })
		want := "etcd-rolling-backup restore " + restored + tc.want
		if got := r.line(restored, tc.from); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// A relative path is one of the directory that the daemon was started in, wherever it is later.
func TestRestoreLineFromTheStart(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	r := newRestorer(parse(t, "daemon", "--dir=store"), func() string { return "" })
	t.Chdir(t.TempDir())
	if got := r.line(restored, metrics.Local); !strings.HasSuffix(got, " --dir "+here+"/store") {
		t.Error(got)
	}
}

// Nothing beside the command is said without need, the variables that the keys come from are named, and no key is.
func TestRestoreNotes(t *testing.T) {
	bucket := []string{"--s3-bucket=backups"}
	profile := "From S3: the daemon has its keys from an AWS profile or role. As another user, or elsewhere, add --s3-access-key-file and --s3-secret-key-file."
	for name, tc := range map[string]struct {
		env   map[string]string
		flags []string
		want  []string
	}{
		"no bucket": {env: map[string]string{"AWS_ACCESS_KEY_ID": secret, "AWS_SECRET_ACCESS_KEY": secret}},
		"files":     {env: map[string]string{"AWS_ACCESS_KEY_ID": secret, "AWS_SECRET_ACCESS_KEY": secret}, flags: append(bucket, "--s3-access-key-file=/a", "--s3-secret-key-file=/s")},
		"keys": {
			env:   map[string]string{"AWS_ACCESS_KEY_ID": secret, "AWS_SECRET_ACCESS_KEY": secret, "AWS_PROFILE": "p"},
			flags: bucket, want: []string{"From S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY as for the daemon."},
		},
		"a session": {
			env:   map[string]string{"AWS_ACCESS_KEY_ID": secret, "AWS_SECRET_KEY": secret, "AWS_SESSION_TOKEN": secret},
			flags: bucket, want: []string{"From S3: set AWS_ACCESS_KEY_ID, AWS_SECRET_KEY and AWS_SESSION_TOKEN as for the daemon."},
		},
		"half":      {env: map[string]string{"AWS_ACCESS_KEY_ID": secret}, flags: bucket, want: []string{profile}},
		"a profile": {env: map[string]string{"AWS_PROFILE": "p"}, flags: bucket, want: []string{"From S3: set AWS_PROFILE as for the daemon."}},
		"nothing":   {flags: bucket, want: []string{profile}},
		"a CA's text": {
			flags: append(bucket, "--s3-access-key-file=/a", "--s3-secret-key-file=/s", "--s3-ca=-----BEGIN CERTIFICATE-----\n"),
			want:  []string{"From S3: add --s3-ca with a file of the certificate that the daemon was given as text."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range os.Environ() {
				if v, _, _ := strings.Cut(v, "="); strings.HasPrefix(v, "AWS_") {
					t.Setenv(v, "")
				}
			}
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			notes := restoreNotes(parse(t, "daemon", tc.flags...))
			if always := 3; len(notes) < always || !slices.Equal(notes[always:], tc.want) {
				t.Errorf("got\n%s\nwant behind those for all\n%s", strings.Join(notes, "\n"), strings.Join(tc.want, "\n"))
			}
			if strings.Contains(strings.Join(notes, "\n"), secret) {
				t.Errorf("a key is told: %s", notes)
			}
		})
	}
}

func TestNamedFlagsAreFlags(t *testing.T) {
	flags := slices.Concat(dirFlags(), s3Flags())
	for _, name := range slices.Concat(uploading(), paths()) {
		if !slices.ContainsFunc(flags, func(f cli.Flag) bool { return f.Names()[0] == name }) {
			t.Errorf("--%s is no flag", name)
		}
	}
}

// The member's name is what it says itself, and while it is silent what the last snapshot of this node says. An endpoint that
// stands in for a silent one has a name that is not this node's.
func TestMemberIsCalled(t *testing.T) {
	c := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	learner, err := c.AddLearner(t.Context())
	must(t, err)
	dir := snapshot.NewDir(filepath.Join(t.TempDir(), "store"))
	must(t, dir.Prepare())
	of := func(node string, endpoints ...string) *taker {
		cfg := member.Config{Endpoints: endpoints, Timeout: 2 * time.Second}
		return &taker{
			connect: func() (member.Config, error) { return cfg, nil }, role: daemon.RoleAny, dir: dir,
			options: snapshot.TakeOptions{Set: snapshot.RollingSet, Node: node, Stall: 10 * time.Second},
		}
	}
	called := func(what string, tk *taker, want string) {
		t.Helper()
		if got := tk.called(); got != want {
			t.Errorf("%s: the member is called %q, want %q", what, got, want)
		}
	}
	own := c.Members[0].Endpoint
	for _, x := range []struct {
		endpoints []string
		want      string
	}{{[]string{own}, "node1"}, {[]string{own, learner.Endpoint}, "node1"}, {[]string{"127.0.0.1:1", own}, ""}, {[]string{learner.Endpoint}, ""}} {
		tk := of("n1", x.endpoints...)
		must(t, tk.look(t.Context()))
		called(strings.Join(x.endpoints, ","), tk, x.want)
	}
	tk := of("n1", own)
	tk.recall()
	called("no snapshot", tk, "")
	_, err = tk.take(t.Context(), logrus.New(), tk.options)
	must(t, err)
	called("a snapshot taken", tk, "node1")

	must(t, c.Members[0].Kill())
	for node, want := range map[string]string{"n1": "node1", "n2": ""} {
		late := of(node, own)
		if err := late.look(t.Context()); err == nil {
			t.Error("an etcd that is down gave no error")
		}
		called("etcd is down", late, "")
		late.recall()
		called("etcd is down, on node "+node, late, want)
	}
}
