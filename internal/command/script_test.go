package command

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/proctest"
)

// The program is tested from outside: as a process, by its output and exit status. Each file of testdata is one such session;
// commands_bed_test.go has the commands that they use in addition to testscript's own.

// secret is part of every password in the tests, so no output may contain it.
const secret = "hunter2"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"etcd-rolling-backup": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, stop)
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		p := Process{Version: "1.2.3-test", Root: os.Getenv("TEST_ROOT"), Hangups: hangups, Stdout: os.Stdout, Stderr: os.Stderr}
		os.Exit(Main(ctx, p, os.Args))
	}})
}

func TestScripts(t *testing.T) {
	servers := startServers(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// A script that forgets --dir or --data-dir must not write to this machine's own.
			e.Setenv("ETCD_BACKUP_DIR", filepath.Join(e.WorkDir, "d"))
			e.Setenv("ETCD_BACKUP_DATA_DIR", filepath.Join(e.WorkDir, "etcd"))
			e.Setenv("ETCD_BACKUP_NODE", "n1")
			e.Setenv("TEST_ROOT", filepath.Join(e.WorkDir, "root")) // where there is a configuration file only if the script has one
			// Many daemons run on this machine.
			e.Setenv("ETCD_BACKUP_LISTEN", "127.0.0.1:0")
			free, err := proctest.ReservePorts(1)
			if err != nil {
				return err
			}
			e.Setenv("FREE_ADDRESS", free[0])
			e.Setenv("ETCD_BACKUP_DRILL_SCHEDULE", "off") // its process would be this test's program
			// The race detector waits a second at each exit for reports of threads that still run; we have none then.
			e.Setenv("GORACE", "atexit_sleep_ms=10")
			for _, v := range servers {
				name, value, _ := strings.Cut(v, "=")
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"refused": refused, "fails": fails, "json": jsonValue, "glob": glob, "await": await, "until": untilDone, "damage": damage, "cut": cut, "pasteable": pasteable,
		},
		RequireUniqueNames: true,
	})
}

// startServers runs what all scripts share, and returns it as environment variables: one member and its learner, a
// second cluster, and one with TLS and authentication.
func startServers(t *testing.T) []string {
	t.Helper()
	plain := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true, Sockets: true})
	if _, err := etcdtest.Fill(t.Context(), etcdtest.Dial(t, plain), etcdtest.FillOptions{Bytes: 1 << 20, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	learner, err := plain.AddLearner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true})
	secure := etcdtest.Run(t, etcdtest.Options{UnsafeNoFsync: true, TLS: true})
	password := secret + "-of-root"
	if err := secure.EnableAuth(t.Context(), password); err != nil {
		t.Fatal(err)
	}
	stranger, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "stranger"))
	if err != nil {
		t.Fatal(err)
	}
	expired, err := secure.PKI.IssueExpired()
	if err != nil {
		t.Fatal(err)
	}
	locked, err := filepath.Abs("../../snapshot/keyfile/testdata/pkcs8.key")
	if err != nil {
		t.Fatal(err)
	}
	passwords := t.TempDir()
	right, wrong := filepath.Join(passwords, "right"), filepath.Join(passwords, "wrong")
	for file, text := range map[string]string{right: password + "\n", wrong: secret + "-guessed"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{
		"ENDPOINT=" + plain.Members[0].Endpoint,
		"SOCKET=" + plain.Members[0].Socket,
		"LEARNER=" + learner.Endpoint,
		"OTHER=" + other.Members[0].Endpoint,
		"SECURE=" + secure.Members[0].Endpoint,
		"CACERT=" + secure.PKI.CACert,
		"CERT=" + secure.PKI.Client.Cert,
		"KEY=" + secure.PKI.Client.Key,
		"EXPIRED_CERT=" + expired.Cert,
		"EXPIRED_KEY=" + expired.Key,
		"STRANGE_CACERT=" + stranger.CACert,
		"STRANGE_CERT=" + stranger.Client.Cert,
		"STRANGE_KEY=" + stranger.Client.Key,
		"PASSPHRASE_KEY=" + locked,
		"RIGHT_PASSWORD=" + right,
		"WRONG_PASSWORD=" + wrong,
	}
}
