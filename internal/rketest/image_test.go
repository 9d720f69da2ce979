//go:build image

package rketest

import (
	"strings"
	"testing"

	"etcd-rolling-backup/internal/podmantest"
	"etcd-rolling-backup/internal/s3test"
)

// The image is built by the commands of docs/RKE.md on a stand-in with the original's name, and everything that RKE does is done with it.
func TestOverlayImageDoesWhatRKEAsksOfTheOriginal(t *testing.T) {
	p := podman{Engine: podmantest.New(t), image: "registry.example.com/ops/etcd-rolling-backup-rke:v0.1.111-1"}
	const base = "docker.io/rancher/rke-tools:v0.1.111"
	p.standIn(t, base)
	ours := program(t)
	pg := openPage(t, p, ours)
	pg.next(t)

	t.Run("configuration", func(t *testing.T) {
		format := "{{.Config.StopSignal}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{.Config.Volumes}}"
		if got, want := p.do(t, p.Podman("inspect", "--format", format, p.image)), "SIGTERM [/docker-entrypoint.sh] [/bin/bash] map[/opt/rke-tools:{}]"; got != want {
			t.Errorf("the image has %s, want %s", got, want)
		}
	})
	t.Run("commands", func(t *testing.T) {
		out := pg.next(t)
		out += p.do(t, p.Command(t.Context(), Container{Args: []string{Program, "etcd-backup", "--help"}}))
		for _, want := range []string{"version", "md5sum\nnc\ntar\n", "etcdctl version: " + Version, "extractstatefile"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s is not in\n%s", want, out)
			}
		}
	})
	t.Run("volume of the sidekick", func(t *testing.T) {
		// Docker fills a container's volume when it makes the container, podman when it starts it.
		p.do(t, p.Command(t.Context(), Container{Name: "service-sidekick", Args: []string{"true"}}))
		// The containers of Kubernetes have the volume and another image.
		other := podman{Engine: p.Engine, image: base, flags: []string{"--volumes-from=service-sidekick"}}
		got := other.do(t, other.Command(t.Context(), Container{
			Args:   []string{"/opt/rke-tools/entrypoint.sh", "cmp", "/ours", Program},
			Mounts: map[string]string{"/ours": ours},
		}))
		if got != "entrypoint of the original" {
			t.Error(got)
		}
	})
	t.Run("flow of three nodes", func(t *testing.T) {
		config := Config{Backup: &Backup{IntervalHours: 12, Retention: 6, S3: &S3{Folder: "cluster-a"}}}
		server := s3test.Run(t, s3test.Options{TLS: true})
		newFlow(t, NewCluster(t, 3, p, ""), config, server).play(t, "snap1")
	})
	t.Run("stop signal of the original", func(t *testing.T) {
		p := podman{Engine: p.Engine, image: p.image, flags: []string{"--stop-signal=SIGQUIT"}}
		newFlow(t, NewCluster(t, 1, p, ""), Config{}, nil).rolling(t)
	})
	t.Run("leaving RKE", pg.leaves)
}
