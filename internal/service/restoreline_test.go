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
func read(t *testing.T, flags ...string) config.Config {
	t.Helper()
	return readOn(t, t.TempDir(), flags...).Config
}

// readOn reads also the configuration file of the machine whose files are below root.
func readOn(t *testing.T, root string, flags ...string) (r config.Reading) {
	t.Helper()
	var origins *config.Origins
	c := &cli.Command{Name: "daemon", Flags: slices.Concat(config.DirFlags(), config.S3Flags(), config.VersionFlags(), config.JournalFlags(), config.LogFlags()), Action: func(c *cli.Context) (err error) {
		r.Config, err = config.Read(c)
		r.Sources = origins.Sources(c)
		return err
	}}
	origins = config.Attach([]*cli.Command{c}, root)
	origins.Words = append([]string{"test", "daemon"}, flags...)
	must(t, (&cli.App{Commands: []*cli.Command{c}}).Run(origins.Words))
	return r
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
	must(t, os.WriteFile(file, []byte("s3-bucket: backups\ns3-access-key-file: k/access\ns3-secret-key-file: ../secret\ns3-ca: ca.crt\n"), 0o600))
	for _, tc := range []struct {
		from   status.Place
		member string
		flags  []string
		want   string
	}{
		{status.Local, "", nil, " --replace"},
		{status.Local, "node-a", nil, " --replace --name node-a"},
		{status.Local, "", []string{"--journal"}, " --replace --at latest"}, // a name alone is restored as it is
		{status.S3, "", []string{"--journal", "--s3-bucket=backups"}, " --replace --from s3 --at latest --s3-bucket backups"},
		{status.Local, "it's; a", nil, ` --replace --name 'it'\''s; a'`},
		{status.Local, "", mirror, ` --replace --from local --dir '/srv/it'\''s here'`},
		{status.S3, "node-a", mirror, " --replace --name node-a --from s3 --s3-bucket backups --s3-endpoint minio:9000 --s3-access-key-file /k/access --s3-secret-key-file /k/secret --s3-insecure-skip-verify"},
		{status.Local, "", relative, " --replace --from local --dir " + here + "/store"},
		{status.S3, "", relative, " --replace --from s3 --s3-bucket backups" + keys},
		{status.Local, "", []string{"--config", file, "--dir", "./store"}, " --replace --from local --config " + file + " --dir " + here + "/store"},
		{status.S3, "", []string{"--config", file}, " --replace --from s3 --config " + file + keys},
		{status.Local, "", []string{"--config", ""}, " --replace --config ''"},
		{status.S3, "", []string{"--s3-bucket=backups", "--s3-ca", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"}, " --replace --from s3 --s3-bucket backups"},
		{status.S3, "", []string{"--s3-bucket=backups", "--s3-ca", strings.Repeat("LS0tLS1CRUdJTiBD", 40)}, " --replace --from s3 --s3-bucket backups"},
	} {
		daemon := readOn(t, t.TempDir(), tc.flags...)
		r := restoreLine("etcd-rolling-backup", daemon.Config, daemon.Sources, func() string { return tc.member })
		name := parsed(t)
		want := "etcd-rolling-backup restore " + restored + tc.want
		if got := r(name, tc.from); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// What the node's configuration file says, the command gets from there; what a flag or a variable says instead, it repeats.
func TestRestoreLineRepeatsNothingOfTheConfigurationFile(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, config.DefaultFile)
	must(t, os.MkdirAll(filepath.Dir(file), 0o700))
	const settings = "dir: /srv/backup\ns3-bucket: backups\ns3-folder: a\ns3-timeout: 1m\ns3-stall: 90s\ns3-insecure-skip-verify: true\n" +
		"s3-access-key-file: /k/access\ns3-secret-key-file: /k/secret\n"
	must(t, os.WriteFile(file, []byte(settings), 0o600))
	other := filepath.Join(t.TempDir(), "other.yaml")
	must(t, os.WriteFile(other, []byte(settings), 0o600))
	for name, tc := range map[string]struct {
		flags     []string
		env       map[string]string
		local, s3 string
	}{
		"nothing else":    {local: "", s3: ""},
		"another file":    {flags: []string{"--config", other}, local: " --config " + other, s3: " --config " + other},
		"no file":         {flags: []string{"--config", "", "--s3-bucket=bucket"}, local: " --config ''", s3: " --config '' --s3-bucket bucket"},
		"a variable":      {env: map[string]string{"ETCD_BACKUP_S3_FOLDER": "b"}, s3: " --s3-folder b"},
		"the same value":  {flags: []string{"--dir=/srv/backup"}, local: " --dir /srv/backup"},
		"a default again": {flags: []string{"--dir", config.DefaultDir, "--s3-timeout=30s", "--s3-insecure-skip-verify=false"}, local: " --dir " + config.DefaultDir, s3: " --s3-timeout 30s --s3-insecure-skip-verify=false"},
		"a file's name in the environment": {
			env: map[string]string{"ETCD_BACKUP_CONFIG": other}, local: " --config " + other, s3: " --config " + other,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			daemon := readOn(t, root, tc.flags...)
			line := restoreLine("etcd-rolling-backup", daemon.Config, daemon.Sources, func() string { return "" })
			for place, want := range map[status.Place]string{status.Local: tc.local, status.S3: tc.s3} {
				got := line(parsed(t), place)
				if want := "etcd-rolling-backup restore " + restored + " --replace --from " + string(place) + want; got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
			}
		})
	}
}

// A relative path begins in the directory that the daemon was started in, whatever its working directory is later.
func TestRestoreLineFromTheStart(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	r := restoreLine("etcd-rolling-backup", read(t, "--dir=store"), config.Sources{}, func() string { return "" })
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
			notes := restoreNotes(read(t, tc.flags...).S3, config.Sources{})
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
	if got := read(t, BucketFlags(read(t, append(given, uploads...)...).S3, config.Sources{})...).S3; *got != *want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func parsed(t *testing.T) snapshot.Name {
	t.Helper()
	n, err := snapshot.ParseName(restored)
	must(t, err)
	return n
}
