package metrics_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/metrics"
)

// TestDamage plays what is found in copies of the newest of two snapshots, both on the disk and in S3. restore is where the
// page restores from, tags are what it says of the newest, found is how many are damaged.
func TestDamage(t *testing.T) {
	list := history(noon)[:2]
	x, older := list[0].Name, list[1].Name
	find := func(m *metrics.Metrics, p metrics.Place) { m.Damaged(p, noon, x, "m") }
	for name, c := range map[string]struct {
		proves              metrics.Place
		story               func(m *metrics.Metrics)
		reason              string
		restore, tags, word string
		found               string
	}{
		"none": {story: func(*metrics.Metrics) {}, restore: "local " + x, tags: "disk|S3", word: "last good snapshot 12 min ago, next", found: "0"},
		"on the disk, by verification": {
			story:  func(m *metrics.Metrics) { m.Failed(metrics.Verify, noon, x, metrics.Damaged, "m") },
			reason: x + " on the disk", restore: "s3 " + x, tags: "disk, damaged!|S3", word: "the one in s3 has not been verified", found: "1",
		},
		"on the disk, by the mirror": {
			story:  func(m *metrics.Metrics) { find(m, metrics.Local) },
			reason: x + " on the disk", restore: "s3 " + x, tags: "disk, damaged!|S3", word: "the one in s3 has not been verified", found: "1",
		},
		"on the disk, the one in S3 verified": {
			proves: metrics.S3,
			story: func(m *metrics.Metrics) {
				find(m, metrics.Local)
				m.Verified(noon, x, time.Second)
			},
			reason: x + " on the disk", restore: "s3 " + x, tags: "disk, damaged!|S3", word: "is damaged.", found: "1",
		},
		"in S3, by verification": {
			proves: metrics.S3,
			story:  func(m *metrics.Metrics) { m.Failed(metrics.Verify, noon, x, metrics.Damaged, "m") },
			reason: x + " in S3", restore: "local " + x, tags: "disk|S3, damaged!", word: "the one on the disk has not been verified", found: "1",
		},
		"in both": {
			story: func(m *metrics.Metrics) {
				find(m, metrics.S3)
				find(m, metrics.Local)
			},
			reason: x + " on the disk and in S3", restore: "local " + older, tags: "disk, damaged!|S3, damaged!", word: "last good snapshot 1 h 12 min ago, next", found: "1",
		},
		"in all": {
			story: func(m *metrics.Metrics) {
				for _, p := range []metrics.Place{metrics.S3, metrics.Local} {
					find(m, p)
					m.Damaged(p, noon, older, "m")
				}
			},
			reason: older + " on the disk and in S3 and 1 other", tags: "disk, damaged!|S3, damaged!", word: "the newest, 12 min old, is damaged. next", found: "2",
		},
		"uploaded from there": {
			story: func(m *metrics.Metrics) {
				find(m, metrics.Local)
				m.Uploaded(list[0], time.Second)
			},
			restore: "local " + x, tags: "disk|S3", word: "last good snapshot 12 min ago, next", found: "0",
		},
		"verified again": {
			story: func(m *metrics.Metrics) {
				find(m, metrics.Local)
				m.Verified(noon, x, time.Second)
			},
			restore: "local " + x, tags: "disk|S3", word: "last good snapshot 12 min ago, next", found: "0",
		},
		"the other place's verification mends nothing": {
			story: func(m *metrics.Metrics) {
				find(m, metrics.S3)
				m.Verified(noon, x, time.Second)
			},
			reason: x + " in S3", restore: "local " + x, tags: "disk|S3, damaged!", word: "its copy in s3 is damaged.", found: "1",
		},
		"gone from the disk": {
			story: func(m *metrics.Metrics) {
				find(m, metrics.Local)
				m.Pruned(metrics.Local, x)
			},
			restore: "s3 " + x, tags: "S3", word: "last good snapshot 12 min ago, next", found: "0",
		},
		"gone from the disk, seen by listing": {
			story: func(m *metrics.Metrics) {
				find(m, metrics.Local)
				m.Inventory(metrics.Local, list[1:])
			},
			restore: "s3 " + x, tags: "S3", word: "last good snapshot 12 min ago, next", found: "0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			o := options(&now)
			o.Proves = c.proves
			m := metrics.New(o)
			m.Inventory(metrics.Local, list)
			m.Inventory(metrics.S3, list)
			m.Schedule(metrics.Snapshots, now.Add(time.Hour), time.Hour)
			m.Rebuilt()
			c.story(m)
			want := []string{"damage was found in " + c.reason}
			if c.reason == "" {
				want = nil
			}
			if _, reasons := m.Health(now); !slices.Equal(reasons, want) {
				t.Errorf("reasons %q, want %q", reasons, want)
			}
			_, page := get(t, m, "/")
			if got := restores(page); got != c.restore {
				t.Errorf("restores %q, want %q", got, c.restore)
			}
			if got := newestTags(page); got != c.tags {
				t.Errorf("tags %q, want %q", got, c.tags)
			}
			if !strings.Contains(strings.ToLower(page), c.word) {
				t.Errorf("does not say %q", c.word)
			}
			if _, body := get(t, m, "/metrics"); !slices.Contains(ours(body), "damaged_snapshots "+c.found) {
				t.Errorf("damaged_snapshots is not %s", c.found)
			}
		})
	}
}

// restores is the place and name of the page's restore command, "" where there is none.
func restores(page string) string {
	_, line, _ := strings.Cut(page, "restore --from ")
	line, _, _ = strings.Cut(line, "</code>")
	return strings.Replace(line, " --data-dir /var/lib/etcd", "", 1)
}

// newestTags are those of the table's first row, with a ! behind those in the bad color.
func newestTags(page string) string {
	_, cell, _ := strings.Cut(page, `class="tags">`)
	cell, _, _ = strings.Cut(cell, "</td>")
	var out []string
	for _, part := range strings.Split(cell, `<span class="tag`)[1:] {
		text, _, _ := strings.Cut(part[strings.Index(part, ">")+1:], "<")
		if strings.HasPrefix(part, " bad") {
			text += "!"
		}
		out = append(out, text)
	}
	return strings.Join(out, "|")
}

// TestDamagedIsNoRun: it counts none, and is one error however often it is told.
func TestDamagedIsNoRun(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	list := history(now)
	m.Inventory(metrics.Local, list)
	m.Inventory(metrics.S3, nil)
	m.Rebuilt()
	pass := func() {
		m.Damaged(metrics.Local, now, list[0].Name, "page 17")
		m.Failed(metrics.Mirror, now, "", metrics.Damaged, "upload "+list[0].Name+": page 17")
	}
	m.Damaged(metrics.Local, now, list[0].Name, "page 17")
	_, page := get(t, m, "/")
	if got := errorsOf(page); len(got) != 1 || !strings.HasPrefix(got[0], "Damage found on the disk "+list[0].Name) {
		t.Errorf("after the find: %q", got)
	}
	_, body := get(t, m, "/metrics")
	for _, l := range nonzero(ours(body)) {
		if strings.HasPrefix(l, "runs_total") || strings.HasPrefix(l, "s3_errors") {
			t.Errorf("counted: %s", l)
		}
	}
	pass()
	pass()
	_, page = get(t, m, "/")
	if got := errorsOf(page); len(got) != 1 || !strings.HasPrefix(got[0], "Mirroring failed 2 times since 12:12:30, the last just now") {
		t.Errorf("after two passes: %q", got)
	}
}

// TestDetailsOutliveTheDisk: nobody reads manifests in S3, so what the disk's told of revision and size stays.
func TestDetailsOutliveTheDisk(t *testing.T) {
	x := taken(noon.Add(-time.Hour), mib, 4711)
	bare := x
	bare.RawSize, bare.Revision = 0, 0
	for name, story := range map[string]func(m *metrics.Metrics){
		"pruned": func(m *metrics.Metrics) {
			m.Inventory(metrics.S3, []metrics.Snapshot{bare})
			m.Pruned(metrics.Local, x.Name)
		},
		"listed as gone": func(m *metrics.Metrics) {
			m.Inventory(metrics.S3, []metrics.Snapshot{bare})
			m.Inventory(metrics.Local, nil)
		},
		"uploaded, then pruned": func(m *metrics.Metrics) {
			m.Inventory(metrics.S3, nil)
			m.Uploaded(bare, time.Second)
			m.Pruned(metrics.Local, x.Name)
			m.Inventory(metrics.S3, []metrics.Snapshot{bare})
		},
		"pruned before S3 was listed": func(m *metrics.Metrics) {
			m.Pruned(metrics.Local, x.Name)
			m.Inventory(metrics.S3, []metrics.Snapshot{bare})
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := noon
			m := metrics.New(options(&now))
			m.Inventory(metrics.Local, []metrics.Snapshot{x})
			m.Rebuilt()
			story(m)
			_, body := get(t, m, "/metrics")
			for _, want := range []string{"newest_revision 4711", "newest_raw_bytes 5.24288e+06", `snapshots{place="local"} 0`, `snapshots{place="s3"} 1`} {
				if !slices.Contains(ours(body), want) {
					t.Errorf("the scrape lacks %s", want)
				}
			}
			if _, page := get(t, m, "/"); !strings.Contains(page, ">4,711<") || !strings.Contains(page, "5.0 MiB unpacked") {
				t.Error("the page does not have them")
			}
		})
	}
}

// TestDamageBeforeS3IsListed: what an earlier process found there stands until S3 is seen to hold the copy no more.
func TestDamageBeforeS3IsListed(t *testing.T) {
	now := noon
	o := options(&now)
	o.Proves = metrics.S3
	m := metrics.New(o)
	x := history(now)[0]
	m.Damaged(metrics.S3, now.Add(-time.Hour), x.Name, "m")
	m.Inventory(metrics.Local, nil)
	m.Rebuilt()
	for i, list := range [][]metrics.Snapshot{nil, {x}, {}} {
		if i > 0 {
			m.Inventory(metrics.S3, list)
		}
		_, reasons := m.Health(now)
		if got, want := slices.Contains(reasons, "damage was found in "+x.Name+" in S3"), i < 2; got != want {
			t.Errorf("step %d: %v, want %v: %q", i, got, want, reasons)
		}
	}
}

// TestReplacedCopies: what was found damaged and is then replaced, is not the damaged one any more: an object in S3 at once, a file once
// it was read. So it is when that becomes known at the next start.
func TestReplacedCopies(t *testing.T) {
	now := noon
	x := taken(now.Add(-time.Hour), mib, 1)
	x.Modified = x.Time
	fresh := x
	fresh.Modified = now.Add(time.Minute)
	count := func(m *metrics.Metrics) string {
		_, body := get(t, m, "/metrics")
		for _, l := range ours(body) {
			if strings.HasPrefix(l, "damaged_snapshots ") {
				return l
			}
		}
		return ""
	}
	for _, p := range []metrics.Place{metrics.Local, metrics.S3} {
		m := metrics.New(options(&now))
		m.Inventory(metrics.Local, []metrics.Snapshot{x})
		m.Inventory(metrics.S3, []metrics.Snapshot{x})
		m.Rebuilt()
		m.Damaged(p, now, x.Name, "a bit")
		if got := count(m); got != "damaged_snapshots 1" {
			t.Errorf("%s: found: %s", p, got)
		}
		m.Inventory(p, []metrics.Snapshot{x})
		if got := count(m); got != "damaged_snapshots 1" {
			t.Errorf("%s: the same copy listed again: %s", p, got)
		}
		m.Inventory(p, []metrics.Snapshot{fresh})
		wantEnded(t, m, p, count)

		m = metrics.New(options(&now))
		m.Inventory(metrics.Local, []metrics.Snapshot{fresh})
		m.Damaged(p, now, x.Name, "a bit")
		m.Rebuilt()
		m.Inventory(metrics.S3, []metrics.Snapshot{fresh})
		wantEnded(t, m, p, count)
	}
}

// wantEnded wants no damage left, of a file once it was read, which is found damaged anew at first.
func wantEnded(t *testing.T, m *metrics.Metrics, p metrics.Place, count func(*metrics.Metrics) string) {
	t.Helper()
	if p == metrics.Local {
		for _, changed := range []bool{true, false} {
			all := m.Damages()
			if len(all) != 1 || all[0].Changed != changed || all[0].Place != p || all[0].Message != "a bit" || count(m) != "damaged_snapshots 1" {
				t.Fatalf("before it was read: %s, %+v, changed: %t", count(m), all, changed)
			}
			m.Damaged(p, noon.Add(2*time.Minute), all[0].Name, "a bit")
		}
		m.Whole(p, m.Damages()[0].Name)
	}
	if got := count(m); got != "damaged_snapshots 0" || len(m.Damages()) > 0 {
		t.Errorf("%s: replaced: %s", p, got)
	}
}

// TestDamageOutlivesALookThatFailed: a snapshot that is taken while nobody knows what lies there does not make the others gone.
func TestDamageOutlivesALookThatFailed(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	bad, next := taken(now.Add(-time.Hour), mib, 1), taken(now, mib, 2)
	m.Inventory(metrics.Local, []metrics.Snapshot{bad})
	m.Rebuilt()
	m.Damaged(metrics.Local, now, bad.Name, "a bit")
	m.Unlisted("stale file handle")
	m.SnapshotDone(now, next, 0, 0)
	m.Pruned(metrics.Local)
	m.Inventory(metrics.Local, []metrics.Snapshot{next, bad})
	if all := m.Damages(); len(all) != 1 || all[0].Name != bad.Name {
		t.Errorf("damaged are %+v", all)
	}
}

// TestReplacedInTheFuture: a copy that a wrong clock has dated is read once, and not again and again.
func TestReplacedInTheFuture(t *testing.T) {
	now := noon
	m := metrics.New(options(&now))
	x := taken(now.Add(-time.Hour), mib, 1)
	x.Modified = now.Add(time.Hour)
	m.Inventory(metrics.Local, []metrics.Snapshot{x})
	m.Rebuilt()
	m.Damaged(metrics.Local, now.Add(-time.Minute), x.Name, "a bit")
	for read, changed := range []bool{true, false, false} {
		if all := m.Damages(); len(all) != 1 || all[0].Changed != changed {
			t.Errorf("read %d times: %+v", read, all)
		}
		m.Damaged(metrics.Local, now, x.Name, "a bit")
	}
}

// TestProofIsOfACopy: what a drill has read is gone from the disk; the copy in S3 was read by nobody.
func TestProofIsOfACopy(t *testing.T) {
	now := noon
	m := well(&now)
	m.Inventory(metrics.Local, nil)
	if _, page := get(t, m, "/"); strings.Contains(page, "✓") || !strings.Contains(page, "here is no snapshot on the disk any more") {
		t.Errorf("the page:\n%s", page)
	}
}
