package e2e_test

import (
	"testing"

	"etcd-rolling-backup/internal/etcdtest"
)

// A snapshot in the bucket, at a peer or in another file is looked into as one in the directory is, and nothing is left behind.
func TestSnapshotsElsewhereCanBeLookedInto(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	c := solid(t)
	client := etcdtest.Dial(t, c)
	_, err := client.Put(t.Context(), "/look/key", "the value")
	must(t, err)
	pki, archive := peerBed(t, c)
	_, err = client.Put(t.Context(), "/look/key", "another value")
	must(t, err)
	_, err = client.Put(t.Context(), "/look/new", "x")
	must(t, err)
	s := serve(t, pki, archive, "127.0.0.1:0")
	b, dir := m.bucket(t), newStore(t)
	name := rolling(t, node, 1)[0]
	b.plant(archive, name)
	for place, from := range map[string][]string{
		"bucket": append(b.flags(m.server.Target), "--from=s3"),
		"peer":   append(certificates(pki, pki.Client), "--from=peer", "--peer="+s.address),
		"file":   {"--snapshot=" + archive},
	} {
		t.Run(place, func(t *testing.T) {
			more := append(from, "--dir="+dir, "--min-free=0")
			if got := run(t, 0, nil, words("get", more, []string{"/look/key"})...).stdout.String(); got != "the value" {
				t.Errorf("got %q", got)
			}
			run(t, 0, []string{"KEY", "/look/key"}, words("ls", more, []string{"/look/"})...)
			if left := files(t, dir); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
	run(t, 0, []string{"~ /look/key", `value "the value" -> "another value"`, "+ /look/new", "1 added, 0 deleted, 1 changed"},
		words("diff", b.flags(m.server.Target), []string{"--from=s3", "--dir=" + dir, "--min-free=0", "--endpoints=" + c.Endpoints()[0], "latest", "live", "/look/"})...)
}
