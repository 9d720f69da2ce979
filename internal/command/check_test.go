package command

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon"
	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/member"
)

// The limits for certificates; testdata/check.txtar tests the whole command.
func TestCheckWarnsBeforeCertificatesExpire(t *testing.T) {
	pki, err := etcdtest.NewAuthority(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := member.Config{CACert: pki.CACert, Cert: pki.Client.Cert, Key: pki.Client.Key}
	certs, err := cfg.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	end := certs[1].NotAfter
	for _, test := range []struct {
		left   time.Duration
		status string
		detail string
	}{
		{15 * 24 * time.Hour, statusOK, "client.crt expires "},
		{14 * 24 * time.Hour, statusOK, "client.crt expires "},
		{14*24*time.Hour - time.Second, statusWarn, ", in 13d23h"},
		{time.Second, statusWarn, ", in 1s"},
		{0, statusFail, "it has expired: renew it"},
		{-time.Hour, statusFail, "it has expired: renew it"},
	} {
		findings := checkCertificates(cfg, end.Add(-test.left))
		if len(findings) != 2 {
			t.Fatalf("%d findings, want one for each certificate: %+v", len(findings), findings)
		}
		f := findings[1]
		if f.Check != "cert" || f.Status != test.status || !strings.Contains(f.Detail, test.detail) || (f.err != nil) != (test.status == statusFail) {
			t.Errorf("%s left: %+v", test.left, f)
		}
	}
	if none := checkCertificates(member.Config{}, end); len(none) != 0 {
		t.Errorf("without certificates there is nothing to say, and %+v was said", none)
	}
}

// A run was missed if the schedule had one between the newest snapshot and now.
func TestCheckWarnsOfAMissedRun(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC)
	schedule, err := daemon.ParseSchedule("CRON_TZ=UTC 0 * * * *", 0, "n1")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":                                   "node n1 has no rolling snapshot yet",
		"rolling_n2_20261121T120000Z.db.zst": "node n1 has no rolling snapshot yet",
		"manual_n1_20261121T120000Z.db.zst":  "node n1 has no rolling snapshot yet",
		"rolling_n1_20261121T123001Z.db.zst": "is dated in the future",
		"rolling_n1_20261121T120000Z.db.zst": "damaged: the file is empty",
		"rolling_n1_20261121T110000Z.db.zst": "damaged: the file is empty",
	} {
		path := t.TempDir()
		if name != "" {
			if err := os.WriteFile(filepath.Join(path, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f := checkNewest(snapshot.NewDir(path), config.Config{Store: config.Store{Node: "n1"}, Schedule: schedule}, now)
		if !strings.Contains(f.Detail, want) {
			t.Errorf("%q: %+v", name, f)
		}
	}
}

func TestFailuresNamesWhatFailed(t *testing.T) {
	bad := errors.New("bad")
	findings := []finding{okay("a", "fine"), warn("b", "look"), fail("c", bad), okay("d", "fine"), fail("e", errors.Join(bad, snapshot.ErrDamaged))}
	err := failures(findings)
	if err == nil || err.Error() != "check failed: c, e" || !errors.Is(err, bad) || exitStatus(err) != exitDamaged {
		t.Errorf("got %v with status %d", err, exitStatus(err))
	}
	if findings[4].Detail != "bad; "+snapshot.ErrDamaged.Error() {
		t.Errorf("the detail is not one line: %q", findings[4].Detail)
	}
	whole := slices.DeleteFunc(findings, func(f finding) bool { return f.err != nil })
	if err := failures(whole); err != nil {
		t.Errorf("nothing failed, and yet: %v", err)
	}
}
