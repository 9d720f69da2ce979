package e2e_test

import (
	"html"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
	"etcd-rolling-backup/internal/s3test"
)

// A real daemon with a real bucket tells every family that the document names, with the values that came about; asking it
// asks S3 nothing.
func TestScrape(t *testing.T) {
	bed := newMirrorBed(t, s3test.Options{})
	b, proxy := bed.bucket(t), s3test.RunHTTPFaults(t, bed.server.Target)
	dir := newStore(t)
	w := watch(t, dir, flags(bed.etcd, bed.etcd.Endpoints()[0]), b.flags(proxy.Target), []string{"--schedule=@every 1h"})
	w.has(t, "uploads_total", 1)
	w.has(t, `runs_total{kind="mirror",reason="none",result="success"}`, 2) // at the start, and after the snapshot
	w.ready(t, http.StatusOK, "ok\n")
	asked := len(proxy.Requests())

	for series, want := range map[string]float64{
		`runs_total{kind="snapshot",reason="none",result="success"}`: 1, `stage_duration_seconds_count{stage="stream"}`: 1,
		`stage_duration_seconds_count{stage="fsync"}`: 1, `stage_duration_seconds_count{stage="upload"}`: 1,
		`snapshots{place="local"}`: 1, `snapshots{place="s3"}`: 1, "waiting_snapshots": 0, "waiting_oldest_age_seconds": 0, "locked_snapshots": 0,
		`pruned_total{place="local"}`: 0, `schedule_interval_seconds{kind="snapshot"}`: 3600, "etcd_has_leader": 1, `etcd_alarm{alarm="NOSPACE"}`: 0, "ready": 1,
		`s3_errors_total{class="host"}`: 0, `failures_in_a_row{kind="mirror"}`: 0, `in_progress{kind="snapshot"}`: 0,
	} {
		if got, there := w.value(t, series); !there || got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	size, _ := w.value(t, "newest_archive_bytes")
	for _, same := range []string{`snapshots_bytes{place="local"}`, `snapshots_bytes{place="s3"}`, "uploaded_bytes_total"} {
		if got, _ := w.value(t, same); got != size || size != float64(listed(t, dir)[0].Size) {
			t.Errorf("%s is %v, the archive has %v", same, got, size)
		}
	}
	for _, some := range []string{"newest_raw_bytes", "newest_revision", "disk_free_bytes", "etcd_database_bytes", "etcd_seen_timestamp_seconds", `next_run_timestamp_seconds{kind="snapshot"}`, `due_timestamp_seconds{kind="snapshot"}`, "recent_starts"} {
		if got, _ := w.value(t, some); got <= 0 {
			t.Errorf("%s is %v", some, got)
		}
	}
	w.wantFamilies(t)
	w.wantPage(t, dir)
	if status, body := w.get(t, "/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d, %s", status, body)
	}
	if now := len(proxy.Requests()); now != asked {
		t.Errorf("%d requests to S3 while nothing but questions came", now-asked)
	}
	w.stop(t, syscall.SIGTERM, 0)
	if n := strings.Count(w.stderr.String(), "level="); n != strings.Count(w.stderr.String(), "level=info") {
		t.Errorf("lines beside those of information:\n%s", w.stderr.String())
	}
}

// wantFamilies compares with the document. Drills do not take place here.
func (w *watched) wantFamilies(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "METRICS.md"))
	must(t, err)
	_, body := w.get(t, "/metrics")
	count := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `(etcd_rolling_backup_[a-z0-9_]+)`").FindAllStringSubmatch(string(text), -1) {
		count++
		later := m[1] == "etcd_rolling_backup_drill_passed" || strings.HasPrefix(m[1], "etcd_rolling_backup_compared_") // with the second snapshot
		if !later && !strings.Contains(body, "# TYPE "+m[1]+" ") {
			t.Errorf("the scrape lacks %s", m[1])
		}
	}
	if count < 25 {
		t.Errorf("the document names %d families", count)
	}
}

// wantPage demands that all is well and that the command the page shows would restore.
func (w *watched) wantPage(t *testing.T, dir string) {
	t.Helper()
	_, page := w.get(t, "/")
	if !strings.Contains(page, "All is well") || !strings.Contains(page, node) {
		t.Errorf("the page:\n%s", page)
	}
	line := w.restoreCommand(t)
	if want := ourRestore + listed(t, dir)[0].Name.String() + " --replace --name node1 --from local --dir " + dir; line != want {
		t.Errorf("the command is %s, want %s", line, want)
	}
	pasted(t, line+" --dry-run --data-dir "+target(t)).demand(t, 0)
}

// ourRestore is how the command begins that the page shows.
const ourRestore = "etcd-rolling-backup restore "

// restoreCommand is what the page shows to be copied.
func (w *watched) restoreCommand(t *testing.T) string {
	t.Helper()
	_, page := w.get(t, "/")
	line := regexp.MustCompile(ourRestore + `[^<]*`).FindString(page)
	if line == "" {
		t.Fatalf("no command on the page:\n%s", page)
	}
	return html.UnescapeString(line)
}

// pasted runs a command of the page in a shell that stands somewhere, with these variables.
func pasted(t *testing.T, line string, variables ...string) *process {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = t.TempDir(), append(variables, "PATH="+filepath.Dir(checked)+":"+os.Getenv("PATH"))
	return launch(t, cmd)
}

// watchIn starts a daemon in a directory, in which its relative paths begin.
func watchIn(t *testing.T, dir string, variables []string, more ...[]string) *watched {
	t.Helper()
	cmd := exec.Command(checked, words("daemon", append([][]string{store("store")}, more...)...)...)
	cmd.Dir, cmd.Env = dir, variables
	w := &watched{process: launch(t, cmd)}
	w.base = "http://" + w.address(t)
	return w
}

// The command restores where all went wrong: etcd is stopped, its data is there, the shell stands elsewhere than the daemon, and
// the cluster has several members. The daemon that tells it was started when nobody answered any more.
func TestRestorePasted(t *testing.T) {
	c := small(t, etcdtest.Options{Members: 3})
	mine, here := c.Members[2], t.TempDir()
	w := watchIn(t, here, nil, flags(c, mine.Endpoint))
	w.says(t, "kept snapshot")
	client := etcdtest.Dial(t, c)
	want := stateOf(t, client)
	_, err := client.Put(t.Context(), "/registry/later", "lost with the restore")
	must(t, err)
	on := func(m *etcdtest.Member) string {
		return strings.Replace(w.restoreCommand(t), " --name node3 ", " --name "+m.Name+" ", 1) + " --data-dir " + m.DataDir
	}
	pasted(t, on(mine)).demand(t, 1, "stop it first")
	for _, m := range c.Members {
		must(t, m.Stop())
	}
	w.stop(t, syscall.SIGTERM, 0)
	w = watchIn(t, here, nil, flags(c, mine.Endpoint))
	w.says(t, "does not answer yet")
	if _, page := w.get(t, "/"); !strings.Contains(page, "Stop etcd first.") {
		t.Errorf("nothing of what comes first:\n%s", page)
	}
	eventually(t, "the page had the snapshot", func() bool {
		_, page := w.get(t, "/")
		return strings.Contains(page, ourRestore)
	})
	for _, m := range c.Members {
		pasted(t, on(m)).demand(t, 0, "moved aside", m.Name+" of ")
	}
	must(t, c.Restart(t.Context()))
	if got := stateOf(t, etcdtest.Dial(t, c)); got != want {
		t.Errorf("after the restore there is %+v, want %+v", got, want)
	}
	w.stop(t, syscall.SIGTERM, 0)
}

// On a new disk all that there is lies in the bucket, whose keys only the daemon's environment has.
func TestRestorePastedFromS3(t *testing.T) {
	bed := newMirrorBed(t, s3test.Options{})
	b, etcd := bed.bucket(t), bed.etcd.Members[0]
	all := b.flags(bed.server.Target)
	want := stateOf(t, etcdtest.Dial(t, bed.etcd))
	bed.save(t, all...)
	must(t, etcd.Stop())

	here := t.TempDir()
	keys := []string{"AWS_ACCESS_KEY_ID=" + bed.server.AccessKey, "AWS_SECRET_ACCESS_KEY=" + bed.server.SecretKey}
	named := slices.DeleteFunc(all, func(f string) bool { return strings.Contains(f, "-key-file=") || strings.HasPrefix(f, "--s3-ca=") })
	if bed.server.CAFile != "" {
		text, err := os.ReadFile(bed.server.CAFile)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(here, "ca.crt"), text, 0o600))
		named = append(named, "--s3-ca=ca.crt")
	}
	w := watchIn(t, here, keys, flags(bed.etcd, etcd.Endpoint), named)
	w.has(t, `snapshots{place="s3"}`, 1)
	line := w.restoreCommand(t)
	_, page := w.get(t, "/")
	if !strings.Contains(page, "From S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY as for the daemon.") || strings.Contains(page, bed.server.SecretKey) {
		t.Errorf("the keys are not told of, or told:\n%s", page)
	}
	pasted(t, line+" --data-dir "+etcd.DataDir, keys...).demand(t, 0, "moved aside")
	must(t, etcd.Restart(t.Context()))
	if got := stateOf(t, etcdtest.Dial(t, bed.etcd)); got != want {
		t.Errorf("after the restore there is %+v, want %+v", got, want)
	}
	w.stop(t, syscall.SIGTERM, 0)
}

// /readyz says why it is not well while etcd is away, and that it is well again.
func TestReadyFollowsEtcd(t *testing.T) {
	c := small(t, etcdtest.Options{})
	w := watch(t, newStore(t), flags(c, c.Members[0].Endpoint), []string{"--schedule=@every 1s"})
	w.ready(t, http.StatusOK, "ok\n")
	must(t, c.Members[0].Kill())
	w.ready(t, http.StatusServiceUnavailable, "snapshots failed in a row")
	_, body := w.get(t, "/readyz")
	if !strings.Contains(body, c.Members[0].Endpoint) || !strings.Contains(body, "is etcd running") {
		t.Errorf("the reason is %q", body)
	}
	if got, _ := w.value(t, `runs_total{kind="snapshot",reason="unreachable",result="failure"}`); got < 3 {
		t.Errorf("%v failures for an etcd that does not answer", got)
	}
	must(t, c.Restart(t.Context()))
	w.ready(t, http.StatusOK, "ok\n")
	w.stop(t, syscall.SIGTERM, 0)
}

func TestPortInUse(t *testing.T) {
	c := small(t, etcdtest.Options{})
	w := watch(t, newStore(t), flags(c, c.Members[0].Endpoint))
	taken := strings.TrimPrefix(w.base, "http://")
	dir := newStore(t)
	p := run(t, 1, []string{"listen on " + taken + ": ", "address already in use (--listen: "},
		words("daemon", store(dir), flags(c, c.Members[0].Endpoint), []string{"--listen=" + taken})...)
	if strings.Count(p.stderr.String(), "\n") != 1 {
		t.Errorf("more than a line:\n%s", p.stderr.String())
	}
	wantNothing(t, dir)

	check := words("check", store(dir), flags(c, c.Members[0].Endpoint), []string{"--listen=" + taken})
	run(t, 0, []string{taken + " is in use, by a daemon of this program"}, check...)
	w.stop(t, syscall.SIGTERM, 0)
	run(t, 0, []string{taken + " is free"}, check...)
	stranger := http.Server{Addr: taken, Handler: http.NotFoundHandler()}
	go func() { _ = stranger.ListenAndServe() }()
	defer stranger.Close()
	eventually(t, "another program had the port", func() bool {
		status, _, err := ask(&http.Transport{}, "http://"+taken, "")
		return err == nil && status == http.StatusNotFound
	})
	run(t, 1, []string{"check failed: listen"}, check...)
}

// Nobody listens where it is switched off, which an empty address is not.
func TestListenOff(t *testing.T) {
	c := small(t, etcdtest.Options{})
	args := words("daemon", store(newStore(t)), flags(c, c.Members[0].Endpoint))
	p := start(t, append(args, "--listen=off")...)
	p.says(t, "kept snapshot")
	p.stop(t, syscall.SIGTERM, 0)
	if strings.Contains(p.stderr.String(), "listening") {
		t.Errorf("it listens:\n%s", p.stderr.String())
	}
	run(t, 2, []string{"--listen is empty: "}, append(args, "--listen=")...)
}

// hash is bcrypt's of the word right.
const hash = "$2a$04$M6Z0fvfcKLWutHDVBmRGqeYXPoyINPuCT36m2Z48lc9FpJ8oBQksK"

// The file of all exporters gives TLS and a password.
func TestWebConfig(t *testing.T) {
	c := small(t, etcdtest.Options{TLS: true})
	file := filepath.Join(t.TempDir(), "web.yml")
	must(t, os.WriteFile(file, []byte("tls_server_config:\n  cert_file: "+c.PKI.Server.Cert+"\n  key_file: "+c.PKI.Server.Key+
		"\nbasic_auth_users:\n  prometheus: "+hash+"\n"), 0o600))
	w := watch(t, newStore(t), flags(c, c.Members[0].Endpoint), []string{"--web-config=" + file})
	trust, err := c.PKI.TLSConfig()
	must(t, err)
	secure := strings.Replace(w.base, "http:", "https:", 1)
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/"} {
		got := map[string]int{}
		for _, password := range []string{"right", "wrong", ""} {
			got[password], _, err = ask(secureTransport(trust), secure+path, password)
			must(t, err)
		}
		if got["right"] == http.StatusServiceUnavailable && path == "/readyz" {
			got["right"] = http.StatusOK // it has only just begun
		}
		if want := map[string]int{"right": 200, "wrong": 401, "": 401}; !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if status, _ := w.get(t, "/metrics"); status != http.StatusBadRequest {
		t.Errorf("plain HTTP: %d", status)
	}
	check := words("check", store(newStore(t)), flags(c, c.Members[0].Endpoint), []string{"--web-config=" + file})
	run(t, 0, []string{"is in use: if not by this daemon, it will not start"}, append(check, "--listen="+strings.TrimPrefix(w.base, "http://"))...)
	// A file that goes bad under it leaves who asks without an answer, so the log tells.
	must(t, os.Rename(file, file+".gone"))
	w.says(t, "nobody can ask how it is: web configuration")
	must(t, os.Rename(file+".gone", file))
	w.says(t, "all is well again")
	w.stop(t, syscall.SIGTERM, 0)

	must(t, os.WriteFile(file, []byte("tls_server_config:\n  cert_file: none\n  key_file: none\n"), 0o600))
	for _, command := range [][]string{check, slices.Concat([]string{"daemon"}, check[1:])} {
		run(t, 2, []string{"web"}, command...)
	}
}
