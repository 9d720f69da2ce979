package doctest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"etcd-rolling-backup/internal/s3test"
	"etcd-rolling-backup/internal/storetest"
	"etcd-rolling-backup/s3"
	"etcd-rolling-backup/snapshot"
)

// way is a way of running that a policy of MINIO.md is for. It returns an error if something does not work, or works that must not.
type way struct {
	bucket s3test.BucketOptions
	do     func(*keyHolder) error
}

// keyHolder has keys with the policy, or a part of it, in a new bucket.
type keyHolder struct {
	*testing.T
	root, client *minio.Client // client has the same keys, and goes past the program
	config       s3.Config
	taken        int
}

// partLimit is more than goes into one request.
const partLimit = 16<<20 + 20000

func TestEachPolicyIsTheLeastThatWorks(t *testing.T) {
	server := s3test.Run(t, s3test.Options{})
	policies := policiesOf(t)
	ways := map[string]way{
		"backup-policy":      {s3test.BucketOptions{Versioning: true}, backsUp},
		"append-only-policy": {s3test.BucketOptions{Versioning: true}, appends},
		"object-lock-policy": {s3test.BucketOptions{ObjectLock: true}, locks},
		"restore-policy":     {s3test.BucketOptions{Versioning: true}, reads},
		"fleet-policy":       {s3test.BucketOptions{Versioning: true}, watches},
	}
	if len(policies) != len(ways) {
		t.Errorf("the document has %d policies, and %d are tested", len(policies), len(ways))
	}
	for name, policy := range policies {
		way, ok := ways[name]
		if !ok {
			t.Errorf("%s is not tested", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			if err := way.do(holds(t, server, way, policy, "")); err != nil {
				t.Errorf("with the documented policy: %v", err)
			}
			for _, action := range actionsOf(policy) {
				err := way.do(holds(t, server, way, policy, action))
				if err == nil || !strings.Contains(err.Error(), action) {
					t.Errorf("without %s: %v", action, err)
				}
			}
		})
	}
}

// policiesOf are the JSON texts that the page writes into files.
func policiesOf(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, b := range readBlocks(t, filepath.Join("..", "..", "docs", "MINIO.md")) {
		for _, m := range regexp.MustCompile(`(?s)([a-z-]+-policy)\.json <<'EOF'\n(.*?)\nEOF\n`).FindAllStringSubmatch(b.text, -1) {
			found[m[1]] = m[2]
		}
	}
	return found
}

func actionsOf(policy string) []string {
	return slices.Compact(slices.Sorted(slices.Values(regexp.MustCompile(`s3:[A-Z]\w+`).FindAllString(policy, -1))))
}

// holds makes a bucket, and keys with the policy for it, without one of the actions.
func holds(t *testing.T, server *s3test.Server, w way, policy, without string) *keyHolder {
	t.Helper()
	bucket := s3test.Bucket(t, server.Target, w.bucket)
	var p struct {
		Version   string
		Statement []map[string]any
	}
	must(t, json.Unmarshal([]byte(strings.ReplaceAll(policy, ":::backups", ":::"+bucket)), &p))
	for _, s := range p.Statement {
		s["Action"] = slices.DeleteFunc(s["Action"].([]any), func(a any) bool { return a == without })
	}
	p.Statement = slices.DeleteFunc(p.Statement, func(s map[string]any) bool { return len(s["Action"].([]any)) == 0 })
	text, err := json.Marshal(p)
	must(t, err)
	const secret = "policy-test-secret"
	key := "p-" + bucket[len(bucket)-8:]
	must(t, server.AddUser(t.Context(), key, secret, string(text)))
	k := &keyHolder{T: t, root: s3test.Dial(t, server.Target), client: s3test.Dial(t, server.As(key, secret))}
	k.config = s3.Config{Bucket: bucket, Endpoint: server.URL(), Region: s3test.Region, Folder: "cluster-a"}
	dir := t.TempDir()
	for file, text := range map[*string]string{&k.config.AccessKeyFile: key, &k.config.SecretKeyFile: secret} {
		*file = filepath.Join(dir, text)
		must(t, os.WriteFile(*file, []byte(text), 0o600))
	}
	return k
}

func (k *keyHolder) open(c s3.Config) *s3.Bucket {
	k.Helper()
	b, err := s3.Open(c)
	must(k.T, err)
	k.Cleanup(b.Close)
	return b
}

// archive makes another snapshot.
func (k *keyHolder) archive(size int) (snapshot.Name, []byte) {
	k.Helper()
	k.taken++
	n := storetest.Name(k, snapshot.RollingSet, "node-a", k.taken)
	return n, storetest.Archive(k, n, size)
}

func (k *keyHolder) key(n snapshot.Name) string { return k.config.Folder + "/" + n.String() }

// stores stores a snapshot, and finds and reads it.
func (k *keyHolder) stores(ctx context.Context, b *s3.Bucket, size int) (snapshot.Name, error) {
	n, data := k.archive(size)
	a, err := snapshot.OpenArchive(bytes.NewReader(data), int64(len(data)))
	must(k.T, err)
	if err := b.PutArchive(ctx, n, a, false, nil); err != nil {
		return n, err
	}
	return n, k.finds(ctx, b, n, data)
}

func (k *keyHolder) finds(ctx context.Context, b *s3.Bucket, n snapshot.Name, data []byte) error {
	entries, err := b.List(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(entries, func(e snapshot.Entry) bool { return e.Name == n }) {
		return fmt.Errorf("%s is not listed", n)
	}
	if _, _, err := b.Tail(ctx, n); err != nil {
		return err
	}
	r, _, err := b.Get(ctx, n)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, data) {
		err = fmt.Errorf("%s: other bytes were read than were stored", n)
	}
	return err
}

// keepsVersions returns an error if the keys can delete an old version.
func (k *keyHolder) keepsVersions(ctx context.Context, n snapshot.Name) error {
	for o := range k.root.ListObjectsIter(ctx, k.config.Bucket, minio.ListObjectsOptions{Prefix: k.key(n), WithVersions: true}) {
		must(k.T, o.Err)
		if k.client.RemoveObject(ctx, k.config.Bucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID}) == nil {
			return errors.New("a version could be deleted: s3:DeleteObjectVersion is not denied")
		}
		one := make(chan minio.ObjectInfo, 1)
		one <- o
		close(one)
		for result := range k.client.RemoveObjectsWithResult(ctx, k.config.Bucket, one, minio.RemoveObjectsOptions{}) {
			if result.Err == nil {
				return errors.New("a version could be deleted with others: s3:DeleteObjectVersion is not denied")
			}
		}
	}
	return nil
}

func (k *keyHolder) probes(ctx context.Context, b *s3.Bucket) error {
	var failed error
	for _, p := range b.Probe(ctx) {
		if p.Err != nil && !p.Optional {
			failed = errors.Join(failed, p.Err)
		}
	}
	return failed
}

func backsUp(k *keyHolder) error {
	ctx, b := k.Context(), k.open(k.config)
	for _, size := range []int{20000, partLimit} {
		n, err := k.stores(ctx, b, size)
		if err != nil {
			return err
		}
		if err := errors.Join(k.keepsVersions(ctx, n), b.Remove(ctx, n)); err != nil {
			return err
		}
	}
	return k.probes(ctx, b)
}

func appends(k *keyHolder) error {
	c := k.config
	c.AppendOnly = true
	ctx, b := k.Context(), k.open(c)
	for _, size := range []int{20000, partLimit} {
		n, err := k.stores(ctx, b, size)
		if err != nil {
			return err
		}
		if err := k.keepsVersions(ctx, n); err != nil {
			return err
		}
	}
	return k.probes(ctx, b)
}

func locks(k *keyHolder) error {
	ctx, b := k.Context(), k.open(k.config)
	n, err := k.stores(ctx, b, 20000)
	if err != nil {
		return err
	}
	if err := errors.Join(k.keepsVersions(ctx, n), b.Remove(ctx, n)); err != nil {
		return err
	}
	c := k.config
	c.LockFor, c.LockMode = time.Hour, "governance"
	locking := k.open(c)
	if n, err = k.stores(ctx, locking, 20000); err != nil {
		return err
	}
	if err := locking.Remove(ctx, n); !errors.Is(err, s3.ErrLocked) {
		return fmt.Errorf("a locked snapshot was removed: %w", err)
	}
	mode, days, unit := minio.Governance, uint(1), minio.Days
	must(k.T, k.root.SetObjectLockConfig(ctx, c.Bucket, &mode, &days, &unit))
	if n, err = k.stores(ctx, b, 20000); err != nil {
		return err
	}
	if err := b.Remove(ctx, n); !errors.Is(err, s3.ErrLocked) {
		return fmt.Errorf("a lock of the bucket's default is not seen: s3:GetObjectRetention is missing (%w)", err)
	}
	return k.probes(ctx, locking)
}

func reads(k *keyHolder) error {
	ctx := k.Context()
	n, data := k.archive(20000)
	put := func(data []byte) {
		k.Helper()
		_, err := k.root.PutObject(ctx, k.config.Bucket, k.key(n), bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{})
		must(k.T, err)
	}
	put(data)
	if err := k.finds(ctx, k.open(k.config), n, data); err != nil {
		return err
	}
	put([]byte("garbage"))
	must(k.T, k.root.RemoveObject(ctx, k.config.Bucket, k.key(n), minio.RemoveObjectOptions{}))
	c := k.config
	c.Versions = true
	if err := k.finds(ctx, k.open(c), n, data); err != nil {
		return err
	}
	a, err := snapshot.OpenArchive(bytes.NewReader(data), int64(len(data)))
	must(k.T, err)
	if err := k.open(k.config).PutArchive(ctx, n, a, true, nil); !errors.Is(err, s3.ErrPermission) {
		return fmt.Errorf("keys that may only read could store: %w", err)
	}
	return k.keepsVersions(ctx, n)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
