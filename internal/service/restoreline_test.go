package service

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/snapshot"
)

// secret is in every key of the tests, and so may be in no output.
const secret = "hunter2"

// read is the configuration of a daemon with these flags.
func read(t *testing.T, flags ...string) (cfg config.Config) {
	t.Helper()
	c := &cli.Command{Name: "daemon", Flags: slices.Concat(config.DirFlags(), config.S3Flags(), config.VersionFlags(), config.LogFlags()), Action: func(c *cli.Context) (err error) {
		cfg, err = config.Read(c)
		return err
	}}
	config.Attach([]*cli.Command{c}, t.TempDir())
	must(t, (&cli.App{Commands: []*cli.Command{c}}).Run(append([]string{"test", "daemon"}, flags...)))
	return cfg
}

const restored = "rolling_n1_20260101T000000Z.db.zst"

// The command on the status page has what a restore needs and nothing else, quoted for a shell.
func TestRestoreLine(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	mirror := []string{
		"--dir", "/srv/it's here", "--s3-bucket", "backups", "--s3-endpoint", "minio:9000", "--s3-access-key-file", "/k/access",
		"--s3-secret-key-file=/k/secret", "--s3-insecure-skip-verify", "--s3-object-lock", "7d", "--s3-upload-rate", "1MiB",
	}
	relative := []string{"--dir", "store", "--s3-bucket=backups", "--s3-access-key-file=k/access", "--s3-secret-key-file", "../secret", "--s3-ca=./ca.crt"}
	keys := " --s3-access-key-file " + here + "/k/access --s3-secret-key-file " + filepath.Dir(here) + "/secret --s3-ca " + here + "/ca.crt"
	file := filepath.Join(t.TempDir(), "daemon.yaml")
	must(t, os.WriteFile(file, []byte("dir: ./store\ns3-bucket: backups\ns3-access-key-file: k/access\ns3-secret-key-file: ../secret\ns3-ca: ca.crt\n"), 0o600))
	for _, tc := range []struct {
		from   status.Place
		member string
		flags  []string
		want   string
	}{
		{status.Local, "", nil, " --replace --from local"},
		{status.Local, "node-a", nil, " --replace --name node-a --from local"},
		{status.Local, "it's; a", nil, ` --replace --name 'it'\''s; a' --from local`},
		{status.Local, "", mirror, ` --replace --from local --dir '/srv/it'\''s here'`},
		{status.S3, "node-a", mirror, " --replace --name node-a --from s3 --s3-bucket backups --s3-endpoint minio:9000 --s3-access-key-file /k/access --s3-secret-key-file /k/secret --s3-insecure-skip-verify"},
		{status.Local, "", relative, " --replace --from local --dir " + here + "/store"},
		{status.S3, "", relative, " --replace --from s3 --s3-bucket backups" + keys},
		{status.Local, "", []string{"--config", file}, " --replace --from local --dir " + here + "/store"},
		{status.S3, "", []string{"--config", file}, " --replace --from s3 --s3-bucket backups" + keys},
		{status.S3, "", []string{"--s3-bucket=backups", "--s3-ca", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"}, " --replace --from s3 --s3-bucket backups"},
		{status.S3, "", []string{"--s3-bucket=backups", "--s3-ca", strings.Repeat("LS0tLS1CRUdJTiBD", 40)}, " --replace --from s3 --s3-bucket backups"},
	} {
		r := restoreLine("etcd-rolling-backup", read(t, tc.flags...), func() string { return tc.member })
		name := parsed(t)
		want := "etcd-rolling-backup restore " + restored + tc.want
		if got := r(name, tc.from); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// A relative path begins in the directory that the daemon was started in, whatever its working directory is later.
func TestRestoreLineFromTheStart(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	r := restoreLine("etcd-rolling-backup", read(t, "--dir=store"), func() string { return "" })
	t.Chdir(t.TempDir())
	if got := r(parsed(t), status.Local); !strings.HasSuffix(got, " --dir "+here+"/store") {
		t.Error(got)
	}
}

// There is no note without need; the variables that the keys come from are named, and no key is shown.
func TestRestoreNotes(t *testing.T) {
	bucket := []string{"--s3-bucket=backups"}
	profile := "From S3: the daemon gets its keys from an AWS profile or role. As another user, or on another machine, add --s3-access-key-file and --s3-secret-key-file."
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
			notes := restoreNotes(read(t, tc.flags...).S3)
			if always := 3; len(notes) < always || !slices.Equal(notes[always:], tc.want) {
				t.Errorf("got\n%s\nwant behind those for all\n%s", strings.Join(notes, "\n"), strings.Join(tc.want, "\n"))
			}
			if strings.Contains(strings.Join(notes, "\n"), secret) {
				t.Errorf("a key is told: %s", notes)
			}
		})
	}
}

// The flags of the command lead to the same bucket: whatever is set for it arrives, except what only uploads need.
func TestRestoreLineHasEveryFlagOfTheBucket(t *testing.T) {
	given := []string{
		"--s3-bucket=backups", "--s3-endpoint=minio:9000", "--s3-region=r", "--s3-folder=f/g", "--s3-access-key-file=/a", "--s3-secret-key-file=/s", "--s3-ca=/c",
		"--s3-bucket-lookup=path", "--s3-timeout=45s", "--s3-stall=2m", "--s3-versions", "--s3-version-id=v",
	}
	uploads := []string{"--s3-sse=kms", "--s3-storage-class=c", "--s3-object-lock=7d", "--s3-object-lock-mode=compliance", "--s3-upload-rate=1MiB", "--s3-checksum=md5", "--s3-append-only"}
	alone := []string{"--s3-insecure-skip-verify"} // not with a CA
	if flags, all := len(given)+len(uploads)+len(alone), len(config.S3Flags())+len(config.VersionFlags()); flags != all {
		t.Errorf("the bucket has %d flags, and %d are tested", all, flags)
	}
	want := read(t, given...).S3
	if got := read(t, BucketFlags(read(t, append(given, uploads...)...).S3)...).S3; *got != *want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func parsed(t *testing.T) snapshot.Name {
	t.Helper()
	n, err := snapshot.ParseName(restored)
	must(t, err)
	return n
}
