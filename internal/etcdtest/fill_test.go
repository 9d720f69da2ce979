package etcdtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"etcd-rolling-backup/internal/proctest"
)

const fillBytes = 4 << 20

func contents(t *testing.T, client *clientv3.Client) (values map[string]string, leased int) {
	t.Helper()
	response, err := client.Get(t.Context(), "/registry/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	values = map[string]string{}
	for _, kv := range response.Kvs {
		values[string(kv.Key)] = string(kv.Value)
		if kv.Lease != 0 {
			leased++
		}
	}
	return values, leased
}

func fill(t *testing.T, c *Cluster) (*clientv3.Client, Filled) {
	t.Helper()
	client := Dial(t, c)
	filled, err := Fill(t.Context(), client, FillOptions{Bytes: fillBytes, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	return client, filled
}

func TestFill(t *testing.T) {
	c := Run(t, BulkOptions("", fillBytes))
	client, filled := fill(t, c)
	status, err := client.Status(t.Context(), c.Members[0].ClientURL)
	if err != nil {
		t.Fatal(err)
	}
	if ratio := float64(status.DbSize) / fillBytes; ratio < 0.7 || ratio > 1.5 {
		t.Errorf("the database has %d bytes, %.2f of those asked for", status.DbSize, ratio)
	}
	if status.Header.Revision != filled.Revision {
		t.Errorf("revision %d, reported as %d", status.Header.Revision, filled.Revision)
	}
	if _, err := client.Get(t.Context(), "a", clientv3.WithRev(filled.Compacted-1)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("read before the compaction at %d: %v, want %v", filled.Compacted, err, rpctypes.ErrCompacted)
	}
	leases, err := client.Leases(t.Context())
	if err != nil || len(leases.Leases) != filled.Leases {
		t.Errorf("leases: %v, %v, want %d", leases, err, filled.Leases)
	}
	values, leased := contents(t, client)
	if len(values) != filled.Keys || filled.Deletes == 0 || filled.Puts <= filled.Keys+filled.Deletes || leased == 0 {
		t.Errorf("%d keys, %d of them leased, after %+v", len(values), leased, filled)
	}
	for key, value := range values {
		if !strings.HasPrefix(value, "k8s\x00") && !strings.HasPrefix(value, `{"apiVersion":`) || len(value) < 200 || len(value) > 600<<10 {
			t.Errorf("%s: %d bytes of %.20q", key, len(value), value)
		}
	}
	if ratio := zstdRatio(t, client); ratio < 3 || ratio > 6 {
		t.Errorf("zstd makes the database %.1f times smaller, want 3 to 6", ratio)
	}
}

// zstdRatio is the size of a snapshot over that of the same compressed at the fastest level.
func zstdRatio(t *testing.T, client *clientv3.Client) float64 {
	t.Helper()
	stream, err := client.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var compressed bytes.Buffer
	encoder, err := zstd.NewWriter(&compressed, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(encoder, stream)
	if err = errors.Join(err, encoder.Close()); err != nil {
		t.Fatal(err)
	}
	return float64(n) / float64(compressed.Len())
}

// Equal seeds give equal data, on any version.
func TestFillIsDeterministic(t *testing.T) {
	var first map[string]string
	for _, version := range Versions() {
		client, _ := fill(t, Run(t, BulkOptions(version, fillBytes)))
		values, _ := contents(t, client)
		if first == nil {
			first = values
		}
		if !maps.Equal(first, values) {
			t.Errorf("%d and %d keys, or other values, from one seed", len(first), len(values))
		}
	}
}

func TestFillReportsFailure(t *testing.T) {
	c := Run(t, Options{QuotaBytes: 1 << 20})
	// etcd looks at its quota with a size that is up to a tenth of a second old: so much that no machine writes it meanwhile.
	_, err := Fill(t.Context(), Dial(t, c), FillOptions{Bytes: 1 << 30})
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("fill above the quota: %v, want %v", err, rpctypes.ErrNoSpace)
	}
	if err := c.Members[0].Restart(t.Context()); err != nil {
		t.Errorf("restart with the alarm raised: %v", err)
	}
}

func TestChurn(t *testing.T) {
	client := Dial(t, Run(t, Options{UnsafeNoFsync: true}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Churn(ctx, client, 1, time.Millisecond) }()
	const enough = churnKeys + 200 // so that it has begun to delete
	err := proctest.Poll(t.Context(), 20*time.Millisecond, func() (bool, error) {
		response, err := client.Get(t.Context(), "a")
		return err == nil && response.Header.Revision > enough, err
	})
	cancel()
	if err = errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	if values, _ := contents(t, client); len(values) == 0 || len(values) > churnKeys {
		t.Errorf("%d keys, want 1 to %d", len(values), churnKeys)
	}
}
