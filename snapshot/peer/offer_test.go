package peer

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// What a peer offers is a file name without a path, a size and a digest, or is refused.
func FuzzOffer(f *testing.F) {
	digest := strings.Repeat("ab", 32)
	for _, seed := range []string{
		`{"service":"etcd-rolling-backup/peer/1","name":"rolling_n1_20261121T220000Z.db.zst","size":1,"sha256":"` + digest + `"}`,
		`{"service":"etcd-rolling-backup/peer/1","name":"../../etc/passwd","size":1,"sha256":"` + digest + `"}`,
		`{"service":"etcd-rolling-backup/peer/1","name":"a","size":-1,"sha256":"` + digest + `"}`,
		`{"service":"etcd-rolling-backup/peer/1","name":"a","size":9223372036854775808}`, `{"etcdserver":"3.6.0"}`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		offer, ours, err := readOffer(text)
		switch {
		case !ours && (err != nil || offer != Remote{}), err != nil && !errors.Is(err, ErrNoPeer):
			t.Fatalf("%+v, ours: %t, %v", offer, ours, err)
		case ours && err == nil && (offer.Size <= 0 || len(offer.SHA256) != 64 || filepath.Join("/d", offer.Name) != "/d/"+offer.Name):
			t.Fatalf("accepted %+v", offer)
		}
	})
}
