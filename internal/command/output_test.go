package command

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, test := range []struct {
		ago  time.Duration
		want string
	}{
		{0, "0s"},
		{999 * time.Millisecond, "0s"},
		{-time.Nanosecond, "0s"}, // a part of a second is no future
		{-time.Second, "in the future"},
		{-day, "in the future"},
		{time.Second, "1s"},
		{time.Minute - time.Nanosecond, "59s"},
		{time.Minute, "1m0s"},
		{time.Hour - time.Second, "59m59s"},
		{time.Hour, "1h0m"},
		{time.Hour + 59*time.Second, "1h0m"},
		{day - time.Second, "23h59m"},
		{day, "1d0h"},
		{400*day + 5*time.Hour, "400d5h"},
	} {
		if got := age(now, now.Add(-test.ago)); got != test.want {
			t.Errorf("%s ago: got %q, want %q", test.ago, got, test.want)
		}
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		-1: "0 B", 0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 10 << 20: "10 MiB", 1<<30 + 1<<29: "1.5 GiB", 1 << 62: "4.0 EiB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("%d: got %q, want %q", bytes, got, want)
		}
	}
}

func TestTableAlignsAndHasNoTrailingBlanks(t *testing.T) {
	var b bytes.Buffer
	p := &printer{w: &b}
	p.table([]string{"A", "LONG"}, [][]string{{"wide cell", "x"}, {"", "é"}})
	must(t, p.err)
	if want := "A           LONG\nwide cell   x\n            é\n"; b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

// testdata/progress.txtar tests it on a terminal.
func TestProgressIsSilentElsewhere(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var b bytes.Buffer
	for _, p := range []*progress{newProgress(&b, "saving"), newProgress(file, "saving")} {
		p.update(0, 0)
		p.update(1, 2)
		p.update(2, 2)
		p.done()
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 || b.Len() != 0 {
		t.Errorf("%d and %v bytes were written, %v", b.Len(), info, err)
	}
}
