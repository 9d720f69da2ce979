package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon/status"
	"etcd-rolling-backup/internal/etcdtest"
)

// secretFiles are those that the daemon reads for each connection.
type secretFiles struct {
	t   *testing.T
	dir string
}

// put replaces one as a renewal does, and returns its path.
func (f secretFiles) put(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	must(f.t, os.WriteFile(path+".new", []byte(text), 0o600))
	must(f.t, os.Rename(path+".new", path))
	return path
}

// copy replaces one by another file.
func (f secretFiles) copy(name, from string) string {
	f.t.Helper()
	text, err := os.ReadFile(from)
	must(f.t, err)
	return f.put(name, string(text))
}

func (f secretFiles) pair(p etcdtest.KeyPair) (cert, key string) {
	f.t.Helper()
	return f.copy("cert.pem", p.Cert), f.copy("key.pem", p.Key)
}

// says demands that the journal is interrupted for this reason, and that /readyz names these.
func (b *journalBed) says(reason status.Reason, words ...string) {
	b.t.Helper()
	b.until("the journal is interrupted: "+strings.Join(words, ", "), func(j status.Journal) bool {
		for _, word := range words {
			if !strings.Contains(j.Message, word) {
				return false
			}
		}
		return !j.Running && j.Reason == reason
	})
	if all := b.status.State().Passing(time.Now()); len(all) == 0 || all[0].Code != status.CodeJournalRetried {
		b.t.Errorf("/readyz has %v", all)
	}
}

// Certificates are renewed while the daemon records. What is wrong with one is reported, and missed changes are caught up with.
func TestJournalContinuesWithRenewedCertificates(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		b := newJournalBed(t, etcdtest.Options{Version: version, TLS: true, UnsafeNoFsync: true})
		client, m, pki := etcdtest.Dial(t, b.cluster), b.cluster.Members[0], b.cluster.PKI
		files := secretFiles{t, t.TempDir()}
		e := &b.cfg.Etcd
		e.CACert = files.copy("ca.pem", pki.CACert)
		e.Cert, e.Key = files.pair(pki.Client)
		reconnect := func() {
			must(t, m.Kill())
			must(t, m.Restart(t.Context()))
			puts(t, client, 10)
		}
		b.start()
		b.waitForBases(1)
		puts(t, client, 10)
		b.reaches(client)

		renewed, err := pki.IssueClient("renewed", time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
		must(t, err)
		files.pair(renewed)
		must(t, pki.RenewServer())
		reconnect()
		b.reaches(client)

		stranger, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "stranger"))
		must(t, err)
		expired, err := pki.IssueExpired()
		must(t, err)
		files.pair(stranger.Client)
		reconnect()
		b.says(status.Certificate, "certificate")
		files.pair(expired)
		b.says(status.Certificate, "expired")
		files.put("cert.pem", "no certificate")
		b.says(status.Certificate, e.Cert)
		must(t, os.Remove(e.Cert))
		b.says(status.Certificate, e.Cert)
		files.pair(renewed)
		b.reaches(client)

		files.copy("ca.pem", stranger.CACert)
		reconnect()
		b.says(status.Certificate, "unknown authority")
		files.copy("ca.pem", pki.CACert)
		b.wantOneRange(client)
	})
}

// A changed password ends no watch, but the login that the recorder's other questions need.
func TestJournalContinuesWithAChangedPassword(t *testing.T) {
	oldestAndNewest(t, func(t *testing.T, version string) {
		b := newJournalBed(t, etcdtest.Options{Version: version, UnsafeNoFsync: true})
		must(t, b.cluster.EnableAuth(t.Context(), "secret"))
		client := etcdtest.Dial(t, b.cluster)
		_, err := client.UserAdd(t.Context(), "backup", "first")
		must(t, err)
		_, err = client.UserGrantRole(t.Context(), "backup", "root")
		must(t, err)
		files := secretFiles{t, t.TempDir()}
		b.cfg.Etcd.User, b.cfg.Etcd.PasswordFile = "backup", files.put("password", "first")
		b.start()
		b.waitForBases(1)
		puts(t, client, 10)
		b.reaches(client)

		_, err = client.UserChangePassword(t.Context(), "backup", "second")
		must(t, err)
		b.says(status.Credentials, "password")
		puts(t, client, 10)
		files.put("password", "second\n")
		b.reaches(client)

		connected := b.lines("journal continues")
		files.put("password", "third") // before etcd
		_, err = client.UserChangePassword(t.Context(), "backup", "third")
		must(t, err)
		eventually(t, func() bool { return b.lines("journal continues") > connected })
		puts(t, client, 10)
		head := b.reaches(client)
		b.stop()
		if len(b.ranges()) != 1 {
			t.Errorf("ranges %v", b.ranges())
		}
		b.wantAll(client, b.bases()[0], head)
	})
}
