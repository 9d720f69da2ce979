package snapshot_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"etcd-rolling-backup/snapshot"
)

func TestReceive(t *testing.T) {
	golden, err := filepath.Glob("testdata/*.db.zst")
	if err != nil || len(golden) == 0 {
		t.Fatalf("no golden archive: %v", err)
	}
	whole, err := os.ReadFile(golden[0])
	if err != nil {
		t.Fatal(err)
	}
	altered := slices.Clone(whole)
	altered[len(altered)/3] ^= 1
	errRead := errors.New("connection lost")
	size := int64(len(whole))
	for _, tc := range []struct {
		name string
		body []byte
		size int64
		fail error
		want error
	}{
		{"whole", whole, size, nil, nil},
		{"altered", altered, size, nil, snapshot.ErrDamaged},
		{"cut", whole[:size-1], size, nil, snapshot.ErrDamaged},
		{"cut and announced so", whole[:size-1], size - 1, nil, snapshot.ErrDamaged},
		{"longer than announced", append(slices.Clone(whole), 0), size, nil, snapshot.ErrDamaged},
		{"empty", nil, 0, nil, snapshot.ErrDamaged},
		{"connection lost", whole[:size/2], size, errRead, errRead},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := snapshot.NewDir(t.TempDir())
			r := bytes.NewReader(tc.body)
			var err error
			if tc.fail != nil {
				_, err = dir.Receive(t.Context(), nameA(), "copy", io.MultiReader(r, iotest.ErrReader(tc.fail)), tc.size, 0, nil)
			} else {
				_, err = dir.Receive(t.Context(), nameA(), "copy", r, tc.size, 0, nil)
			}
			if !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			files, err := os.ReadDir(dir.Path())
			if err != nil {
				t.Fatal(err)
			}
			files = slices.DeleteFunc(files, func(f os.DirEntry) bool { return f.Name() == ".lock" })
			if got := len(files); got != 0 && tc.want != nil || got != 1 && tc.want == nil {
				t.Errorf("the directory holds %v", files)
			}
		})
	}
}

func TestReceiveNeverReplaces(t *testing.T) {
	dir := snapshot.NewDir(t.TempDir())
	path := filepath.Join(dir.Path(), "copy")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Receive(t.Context(), nameA(), "copy", bytes.NewReader(nil), 0, 0, nil); !errors.Is(err, snapshot.ErrExists) {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "mine" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := dir.Receive(t.Context(), nameA(), "../copy", bytes.NewReader(nil), 0, 0, nil); !errors.Is(err, snapshot.ErrName) {
		t.Errorf("got %v", err)
	}
}

// A Receive after a killed one works as if that had not happened. It keeps what another process is receiving, and files that only
// look like partial ones.
func TestReceiveReplacesPartialOfKilledReceive(t *testing.T) {
	d, whole := newDir(t), golden(t)
	receive := func(base string) error {
		_, err := d.Receive(t.Context(), nameA(), base, bytes.NewReader(whole), int64(len(whole)), 0, nil)
		return err
	}
	refused := func(base, why string) {
		t.Helper()
		if err := receive(base); !errors.Is(err, snapshot.ErrExists) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want ErrExists and %q", base, err, why)
		}
	}
	part := nameA().String() + ".part"
	kill := writerProcess(t, d)
	refused(nameA().String(), "another process is writing "+nameA().String())
	if got := in(t, d); !slices.Equal(got, []string{part}) {
		t.Errorf("of the living writer there is %q", got)
	}
	kill()
	must(t, receive(nameA().String()))
	contains(t, d, nameA(), string(whole))

	put(t, d, "copy.part", []byte("mine"))
	refused("copy", "copy.part is in the way")
	if got, err := os.ReadFile(filepath.Join(d.Path(), "copy.part")); err != nil || string(got) != "mine" {
		t.Errorf("%q, %v", got, err)
	}
}
