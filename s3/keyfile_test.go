package s3_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etcd-rolling-backup/s3"
)

// A byte order mark and the line ends of Windows do not matter in the keys and the CA.
func TestKeysAndCAMayHaveAMark(t *testing.T) {
	_, c := bed(t, server.Target)
	dir := t.TempDir()
	marked := func(name, file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, filepath.Join(dir, name), "\ufeff"+strings.ReplaceAll(string(text), "\n", "\r\n"))
	}
	c.AccessKeyFile, c.SecretKeyFile = marked("access", c.AccessKeyFile), marked("secret", c.SecretKeyFile)
	c.CA = marked("ca", c.CA)
	wantList(t, open(t, c))
	text, err := os.ReadFile(c.CA)
	if err != nil {
		t.Fatal(err)
	}
	c.CA = string(text)
	wantList(t, open(t, c))

	c.SecretKeyFile = write(t, filepath.Join(dir, "utf16"), "\xff\xfek\x00")
	if _, err := s3.Open(c); !errors.Is(err, s3.ErrConfig) || !strings.Contains(err.Error(), "is UTF-16 text: save it as UTF-8") {
		t.Errorf("%v", err)
	}
}
