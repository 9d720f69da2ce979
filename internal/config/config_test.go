package config

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot/member"
	"etcd-rolling-backup/snapshot/pace"
)

// onCommand runs do in a command that has every flag of the daemon.
func onCommand(t *testing.T, do func(*cli.Context) error, args ...string) error {
	t.Helper()
	c := &cli.Command{
		Name: "all", Action: do,
		Flags: slices.Concat(LogFlags(), StoreFlags(), ScheduleFlags(), PolicyFlags(), EtcdFlags(), S3Flags(), S3PolicyFlags(), DrillFlags(), MonitorFlags()),
	}
	Attach([]*cli.Command{c}, t.TempDir())
	app := &cli.App{Name: "test", Commands: []*cli.Command{c}, Writer: io.Discard, ErrWriter: io.Discard, ExitErrHandler: func(*cli.Context, error) {}}
	return app.RunContext(t.Context(), append([]string{"test", "all"}, args...))
}

// read is the Config of a daemon with these flags.
func read(t *testing.T, args ...string) (cfg Config, err error) {
	t.Helper()
	err = onCommand(t, func(c *cli.Context) (err error) {
		cfg, err = Read(c)
		return err
	}, append([]string{"--node=n1"}, args...)...)
	return cfg, err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func parsedDuration(t *testing.T, text string) (time.Duration, error) {
	t.Helper()
	var d time.Duration
	err := onCommand(t, func(c *cli.Context) (err error) {
		r := &reader{Context: c}
		d = r.duration("keep-within")
		return r.err
	}, "--keep-within="+text)
	return d, err
}

func parsedMinFree(t *testing.T, text string) (int64, error) {
	t.Helper()
	cfg, err := read(t, "--min-free="+text)
	return cfg.Store.MinFree, err
}

func credentials(t *testing.T, args ...string) (string, member.Secret, error) {
	t.Helper()
	cfg, err := read(t, args...)
	if err != nil {
		return "", "", err
	}
	m, err := cfg.Etcd.Member()
	return m.User, m.Password, err
}

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "-5h": -5 * time.Hour,
		"1d": day, "7d": 7 * day, "4w": 28 * day, "1y": 365 * day, "1d12h": 36 * time.Hour,
	} {
		if got, err := parsedDuration(t, text); err != nil || got != want {
			t.Errorf("%q: got %s and %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "1", "d", "-1d", "1.5d", "12h1d", "1 d", "soon", "99999999999y"} {
		if got, err := parsedDuration(t, text); !errors.Is(err, ErrUsage) {
			t.Errorf("%q: got %s and %v, want wrong usage", text, got, err)
		}
	}
}

func TestMinFree(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1KiB": 1024, "1 GiB": 1 << 30, "500MB": 500e6, "1.5gib": 3 << 29, "7EiB": 7 << 60,
	} {
		if got, err := parsedMinFree(t, text); err != nil || got != want {
			t.Errorf("%q: got %d and %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "8EiB", "5%", "GiB", "1GiB of it", fmt.Sprint(uint64(math.MaxUint64))} {
		if got, err := parsedMinFree(t, text); !errors.Is(err, ErrUsage) {
			t.Errorf("%q: got %d and %v, want wrong usage", text, got, err)
		}
	}
}

// What runs by itself is gentle, what a person waits for is fast, and a reload takes over what was set.
func TestStreamRate(t *testing.T) {
	for text, want := range map[string]pace.Rate{"": pace.Auto, "auto": pace.Auto, "off": pace.Off, "50MiB": 50 << 20} {
		cfg, err := read(t, "--stream-rate="+text)
		if err != nil || cfg.Etcd.StreamRate != want {
			t.Errorf("%q: %s, %v", text, cfg.Etcd.StreamRate, err)
		}
		before := Config{Etcd: Etcd{StreamRate: 1 << 30}}
		if got := before.Reload(cfg).Etcd.StreamRate; got != want {
			t.Errorf("%q: %s after a reload", text, got)
		}
	}
	for _, text := range []string{"fast", "0", "12", "-1MiB"} {
		if _, err := read(t, "--stream-rate="+text); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "--stream-rate: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for want, args := range map[pace.Rate][]string{pace.Off: nil, pace.Auto: {"--rolling"}, 1 << 20: {"--rolling", "--stream-rate=1MiB"}} {
		save := &cli.Command{Name: "save", Flags: append(EtcdFlags(), Bool("snapshot", "rolling", "")), Action: func(c *cli.Context) error {
			cfg, err := Read(c)
			if err != nil || cfg.Etcd.StreamRate != want {
				t.Errorf("save %q: %s, %v", args, cfg.Etcd.StreamRate, err)
			}
			return nil
		}}
		must(t, (&cli.App{Commands: []*cli.Command{save}}).RunContext(t.Context(), append([]string{"test", "save"}, args...)))
	}
}

func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(" with blanks \r\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		flagUser, flagFile, envUser, envPassword string
		user, password                           string // both empty: wrong usage, or nothing was wanted
		wrong                                    bool
	}{
		{},
		{flagUser: "root", flagFile: file, user: "root", password: " with blanks "},
		{flagUser: "root", flagFile: file, envPassword: "env", user: "root", password: " with blanks "},
		{flagUser: "root", envPassword: "env", user: "root", password: "env"},
		{flagUser: "root", envUser: "other:pw", envPassword: "env", user: "root", password: "env"},
		{envUser: "root:p:w", user: "root", password: "p:w"},
		{envUser: "root:pw", envPassword: "env", user: "root", password: "pw"},
		{envUser: "root", envPassword: "env", user: "root", password: "env"},
		{envUser: "root", flagFile: file, user: "root", password: " with blanks "},
		{envPassword: "env"}, // no user, so nobody logs in
		{flagUser: "root", wrong: true},
		{envUser: "root", wrong: true},
		{envUser: "root:", wrong: true},
		{flagUser: "root:pw", wrong: true},
		{flagUser: "root:pw", envUser: "root:other", wrong: true},
		{flagFile: file, wrong: true},
		{flagUser: "root", flagFile: file + ".none", wrong: true},
		{flagUser: "root", flagFile: os.DevNull, wrong: true},
	} {
		t.Setenv("ETCDCTL_USER", test.envUser)
		t.Setenv("ETCDCTL_PASSWORD", test.envPassword)
		var args []string
		if test.flagUser != "" {
			args = append(args, "--user", test.flagUser)
		}
		if test.flagFile != "" {
			args = append(args, "--password-file", test.flagFile)
		}
		user, password, err := credentials(t, args...)
		switch {
		case test.wrong:
			if !errors.Is(err, ErrUsage) || strings.Contains(err.Error(), "pw") {
				t.Errorf("%+v: got %v, want wrong usage and no password in it", test, err)
			}
		case err != nil || user != test.user || string(password) != test.password:
			t.Errorf("%+v: got %q, %q, %v", test, user, string(password), err)
		}
	}
}

// Only off switches the server off, and an invalid address is refused before anything starts.
func TestListen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(file, []byte("listen: \"\"\n"), 0o600))
	for _, test := range []struct{ given, want, wrong string }{
		{given: "--listen=off"},
		{given: "--listen=:9979", want: ":9979"},
		{given: "--listen=127.0.0.1:0", want: "127.0.0.1:0"},
		{given: "--listen=[::1]:65535", want: "[::1]:65535"},
		{given: "--listen=:http", want: ":http"},
		{given: "--listen=", wrong: "--listen is empty: "},
		{given: "--config=" + file, wrong: "--listen is empty: "},
		{given: "--listen= ", wrong: "is not HOST:PORT"},
		{given: "--listen=OFF", wrong: "is not HOST:PORT"},
		{given: "--listen=:", wrong: "is not HOST:PORT"},
		{given: "--listen=:65536", wrong: "there is no port 65536: "},
		{given: "--listen=:-1", wrong: "there is no port -1: "},
		{given: "--listen=:nosuch", wrong: "there is no port nosuch: "},
	} {
		cfg, err := read(t, test.given)
		switch {
		case test.wrong != "":
			if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s: got %q and %v, want wrong usage with %q", test.given, cfg.Monitor.Listen, err, test.wrong)
			}
		case err != nil || cfg.Monitor.Listen != test.want:
			t.Errorf("%s: got %q and %v, want %q", test.given, cfg.Monitor.Listen, err, test.want)
		}
	}
}

// A second command line fills in the same value: Check alone finds what is wrong with it, and names the flag.
func TestCheckFindsWhatIsWrongWithAValue(t *testing.T) {
	good, err := read(t, "--s3-bucket=backups", "--listen=off")
	must(t, err)
	must(t, good.Check(t.Context()))
	zips := good
	zips.Store.Zip, zips.Store.Node = true, ""
	must(t, zips.Check(t.Context()))
	for text, change := range map[string]func(*Config){
		"--dir is empty":            func(c *Config) { c.Store.Dir = "" },
		"--node: ":                  func(c *Config) { c.Store.Node = "a_b" },
		"--node: \"n1\": the names": func(c *Config) { c.Store.Zip = true },
		"--min-free: ":              func(c *Config) { c.Store.MinFree = -1 },
		"--schedule is empty":       func(c *Config) { c.Schedule = daemon.Schedule{} },
		"--only-on: ":               func(c *Config) { c.Role = "" },
		"the policy keeps nothing":  func(c *Config) { c.Policy = retention.Policy{} },
		"--keep-last is -2":         func(c *Config) { c.Policy.Last = -2 },
		"--s3-keep-last is -2":      func(c *Config) { c.Mirror.Policy.Last = -2 },
		"--s3-orphan-after: -1s":    func(c *Config) { c.Mirror.OrphanAfter = -time.Second },
		"--etcd-timeout: 0s":        func(c *Config) { c.Etcd.Timeout = 0 },
		"--stall-timeout: 0s":       func(c *Config) { c.Etcd.Stall = 0 },
		"--endpoints":               func(c *Config) { c.Etcd.Endpoints = nil },
		"--user root needs":         func(c *Config) { c.Etcd.User = "root" },
		"--password-file needs":     func(c *Config) { c.Etcd.PasswordFile = "config.go" },
		"--cert and --key":          func(c *Config) { c.Etcd.Cert = "x" },
		"--s3-bucket":               func(c *Config) { c.S3 = &s3.Config{Bucket: "my/bucket"} },
		"--s3-append-only: the bu":  func(c *Config) { c.S3 = &s3.Config{Bucket: "backups", AppendOnly: true} }, // with the policy of the disk
		"--drill-from: ":            func(c *Config) { c.Drill.From = Peer },
		"--drill-from s3 needs":     func(c *Config) { c.Drill.From, c.S3 = S3, nil },
		"--web-config is given":     func(c *Config) { c.Monitor.WebConfig = "x" },
		"--listen: \"9979\" is not": func(c *Config) { c.Monitor.Listen = "9979" },
		"--listen: \":70000\": ":    func(c *Config) { c.Monitor.Listen = ":70000" },
	} {
		bad := good
		change(&bad)
		if err := bad.Check(t.Context()); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
}

// The password is read again each time, and neither it nor one from the environment shows in the value.
func TestMemberReadsThePasswordAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(file, []byte("hunter1"), 0o600))
	t.Setenv("ETCDCTL_PASSWORD", "hunter3")
	cfg, err := read(t, "--user=root", "--password-file="+file)
	must(t, err)
	for _, want := range []string{"hunter1", "hunter2"} {
		must(t, os.WriteFile(file, []byte(want), 0o600))
		m, err := cfg.Etcd.Member()
		if err != nil || string(m.Password) != want {
			t.Errorf("got %q and %v, want %s", string(m.Password), err, want)
		}
	}
	if text := fmt.Sprintf("%+v", cfg); strings.Contains(text, "hunter") {
		t.Errorf("a password shows in %s", text)
	}
}
