package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// What is repeated is what this command line alone has set: the next one has the same environment and can read the same file.
func TestAgainRepeatsTheCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b.yaml")
	must(t, os.WriteFile(file, []byte("s3-bucket: backups\ns3-region: r\nschedule: '@hourly'\n"), 0o600))
	t.Setenv("ETCD_BACKUP_S3_FOLDER", "cluster-3")
	t.Setenv("ETCD_BACKUP_S3_ENDPOINT", "here:1")
	for _, test := range []struct{ args, want []string }{
		{nil, nil},
		{[]string{"--dir=/a dir", "--keep-last=3"}, []string{"--dir", "'/a dir'"}},
		{[]string{"--s3-bucket=b", "--s3-folder=cluster-3", "--s3-endpoint=there:2", "--s3-insecure-skip-verify"},
			[]string{"--s3-bucket", "b", "--s3-endpoint", "there:2", "--s3-insecure-skip-verify"}},
		{[]string{"--config=" + file, "--s3-region=other"}, []string{"--config", "'" + file + "'", "--s3-region", "other"}},
	} {
		err := onCommand(t, func(c *cli.Context) error {
			got := Again(c, slices.Concat(DirFlags(), S3Flags()))
			slices.Sort(got)
			want := slices.Sorted(slices.Values(test.want))
			if !slices.Equal(got, want) {
				t.Errorf("%q: got %q, want %q", test.args, got, want)
			}
			return nil
		}, test.args...)
		must(t, err)
	}
}

func TestQuoteMakesOneWordOfAShell(t *testing.T) {
	for _, text := range []string{"", "plain", "/var/lib/a-b_c.db", "two words", "it's", `"$HOME" \ * ? ; & | < > # ~`, "a\nb", "ä", "~root"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+Quote(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%s: got %q and %v", Quote(text), out, err)
		}
	}
	if got := Quote("/var/lib/x"); strings.Contains(got, "'") {
		t.Errorf("got %s", got)
	}
}
