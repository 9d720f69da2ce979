package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The daemon measures by itself, and what it measured is in the log and in the metrics. A reload changes the rate of the next snapshot.
func TestDaemonReportsRateAndLatencyOfTheStream(t *testing.T) {
	parallel(t)
	c := &configured{dir: newStore(t), file: filepath.Join(t.TempDir(), "config.yaml")}
	c.write(t, "schedule: '@yearly'\n")
	c.watched = watch(t, c.dir, []string{"--config=" + c.file, "--endpoints=" + solid(t).Members[0].Endpoint})
	c.says(t, "etcd_latency_before=")
	wantIn(t, c.stderr.String(), "stream_rate=", "etcd_latency_during=")
	for _, series := range []string{"stream_bytes_per_second", `etcd_latency_seconds{stream="before"}`, `etcd_latency_seconds{stream="during"}`} {
		if v, there := c.value(t, series); !there || v <= 0 {
			t.Errorf("%s is %v", series, v)
		}
	}
	wantIn(t, c.reload(t, "schedule: '@every 1s'\nstream-rate: 12MiB\n"), `changed="schedule, stream-rate"`)
	eventually(t, "a snapshot was taken at the new rate", func() bool {
		_, measured := c.value(t, `etcd_latency_seconds{stream="before"}`) // only with the automatic one
		return !measured
	})
	if v, there := c.value(t, "stream_bytes_per_second"); !there || v > 13<<20 {
		t.Errorf("%.0f bytes per second, want 12 MiB", v)
	}
	wantIn(t, c.reload(t, "stream-rate: 12\n"), "--stream-rate: 12 per second is less than 64 KiB")
	c.stop(t, syscall.SIGTERM, 0)
}

// save is at full speed, and at a rate if one is asked for.
func TestSaveKeepsTheRateThatIsAskedFor(t *testing.T) {
	parallel(t)
	c, dir := solid(t), newStore(t)
	for _, rate := range []string{"", "--stream-rate=12MiB", "--stream-rate=auto"} {
		args := words("save", store(dir), flags(c, c.Members[0].Endpoint))
		if rate != "" {
			args = append(args, rate)
		}
		began := time.Now()
		run(t, 0, nil, args...)
		if took := time.Since(began); strings.HasSuffix(rate, "12MiB") && took < 1900*time.Millisecond { // of 2 seconds
			t.Errorf("24 MiB at 12 MiB per second took only %s", took)
		}
		for _, name := range files(t, dir) {
			must(t, os.Remove(filepath.Join(dir, name)))
		}
	}
}
