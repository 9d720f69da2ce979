package metrics

import (
	"os"
	"path/filepath"
	"testing"
)

// Whatever is in a web configuration: it is read or is an error, and the files that it names are in its directory or absolute.
func FuzzWebConfig(f *testing.F) {
	f.Add("tls_server_config:\n  cert_file: server.crt\n  key_file: /etc/server.key\nbasic_auth_users:\n  a: $2y$10$abc\n")
	f.Add("tls_server_config: null\n")
	f.Add("a: &a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "web.yml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, file := range SecretFiles(path) {
			if !filepath.IsAbs(file) {
				t.Errorf("%q is relative", file)
			}
		}
	})
}
