package input_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"testing"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

func zipOf(t *testing.T, members map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, data := range members {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestStateFileIsReadFromAZip(t *testing.T) {
	for name, tt := range map[string]struct {
		file  []byte
		want  string
		found bool
		err   error
	}{
		"of rke-tools": {zipOf(t, map[string][]byte{"/backup/a": []byte("db"), "/etc/kubernetes/a.rkestate": []byte(`{"a":1}`)}), `{"a":1}`, true, nil},
		"renamed":      {zipOf(t, map[string][]byte{"x.rkestate": []byte(`{}`)}), `{}`, true, nil},
		"none":         {zipOf(t, map[string][]byte{"/backup/a": []byte("db")}), "", false, nil},
		"no zip":       {[]byte("text that is no zip"), "", false, nil},
		"bomb":         {zipOf(t, map[string][]byte{"x.rkestate": make([]byte, 17<<20)}), "", false, snapshot.ErrDamaged},
		"cut":          {zipOf(t, map[string][]byte{"x.rkestate": []byte(`{}`)})[:40], "", false, snapshot.ErrDamaged},
	} {
		data, found, err := input.StateFile(bytes.NewReader(tt.file), int64(len(tt.file)))
		if string(data) != tt.want || found != tt.found || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d bytes, found %v, %v; want %q, %v, %v", name, len(data), found, err, tt.want, tt.found, tt.err)
		}
	}
}
