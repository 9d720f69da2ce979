package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/internal/config"
)

// sourcesOf reads the settings of a daemon on the machine whose files are below root.
func sourcesOf(t *testing.T, root string, flags ...string) (s config.Sources) {
	t.Helper()
	var origins *config.Origins
	c := &cli.Command{
		Name: "daemon", Flags: slices.Concat(config.DirFlags(), config.EtcdFlags(), config.S3Flags(), config.MonitorFlags()),
		Action: func(c *cli.Context) error { s = origins.Sources(c); return nil },
	}
	restore := &cli.Command{Name: "restore", Flags: config.RestoreFlags()}
	origins = config.Attach([]*cli.Command{c, restore}, root)
	origins.Words = append([]string{"test", "daemon"}, flags...)
	if err := (&cli.App{Commands: []*cli.Command{c, restore}}).Run(origins.Words); err != nil {
		t.Fatal(err)
	}
	return s
}

// Each key of the file whose value config show would hide counts, but for certificates, which are only long.
func TestSecretsOfTheConfigurationFileAreNamed(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string][]string{
		"": nil,
		"dir: /srv\nendpoints: [a:1, b:2]\nuser: root\npassword-file: /etc/password\nkey: /etc/key\ns3-secret-key-file: keys/secret\n": nil,
		"s3-bucket: b\ns3-ca: |\n  -----BEGIN CERTIFICATE-----\n  abc\n":                                                               nil,
		"heartbeat-url: https://hc.example.com/hunter2\n":                                                                              {"heartbeat-url"},
		"user: root:hunter2\n":                                     {"user"},
		"endpoints:\n- https://root:hunter2@etcd:2379\n":           {"endpoints"},
		"s3-secret-key-file: wJalrXUtnFEMI/K7MDENG+bPxRfiCY=\n":    {"s3-secret-key-file"},
		"key: |\n  -----BEGIN EC PRIVATE KEY-----\n  abc\n":        {"key"},
		"s3-endpoint: https://minio.example.com/?token=hunter2\n":  {"s3-endpoint"},
		"s3-ca: |\n  -----BEGIN RSA PRIVATE KEY-----\n  abc\n":     {"s3-ca"},
		"wal-dir: /var/lib/x\nheartbeat-url: https://h/hunter2\n#": {"heartbeat-url"},
	} {
		write(config.DefaultFile, text)
		if got := sourcesOf(t, root).FileSecrets; !slices.Equal(got, want) {
			t.Errorf("%q: secrets of %q, want %q", text, got, want)
		}
	}
}

// The environment file of the units counts only where it is what sets the variable.
func TestSecretsOfFlagsAndTheEnvironmentFileAreNamed(t *testing.T) {
	root := t.TempDir()
	if got := sourcesOf(t, root, "--heartbeat-url=https://h/hunter2", "--user", "root"); !slices.Equal(got.FlagSecrets, []string{"heartbeat-url"}) || got.EnvironmentSecrets != nil {
		t.Errorf("flags: %+v", got)
	}
	t.Setenv("ETCD_BACKUP_HEARTBEAT_URL", "https://h/hunter2")
	if got := sourcesOf(t, root); got.FlagSecrets != nil || got.EnvironmentSecrets != nil {
		t.Errorf("variables alone: %+v", got)
	}
	path := filepath.Join(root, "etc/etcd-rolling-backup/env")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{"ETCD_BACKUP_KEEP_LAST=3\n": nil, "ETCD_BACKUP_HEARTBEAT_URL=https://h/hunter2\n": {"heartbeat-url"}} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := sourcesOf(t, root); got.Environment != path || !slices.Equal(got.EnvironmentSecrets, want) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
