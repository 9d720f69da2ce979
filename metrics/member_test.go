package metrics_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

// TestMember plays what etcd says to a daemon that has nothing else to complain of. value and more are the page's figure of it.
func TestMember(t *testing.T) {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	for name, c := range map[string]struct {
		story                 func(m *metrics.Metrics)
		headline, value, more string
		reachable             string // "" for absent
	}{
		"not asked yet": {func(*metrics.Metrics) {}, "All is well", "", "", ""},
		"well":          {func(m *metrics.Metrics) { m.Member(at(-9), mib, true, nil) }, "All is well", "has a leader", "as of 9 s ago", "1"},
		"no leader": {
			func(m *metrics.Metrics) { m.Member(at(-9), mib, false, nil) },
			"Backups are well, etcd knows no leader", "knows no leader", "as of 9 s ago", "1",
		},
		"an alarm": {
			func(m *metrics.Metrics) { m.Member(at(-9), mib, false, []string{"NOSPACE", "corrupt"}) },
			"Backups are well, etcd raises NOSPACE, CORRUPT", "raises NOSPACE, CORRUPT", "as of 9 s ago", "1",
		},
		"away": {
			func(m *metrics.Metrics) { m.Member(at(-9), mib, true, nil); m.MemberAway(at(-6)); m.MemberAway(at(-3)) },
			"Backups are well, etcd does not answer", "does not answer", "since 2026-11-22 12:12:24 UTC; before that it had a leader", "0",
		},
		"away with an alarm": {
			func(m *metrics.Metrics) { m.Member(at(-9), mib, true, []string{"NOSPACE"}); m.MemberAway(at(-6)) },
			"Backups are well, etcd does not answer", "does not answer", "before that it raised NOSPACE", "0",
		},
		"never seen": {
			func(m *metrics.Metrics) { m.MemberAway(at(-6)) },
			"Backups are well, etcd does not answer", "does not answer", "has not answered since the start", "0",
		},
		"a snapshot did not reach it": {
			func(m *metrics.Metrics) {
				m.Member(at(-9), mib, false, nil)
				m.Failed(metrics.Snapshots, at(-6), "", metrics.Unreachable, "m")
			},
			"Backups are well, etcd does not answer", "does not answer", "since 2026-11-22 12:12:24 UTC; before that it knew no leader", "0",
		},
		"a snapshot failed otherwise": {
			func(m *metrics.Metrics) {
				m.Member(at(-9), mib, true, nil)
				m.Failed(metrics.Snapshots, at(-6), "", metrics.LowSpace, "m")
			}, "All is well", "has a leader", "as of 9 s ago", "1",
		},
		"back": {
			func(m *metrics.Metrics) { m.MemberAway(at(-9)); m.Member(at(-6), mib, true, nil) },
			"All is well", "has a leader", "as of 6 s ago", "1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			m := metrics.New(metrics.Options{Now: func() time.Time { return now }})
			m.Failed(metrics.Snapshots, now.Add(-2*time.Hour), "", metrics.Unreachable, "of the process before")
			m.SnapshotDone(now.Add(-time.Hour), taken(now.Add(-time.Hour), mib, 1), 0, 0)
			m.Rebuilt()
			c.story(m)
			if ok, reasons := m.Health(now); !ok {
				t.Errorf("etcd's trouble is a reason: %q", reasons)
			}
			_, page := get(t, m, "/")
			title, _, _ := strings.Cut(page[strings.Index(page, "<title>")+len("<title>"):], " – ")
			if title != c.headline {
				t.Errorf("title %q, want %q", title, c.headline)
			}
			if _, trouble, ok := strings.Cut(c.headline, ", "); ok && !strings.Contains(page, `<h1>Backups are well, <span class="trouble">`+trouble+`</span></h1>`) {
				t.Error("the headline does not say so")
			}
			if _, after, _ := strings.Cut(page, "<dt>etcd</dt>"); !strings.Contains(after, ">"+c.value+"</dd>") || !strings.Contains(after, c.more+"</dd>") {
				if c.value != "" || after != "" {
					t.Errorf("does not show %q, %q in %.300s", c.value, c.more, after)
				}
			}
			_, body := get(t, m, "/metrics")
			if got := slices.Contains(ours(body), "etcd_reachable "+c.reachable); got != (c.reachable != "") || c.reachable == "" && strings.Contains(body, "etcd_reachable") {
				t.Errorf("etcd_reachable is not %q", c.reachable)
			}
		})
	}
}

// TestTroubleOfBothIsIll: where the backup needs attention too, that is the headline.
func TestTroubleOfBothIsIll(t *testing.T) {
	now := noon
	m := metrics.New(metrics.Options{Now: func() time.Time { return now }})
	m.Rebuilt()
	m.MemberAway(now)
	if _, page := get(t, m, "/"); !strings.Contains(page, "<h1>Needs attention</h1>") || strings.Contains(page, "Backups are well") {
		t.Error("no snapshot at all, and the page says that backups are well")
	}
}
