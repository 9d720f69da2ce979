package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// rkeHost is a host of RKE whose kubectl hangs: a snapshot waits for it, and is a partial file meanwhile.
type rkeHost struct {
	root  string
	flags []string
}

func newRKEHost(t *testing.T) rkeHost {
	t.Helper()
	c := small(t, etcdtest.Options{TLS: true})
	h := rkeHost{root: t.TempDir(), flags: append(flags(c, c.Members[0].Endpoint), "--name=etcd-rolling-snapshots", "--creation=12h", "--retention=72h")}
	for _, dir := range []string{"backup", "usr/local/bin"} {
		must(t, os.MkdirAll(filepath.Join(h.root, dir), 0o755))
	}
	must(t, os.WriteFile(h.kubectl(), []byte("#!/bin/sh\nsleep 1000\n"), 0o755))
	return h
}

func (h rkeHost) kubectl() string { return filepath.Join(h.root, "usr/local/bin/kubectl") }

// rolls starts the program under the name by which RKE calls it.
func (h rkeHost) rolls(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command(lean, words("etcd-backup", []string{"save"}, h.flags)...)
	cmd.Args[0] = "/opt/rke-tools/rke-etcd-backup"
	cmd.Env = []string{"ETCD_BACKUP_RKE_ROOT=" + h.root}
	return launch(t, cmd)
}

// files are those of /backup that a pattern matches.
func (h rkeHost) files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(h.root, "backup", pattern))
	must(t, err)
	return found
}

func (h rkeHost) streaming(t *testing.T) *process {
	t.Helper()
	p := h.rolls(t)
	eventually(t, "a snapshot was being taken", func() bool { return len(h.files(t, ".*_etcd.zip.part")) == 1 })
	return p
}

// docker stop sends SIGQUIT to containers of RKE's images, and then waits ten seconds.
func TestRKERollingEndsCleanlyOnEachSignal(t *testing.T) {
	parallel(t)
	h := newRKEHost(t)
	for _, s := range []os.Signal{syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGINT} {
		p := h.streaming(t)
		p.stop(t, s, 0)
		if out := p.stderr.String(); strings.Contains(out, "goroutine ") || !strings.HasSuffix(out, "msg=stopped\n") {
			t.Errorf("after %s:\n%s", s, out)
		}
		if left := append(h.files(t, "[^.]*"), h.files(t, ".*.part")...); len(left) > 0 {
			t.Errorf("%s leaves %s", s, left)
		}
	}
}

func TestKilledRKERollingLeavesNoZip(t *testing.T) {
	parallel(t)
	h := newRKEHost(t)
	h.streaming(t).kill()
	if zips := h.files(t, "[^.]*"); len(zips) > 0 {
		t.Errorf("%s after a kill", zips)
	}
	must(t, os.Remove(h.kubectl()))
	p := h.rolls(t)
	p.says(t, "removed partial snapshots of an interrupted run")
	p.says(t, "snapshot saved")
	p.stop(t, syscall.SIGQUIT, 0)
	zips := h.files(t, "[^.]*")
	if len(zips) != 1 || len(h.files(t, ".*.part")) > 0 {
		t.Fatalf("left are %s and %s", zips, h.files(t, ".*.part"))
	}
	run(t, 0, nil, "verify", zips[0])
}
