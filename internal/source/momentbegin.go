package source

import (
	"context"
	"fmt"
	"slices"
	"time"

	"etcd-rolling-backup/internal/history"
	"etcd-rolling-backup/snapshot"
)

// beforeTheBegin is the error that what is recorded of the history begins after the time.
func (m *moment) beforeTheBegin(ctx context.Context, chosen base) error {
	if slices.ContainsFunc(m.inHistory(), func(b base) bool { return !m.after(b) }) { // then the journal alone begins later
		return m.unreachable("the journal has no change before it")
	}
	why := "the journal has no change before it"
	if m.begunByRestore() {
		why = "what is recorded of the cluster after it was restored begins later"
	}
	return m.unreachableBetween(why, m.endBefore(ctx, chosen))
}

// noBaseBefore is the error that no snapshot of the history leads to the revision at the time.
func (m *moment) noBaseBefore(ctx context.Context, chosen base, revision int64) error {
	why := fmt.Sprintf("no snapshot of the cluster after it was restored has revision %d or an earlier one", revision)
	return m.unreachableBetween(why, m.endBefore(ctx, chosen))
}

// begunByRestore reports that the history took the place of another one.
func (m *moment) begunByRestore() bool { return m.lives.Before(m.in) != (history.History{}) }

// unreachableBetween is the error with the nearest states before and after the time, also if they are of other histories. before: "" is none.
func (m *moment) unreachableBetween(why, before string) error {
	var instead []string
	if before != "" {
		instead = append(instead, before)
	}
	named, after := m.firstAfter()
	if after != "" {
		instead = append(instead, after)
	}
	return m.unreachableBehind(named, why, instead...)
}

// after reports that a snapshot may be from after the time, which does not have its state: its own time is known to the second.
func (m *moment) after(b base) bool { return !b.taken().Before(m.At.Time.Truncate(time.Second)) }

// firstAfter says how to restore the first snapshot from after the time.
func (m *moment) firstAfter() (named snapshot.Name, text string) {
	for _, b := range slices.Backward(m.bases) {
		if h := m.historyOf(b); m.after(b) && (h == m.in || !m.lives.SideBySide(h, m.in)) {
			return b.Name, fmt.Sprintf("the snapshot %s with --at base restores the first state after it, revision %d, %s", b.Name, b.manifest.Revision, b.taken().Format(momentForm))
		}
	}
	return named, ""
}

// endBefore says how to restore the end of the history before this one; "": it can't be, or a snapshot was named.
func (m *moment) endBefore(ctx context.Context, chosen base) string {
	if m.fixed() || !m.begunByRestore() {
		return ""
	}
	other := *m
	other.search(m.lives.Before(m.in))
	defer m.search(m.in)
	revision, last, _, err := other.recordedAt(ctx)
	if err != nil || last == nil || m.At.Time.Before(last.opened.To) {
		return "" // what can't be read is only no help
	}
	if _, err := other.before(chosen, revision); err != nil {
		return ""
	}
	m.proposed = other.proposed
	return fmt.Sprintf("--at %s restores revision %d, the last one before the restore", last.opened.To.UTC().Format(time.RFC3339Nano), revision)
}
