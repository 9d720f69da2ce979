package service

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/s3"
)

func exposedFlags(cfg config.Config) (flags []string) {
	for _, e := range Exposures(cfg, config.Sources{}) {
		flags = append(flags, e.Flag)
	}
	return flags
}

func TestEverySecretFileOfTheConfigurationIsLookedAt(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	web := file("web.yml", "tls_server_config:\n  cert_file: web.crt\n  key_file: web.key\nbasic_auth_users:\n  a: hash\n")
	file("web.key", "")
	cfg := config.Config{
		Etcd:    config.Etcd{Key: file("key", ""), PasswordFile: file("password", ""), Cert: file("cert", ""), CACert: file("ca", "")},
		S3:      &s3.Config{AccessKeyFile: file("access", ""), SecretKeyFile: file("secret", "")},
		Monitor: config.Monitor{WebConfig: web, HeartbeatFile: file("heartbeat", "")},
	}
	if got := exposedFlags(cfg); got != nil {
		t.Errorf("files of mode 600: %q", got)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		must(t, os.Chmod(filepath.Join(dir, e.Name()), 0o644))
	}
	want := []string{"key", "password-file", "s3-access-key-file", "s3-secret-key-file", "web-config", "web-config", "heartbeat-url-file"}
	if got := exposedFlags(cfg); !slices.Equal(got, want) {
		t.Errorf("files of mode 644: %q, want %q", got, want)
	}
}

func TestPlainHTTPToOtherMachinesIsReported(t *testing.T) {
	for endpoint, want := range map[string]bool{
		"": false, "minio.example": false, "https://minio.example": false, "http://127.0.0.1:9000": false, "http://[::1]:9000": false,
		"http://localhost:9000": false, "http://minio.example": true, "http://10.0.0.1:9000": true, "http://127.0.0.1.example": true, "HTTP://minio.example": true,
	} {
		all := Exposures(config.Config{S3: &s3.Config{Endpoint: endpoint}}, config.Sources{})
		if (len(all) == 1 && all[0].Flag == "s3-endpoint" && strings.Contains(all[0].Text, "use https")) != want || len(all) > 1 {
			t.Errorf("bucket at %q: %v", endpoint, all)
		}
	}
	etcd := config.Etcd{Endpoints: []string{"127.0.0.1:2379", "10.0.0.1:2379", "http://etcd:2379", "https://etcd:2379", "unix:///run/etcd"}}
	if got := Exposures(config.Config{Etcd: etcd}, config.Sources{}); len(got) != 2 {
		t.Errorf("etcd: %v", got)
	}
	etcd.CACert = "ca.crt"
	if got := exposedFlags(config.Config{Etcd: config.Etcd{Endpoints: []string{"10.0.0.1:2379"}, CACert: "ca.crt"}}); got != nil {
		t.Errorf("etcd with TLS: %v", got)
	}
}

// A secret may be in the configuration file itself, in the unit's environment file, or on the command line.
func TestSecretAmongTheSettingsIsReported(t *testing.T) {
	dir := t.TempDir()
	file, environment := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "env")
	for _, path := range []string{file, environment} {
		must(t, os.WriteFile(path, nil, 0o600))
	}
	from := config.Sources{
		File: file, FileSecrets: []string{"heartbeat-url"}, Environment: environment, EnvironmentSecrets: []string{"user"}, FlagSecrets: []string{"key"},
	}
	all := Exposures(config.Config{}, from)
	if len(all) != 1 || all[0].Flag != "key" || !strings.Contains(all[0].Text, "process list") {
		t.Errorf("files of mode 600: %v", all)
	}
	for _, path := range []string{file, environment} {
		must(t, os.Chmod(path, 0o644))
	}
	if all = Exposures(config.Config{}, from); len(all) != 3 {
		t.Fatalf("files of mode 644: %v", all)
	}
	for i, path := range []string{file, environment} {
		if want := path + " contains a secret and is accessible to other users (mode 644): chmod 600 it"; all[i].Text != want {
			t.Errorf("%q, want %q", all[i].Text, want)
		}
	}
	if got := Exposures(config.Config{}, config.Sources{File: file, Environment: environment}); got != nil {
		t.Errorf("files without a secret: %v", got)
	}
}
