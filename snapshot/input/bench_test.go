package input_test

import (
	"io"
	"testing"

	"etcd-rolling-backup/snapshot/input"
)

// Each form of one database, from memory to nowhere.
func BenchmarkUnpack(b *testing.B) {
	raw := withDigest(database(128 << 20))
	for _, w := range wrappings() {
		packed := w.wrap(b, raw)
		b.Run(string(w.form), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				in, err := open(packed)
				must(b, err)
				_, err = in.Unpack(b.Context(), io.Discard, input.Options{})
				must(b, err)
			}
		})
	}
}
