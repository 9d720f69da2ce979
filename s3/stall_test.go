package s3_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/s3"
)

// A server that takes bytes and falls silent costs one Stall, whatever is on the way.
func TestSilentServerCostsOneStall(t *testing.T) {
	t.Parallel()
	proxy := s3test.RunProxy(t, server.Target)
	patient, c := bed(t, proxy.Target)
	c.Timeout, c.Stall = 2*time.Second, 2*time.Second
	b := open(t, c)
	data := noise(4 * part)
	put(t, patient, rolling(t, 0), data)
	must(t, proxy.Blackhole())
	began := time.Now()
	wantError(t, tryPut(t, b, rolling(t, 1), data), s3.ErrTimeout)
	wantError(t, b.Remove(t.Context(), rolling(t, 0)), s3.ErrTimeout)
	// Two calls have waited, each once. Had they tried five times each, it would be as many times 2 s.
	if took := time.Since(began); took > 16*time.Second {
		t.Errorf("it took %s", took)
	}
	must(t, proxy.Clear())
	wantList(t, patient, rolling(t, 0))
}

// A download that falls silent in the middle is given up as well.
func TestSilentDownloadIsAborted(t *testing.T) {
	t.Parallel()
	patient, faults, c := shared(t)
	c.Stall = 2 * time.Second
	b := open(t, c)
	put(t, patient, rolling(t, 0), noise(part))
	faults.Set(s3test.When(s3test.Download, s3test.Stall(1<<20)))
	r, _, err := b.Get(t.Context(), rolling(t, 0))
	must(t, err)
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	wantError(t, err, s3.ErrTimeout, "no byte moved for 2s")
}

// The total time is not limited, nor the caller's own rests.
func TestSlowTransferIsNotAborted(t *testing.T) {
	t.Parallel()
	_, _, c := shared(t)
	c.Stall, c.UploadRate = 2*time.Second, 100<<10
	b := open(t, c)
	data := noise(450 << 10)
	began := time.Now()
	put(t, b, rolling(t, 0), data)
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("450 KiB at 100 KiB a second took %s", took)
	}
	r, _, err := b.Get(t.Context(), rolling(t, 0))
	must(t, err)
	defer r.Close()
	rest := time.NewTimer(2500 * time.Millisecond)
	_, err = io.CopyN(io.Discard, r, 1000)
	must(t, err)
	<-rest.C
	left, err := io.ReadAll(r)
	must(t, err)
	if !bytes.Equal(left, data[1000:]) {
		t.Error("other bytes came")
	}
}
