package daemon_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/daemon"
)

// Whatever a schedule says: it is refused in one line, or has a next run after each time.
func FuzzParseSchedule(f *testing.F) {
	for _, seed := range []string{
		"", "0 * * * *", "@hourly", "@every 15m", "@every 1d", "@every 0s", "@every -1h", "@every 999999h", "CRON_TZ=Europe/Berlin 30 2 * * *",
		"TZ= 0 * * * *", "CRON_TZ=UTC", "TZ=UTC TZ=UTC", "*/7 1,3 29 2 0-7", "0 0 31 2 *", "*/0 * * * *", "5-1 * * * *", "@reboot", "60 24 32 13 8",
	} {
		f.Add(seed, int64(1795478400))
	}
	f.Fuzz(func(t *testing.T, spec string, second int64) {
		s, err := daemon.ParseSchedule(spec, time.Minute, "n1")
		if err != nil {
			if !errors.Is(err, daemon.ErrSchedule) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q: %v", spec, err)
			}
			return
		}
		at := time.Unix(second%4_000_000_000, 0)
		if next := s.Next(at); !next.IsZero() && !next.After(at) {
			t.Fatalf("%q: after %s comes %s", spec, at, next)
		}
	})
}
