package rketools_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"etcd-rolling-backup/internal/s3test"
)

// onDisk gives the host a small disk for /backup.
func (h *host) onDisk(bytes int) {
	h.t.Helper()
	if err := unix.Mount("tmpfs", h.path("backup"), "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", bytes)); err != nil {
		h.t.Fatalf("mount a tmpfs: %v: run this test as root, or under unshare -rm", err)
	}
	h.t.Cleanup(func() { must(h.t, unix.Unmount(h.path("backup"), 0)) })
}

// fill leaves no byte free.
func (h *host) fill() {
	h.t.Helper()
	f, err := os.Create(h.path("backup/filler"))
	must(h.t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4<<10))
	}
	if !errors.Is(err, unix.ENOSPC) {
		h.t.Fatal(err)
	}
}

func TestFullDiskIsAFailureThatLeavesNoArchive(t *testing.T) {
	h := newHost(t)
	h.onDisk(64 << 10)
	h.must(once(t, "small")...)
	h.fill()
	good := h.read("backup/small.zip")
	h.fails([]string{"small", "full"}, once(t, "small")...)
	h.fails([]string{"new", "full"}, once(t, "new")...)
	h.hasBackups("filler", "small.zip")
	if h.read("backup/small.zip") != good {
		t.Error("the good snapshot has changed")
	}
}

func TestDownloadToAFullDiskKeepsTheGoodCopy(t *testing.T) {
	b := newBucket(t, s3test.BucketOptions{})
	b.put("snap1.zip", zipOf(t, "/backup/snap1", database(t)+strings.Repeat("\x00", 1<<20))) // a small zip of a large file
	h := newHost(t)
	h.onDisk(200 << 10)
	h.write("backup/snap1.zip", "good zip")
	h.write("backup/snap1", "good database")
	h.fails([]string{"failed to download s3 backup: "}, append([]string{"download", "--name", "snap1"}, b.flags()...)...)
	h.hasBackups("snap1", "snap1.zip")
	if h.read("backup/snap1.zip") != "good zip" || h.read("backup/snap1") != "good database" {
		t.Error("a good copy has changed")
	}
}

// A restore that fits must not fail: only a new snapshot leaves a share of the disk free.
func TestDownloadMayUseAllOfTheDisk(t *testing.T) {
	const size = 1 << 20
	raw := []byte(noise(size))
	binary.NativeEndian.PutUint32(raw[16:], 0xED0CDAED) // bbolt's
	sum := sha256.Sum256(raw)
	archive := zipOf(t, "/backup/snap1", string(append(raw, sum[:]...)))
	b := newBucket(t, s3test.BucketOptions{})
	b.put("snap1.zip", archive)
	h := newHost(t)
	h.onDisk(len(archive) + size + 64<<10)
	h.must(append([]string{"download", "--name", "snap1"}, b.flags()...)...)
	h.hasBackups("snap1", "snap1.zip")
}

// silent is the address of a server that accepts connections and answers nothing; called is closed at the first one.
func silent(t *testing.T) (address string, called <-chan struct{}) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	first := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			if n == 0 {
				close(first)
			}
		}
	}()
	return l.Addr().String(), first
}

func TestStoppedOnceLeavesNothing(t *testing.T) {
	h := newHost(t)
	address, called := silent(t)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-called
		stop()
	}()
	r := h.callIn(ctx, once(t, "snap1", "--endpoints="+address)...)
	if r.status != 1 || !strings.Contains(r.last, "stopped by a signal") {
		t.Errorf("exit status %d: %s", r.status, r.output)
	}
	h.hasBackups()
}

func TestSilentS3EndsBeforeRKEStopsWaiting(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	address, _ := silent(t)
	began := time.Now()
	h.failsAlongside("failed to set s3 server: ", once(t, "snap1", "--s3-backup", "--s3-endpoint="+address, "--s3-bucketName=bucket", "--s3-accessKey=a-b", "--s3-secretKey=c-d")...)
	if took := time.Since(began); took > 4*time.Minute {
		t.Errorf("it took %s", took)
	}
	h.hasBackups("snap1.zip")
}

func TestBrokenUploadIsReportedAsSuch(t *testing.T) {
	h := newHost(t)
	b := newBucket(t, s3test.BucketOptions{})
	faults := s3test.RunProxy(t, b.target)
	flags := b.flags("--s3-endpoint="+faults.Endpoint(), "--s3-retries=0")
	must(t, faults.ResetAfter(6000)) // the questions before the upload are shorter
	h.write("etc/kubernetes/snap1.rkestate", noise(64<<10))
	h.fails([]string{"failed to upload etcd snapshot file: "}, once(t, "snap1", flags...)...)
	h.hasBackups("snap1.zip")
	must(t, faults.Clear())
	h.must(once(t, "snap1", flags...)...)
	b.hasKeys("snap1.zip")
}

// noise does not compress.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return string(b)
}

func TestKilledOnceLeavesNoBrokenArchive(t *testing.T) {
	h := newHost(t)
	address, called := silent(t)
	h.must(once(t, "snap1")...)
	good := h.read("backup/snap1.zip")
	cmd := h.command(once(t, "snap1", "--endpoints="+address)...)
	var out bytes.Buffer
	cmd.Stderr = &out
	must(t, cmd.Start())
	<-called
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	if h.read("backup/snap1.zip") != good {
		t.Errorf("the snapshot has changed: %s", out.String())
	}
	h.must(once(t, "snap1")...)
	h.hasBackups("snap1.zip")
}
