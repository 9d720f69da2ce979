package config_test

import (
	"errors"
	"testing"
	"time"

	"etcd-rolling-backup/internal/config"
)

func TestAtIsARevisionAMomentOrAWord(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 14, 30, 0, 0, time.UTC)
	for text, want := range map[string]config.At{
		"":         {},
		" latest ": {Text: "latest"},
		"now":      {Text: "now"}, // the newest, not a moment that the journal does not reach yet
		"base":     {Text: "base", Base: true},
		"98211":    {Text: "98211", Revision: 98211},
		" ≤2026-11-29 14:03:06.250 UTC": {
			Text: "≤2026-11-29 14:03:06.250 UTC", Time: now.Add(-26*time.Minute - 54*time.Second + 250*time.Millisecond),
		},
		"14:03:06":       {Text: "14:03:06", Time: now.Add(-26*time.Minute - 54*time.Second)},
		"10m":            {Text: "10m", Time: now.Add(-10 * time.Minute)},
		"10 minutes ago": {Text: "10 minutes ago", Time: now.Add(-10 * time.Minute)},
	} {
		got, err := config.ParseAt(text, now)
		if err != nil || got.Text != want.Text || got.Base != want.Base || got.Revision != want.Revision || !got.Time.Equal(want.Time) {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	const forms = `use a time such as 2026-11-29T14:03:06Z, "2026-11-29 14:03:06", 14:03:06 or "10m ago", or a revision such as 98211, latest or base`
	for text, want := range map[string]string{
		"0":                     "--at: 0 is no revision: etcd begins at 1",
		"-3":                    "--at: -3 is no revision: etcd begins at 1",
		"-99999999999999999999": "--at: -99999999999999999999 is no revision: etcd begins at 1",
		"99999999999999999999":  "--at: 99999999999999999999 is too large for a revision: the largest is 9223372036854775807",
		"tomorrow":              `--at: "tomorrow" is not a moment: ` + forms,
		"lastest":               `--at: did you mean latest? "lastest" is not a moment: ` + forms,
		"98,211":                `--at: "98,211" is not a moment: ` + forms,
		"2026-11-30":            `--at: "2026-11-30" is in the future: it is now 2026-11-29T14:30:00Z`,
	} {
		if _, err := config.ParseAt(text, now); !errors.Is(err, config.ErrUsage) || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
