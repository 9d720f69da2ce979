package restore

import (
	"bytes"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// kubernetesKey returns a key that shows that the database belongs to a Kubernetes cluster; "": none was found. It reads the oldest and
// the newest changes only: an API server writes all the time, and its first keys are those that it never changes.
func kubernetesKey(tx *bbolt.Tx) string {
	const limit = 20_000 // changes at each end
	keys := tx.Bucket([]byte("key"))
	if keys == nil {
		return ""
	}
	c := keys.Cursor()
	for _, walk := range []struct{ start, next func() (k, v []byte) }{{c.First, c.Next}, {c.Last, c.Prev}} {
		k, v := walk.start()
		for n := 0; k != nil && n < limit; n++ {
			if key := kubernetesIn(v); key != "" {
				return key
			}
			k, v = walk.next()
		}
	}
	return ""
}

// kubernetesIn returns the key of a change if an API server has written it: below the prefix of Kubernetes (/registry/) or of OpenShift, or
// below any other prefix if the value is in the encoding of Kubernetes, plain or encrypted.
func kubernetesIn(change []byte) string {
	var kv mvccpb.KeyValue
	if proto.Unmarshal(change, &kv) != nil {
		return ""
	}
	for _, prefix := range []string{"/registry/", "/kubernetes.io/"} {
		if bytes.HasPrefix(kv.GetKey(), []byte(prefix)) {
			return string(kv.GetKey())
		}
	}
	for _, encoding := range []string{"k8s\x00", "k8s:enc:"} {
		if bytes.HasPrefix(kv.GetValue(), []byte(encoding)) {
			return string(kv.GetKey())
		}
	}
	return ""
}
