package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
)

func TestMirrorRetriesAfterSlowDown(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, faults := m.bucket(t), s3test.RunHTTPFaults(t, m.server.Target)
	faults.Set(s3test.SlowDown())
	p, dir := m.follow(t, b.flags(faults.Target))
	p.next(t, "mirroring failed", "SlowDown")
	p.goesOn(t, 1)
	b.has()
	faults.Set(s3test.First(3, s3test.SlowDown()))
	p.next(t, "msg=mirrored")
	b.converges(dir)
	p.stop(t, syscall.SIGTERM, 0)
}

func TestMirrorWorksWithHighLatency(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, proxy := m.bucket(t), s3test.RunProxy(t, m.server.Target)
	must(t, proxy.Latency(300*time.Millisecond))
	p, dir := m.follow(t, b.flags(proxy.Target), patient)
	p.next(t, "msg=mirrored")
	p.next(t, "msg=mirrored")
	if log := p.stderr.String(); strings.Contains(log, "level=error") {
		t.Errorf("a slow answer is an error:\n%s", log)
	}
	must(t, proxy.Clear()) // a pass takes longer than it is to the next snapshot
	b.converges(dir)
	p.stop(t, syscall.SIGTERM, 0)
}

// A server that takes everything and answers nothing ends a pass by lack of progress, and holds up neither snapshots nor the stop.
func TestMirrorGivesUpOnASilentServer(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, proxy := m.bucket(t), s3test.RunProxy(t, m.server.Target)
	mirror := append(b.flags(proxy.Target), "--s3-timeout=1s", "--s3-stall=1s")
	p, dir := m.follow(t, mirror)
	p.next(t, "msg=mirrored")
	must(t, proxy.Blackhole())
	p.next(t, "mirroring failed", "the server does not answer")
	p.goesOn(t, 2)
	p.next(t, "mirroring failed", "the server does not answer")
	p.next(t, "snapshot saved") // which begins the next pass
	p.stop(t, syscall.SIGTERM, 0)
	must(t, proxy.Clear())
	run(t, 0, []string{"uploaded", "0 waiting"}, words("mirror", mirror, patient, []string{"--dir=" + dir, "--node=" + node})...)
	b.converges(dir)
}

// Without the right to delete everything is brought over, and one error says what is missing; with it, pruning is made up for.
func TestMirrorUploadsWithoutTheRightToDelete(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := m.bucket(t)
	whole := s3test.MinimalPolicy(b.name, "")
	must(t, m.server.AddUser(t.Context(), "keeper", "keeper-secret", s3test.AppendOnlyPolicy(b.name, "")))
	p, dir := m.follow(t, b.flags(m.server.As("keeper", "keeper-secret")), patient)
	for _, pause := range []string{"5 ", "10 ", "20 "} {
		p.next(t, "mirroring failed", "s3:DeleteObject", "retry_in_seconds="+pause, "waiting=0")
	}
	for line := range strings.Lines(p.stderr.String()) {
		if strings.Count(line, "s3:DeleteObject") > 1 {
			t.Errorf("one error says it several times: %s", line)
		}
	}
	b.converges(dir)
	if here, there := len(listed(t, dir)), len(b.keys()); here > 4 || there <= here {
		t.Errorf("%d snapshots lie here and %d there: pruning here waited, or there happened", here, there)
	}
	must(t, m.server.SetPolicy(t.Context(), "keeper", whole))
	p.next(t, "msg=mirrored", "waiting=0")
	eventually(t, "the bucket was pruned", func() bool { return len(b.keys()) <= 4 })
	p.stop(t, syscall.SIGTERM, 0)
}

func TestMirrorReportsAQuota(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := m.bucket(t)
	must(t, m.server.SetQuota(t.Context(), b.name, 1))
	p, dir := m.follow(t, b.flags(m.server.Target))
	p.next(t, "mirroring failed", "raise the quota", "uploaded=0")
	p.goesOn(t, 2)
	b.has()
	must(t, m.server.SetQuota(t.Context(), b.name, 0))
	p.next(t, "msg=mirrored")
	b.converges(dir)
	p.stop(t, syscall.SIGTERM, 0)
}

func TestMirrorReportsAWrongClock(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b, faults := m.bucket(t), s3test.RunHTTPFaults(t, m.server.Target)
	mirror := b.flags(faults.Target)
	for skew, text := range map[time.Duration]string{20 * time.Minute: "behind the server's", -20 * time.Minute: "ahead of the server's"} {
		faults.Set(s3test.Skew(skew))
		p, dir := m.follow(t, mirror)
		p.next(t, "mirroring failed", "this clock is ", text)
		p.goesOn(t, 1)
		check := words("check", flags(m.etcd, m.etcd.Endpoints()[0]), store(newStore(t)), mirror)
		run(t, 1, []string{"clock", "m0s " + text}, check...)
		faults.Set(nil)
		p.next(t, "msg=mirrored")
		b.converges(dir)
		p.stop(t, syscall.SIGTERM, 0)
	}
}

func TestMirrorConvergesAfterTheBucketIsMadeAgain(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := m.bucket(t)
	p, dir := m.follow(t, b.flags(m.server.Target))
	p.next(t, "msg=mirrored")
	p.next(t, "msg=mirrored")
	must(t, m.server.RemoveBucket(t.Context(), b.name, true))
	p.next(t, "mirroring failed", "NoSuchBucket", "create the bucket")
	p.goesOn(t, 2)
	must(t, m.server.MakeBucket(t.Context(), b.name, s3test.BucketOptions{}))
	p.next(t, "msg=mirrored")
	b.converges(dir)
	p.stop(t, syscall.SIGTERM, 0)
}

func TestRotatedS3KeysAreUsedWithoutRestart(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := m.bucket(t)
	must(t, m.server.AddUser(t.Context(), "rotated", "first-secret", s3test.MinimalPolicy(b.name, "")))
	mirror := b.flags(m.server.As("rotated", "first-secret"))
	p, dir := m.follow(t, mirror)
	p.next(t, "msg=mirrored")
	must(t, m.server.SetSecret(t.Context(), "rotated", "second-secret"))
	p.next(t, "mirroring failed", "--s3-secret-key-file")
	secret := value(t, mirror, "--s3-secret-key-file")
	must(t, os.Remove(secret))
	p.next(t, "mirroring failed", "--s3-secret-key-file", "no such file")
	p.goesOn(t, 1)
	must(t, os.WriteFile(secret, []byte("second-secret\n"), 0o600))
	p.next(t, "msg=mirrored")
	b.converges(dir)
	p.stop(t, syscall.SIGTERM, 0)
	for _, secret := range []string{"first-secret", "second-secret"} {
		if strings.Contains(p.stderr.String(), secret) {
			t.Errorf("%q stands in the log", secret)
		}
	}
}

// A daemon that starts before its keys are there takes snapshots all the same, and mirrors them then.
func TestMirrorWaitsForItsKeys(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := m.bucket(t)
	mirror := b.flags(m.server.Target)
	secret := value(t, mirror, "--s3-secret-key-file")
	must(t, os.Rename(secret, secret+".later"))
	p, dir := m.follow(t, mirror)
	p.next(t, "mirroring failed", "--s3-secret-key-file", "no such file")
	p.goesOn(t, 1)
	must(t, os.Rename(secret+".later", secret))
	p.next(t, "msg=mirrored")
	b.converges(dir)
	p.stop(t, syscall.SIGTERM, 0)
}

// A server with a new certificate is refused until its CA is given, for which the daemon need not be started anew.
func TestMirrorRefusesANewCertificateUntilItsCAIsGiven(t *testing.T) {
	parallel(t)
	bed := newMirrorBed(t, s3test.Run(t, s3test.Options{TLS: true}))
	b := bed.bucket(t)
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	use := func(file string) {
		t.Helper()
		text, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(trusted, text, 0o600))
	}
	use(bed.server.CAFile)
	p, dir := bed.follow(t, b.flags(bed.server.Target), []string{"--s3-ca=" + trusted})
	p.next(t, "msg=mirrored")
	strangers, err := s3test.NewCA(t.TempDir())
	must(t, err)
	certificate, err := strangers.Issue()
	must(t, err)
	must(t, bed.server.RestartWith(t.Context(), certificate))
	p.next(t, "mirroring failed", "--s3-ca is not the CA of the server's certificate")
	p.goesOn(t, 2)
	use(strangers.File)
	p.next(t, "msg=mirrored")
	b.client = s3test.Dial(t, bed.server.Target)
	b.converges(dir)
	p.stop(t, syscall.SIGTERM, 0)
}
