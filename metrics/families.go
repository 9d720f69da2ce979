package metrics

import (
	"slices"

	"etcd-rolling-backup/daemon/status"
)

// prefix is the beginning of each family's name.
const prefix = "etcd_rolling_backup_"

const (
	typeCounter          = "counter"
	typeGauge            = "gauge"
	typeHistogram        = "histogram"
	none                 = "none" // the reason of a success
	streamBefore         = "before"
	streamDuring         = "during"
	neverIsZero          = " 0: never, or not known. Absent if this kind is switched off."
	absentWithoutAny     = " Absent if there is none."
	absentUntilKnown     = " Absent until known."
	absentWithoutJournal = " Absent without --journal."
	absentInPlace        = " Absent without --journal, for place s3 also without S3, and until known."
	absentInS3           = " Absent without --journal, without S3 and until S3 was listed."
	absentWithoutDrills  = " Absent without --journal and without drills."
	absentWithoutSeen    = " Absent until etcd has answered once."
)

// family is one metric family. Its collectors and its row in docs/METRICS.md are generated from it.
type family struct {
	name   string // without the prefix
	kind   string
	help   string
	labels []label
}

// label is a label with all its values.
type label struct {
	name   string
	values []string
}

func words[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, w := range in {
		out[i] = string(w)
	}
	return out
}

// families returns all families except those of the Go and process collectors.
func families() []family {
	kind, plan := label{"kind", words(status.Jobs())}, label{"kind", words(status.ScheduledJobs())}
	place := label{"place", words(status.Places())}
	return slices.Concat([]family{
		{"ready", typeGauge, "Whether /readyz reports healthy backups: 1 or 0.", nil},
		{"runs_total", typeCounter, "Runs since the start, by kind, result and reason; the reason of a success is none.", []label{
			kind, {"result", words([]status.Result{status.Succeeded, status.Failed, status.Skipped})}, {"reason", allReasons()},
		}},
		{"last_success_timestamp_seconds", typeGauge, "When the last successful run ended, also from before a restart." + neverIsZero, []label{kind}},
		{"last_attempt_timestamp_seconds", typeGauge, "When the last run began, or ended for kind verify; also from before a restart." + neverIsZero, []label{kind}},
		{"failures_in_a_row", typeGauge, "Failed runs since the last successful one; for all kinds but mirror also from before a restart.", []label{kind}},
		{"in_progress", typeGauge, "Whether a run is in progress: 1 or 0.", []label{kind}},
		{"stage_duration_seconds", typeHistogram, "Duration of the stages of runs; stream includes compression and writing, upload is one archive.", []label{
			{"stage", []string{"stream", "fsync", "upload", "verify", "drill"}},
		}},
		{"next_run_timestamp_seconds", typeGauge, "When the next run begins; it may be a retry." + absentUntilKnown, []label{plan}},
		{"due_timestamp_seconds", typeGauge, "When the run that must be done next was or is due. Neither a retry nor a restart changes it." + absentUntilKnown, []label{plan}},
		{"schedule_interval_seconds", typeGauge, "Time between the next scheduled run and the one after." + absentUntilKnown, []label{plan}},
		{"newest_raw_bytes", typeGauge, "Size in bytes of the newest snapshot's database, before compression." + absentUntilKnown, nil},
		{"newest_archive_bytes", typeGauge, "Size in bytes of the newest snapshot's archive." + absentWithoutAny, nil},
		{"newest_revision", typeGauge, "Revision of the newest snapshot." + absentUntilKnown, nil},
		{"compared_raw_bytes", typeGauge, "Size in bytes of the largest database among the snapshots of the day before the newest one and the last one before that day." + absentWithoutAny, nil},
		{"newest_keys", typeGauge, "Live keys in the newest snapshot of which they are known, as the etcd member counted them or a drill." + absentUntilKnown, nil},
		{"newest_in_use_bytes", typeGauge, "Bytes that etcd used in the newest snapshot's database; a compaction lowers them, and a defragmentation does not." + absentUntilKnown, nil},
		{"compared_keys", typeGauge, "Most live keys among the same snapshots as for compared_raw_bytes." + absentWithoutAny, nil},
		{"compared_in_use_bytes", typeGauge, "Most bytes in use among the same snapshots." + absentWithoutAny, nil},
		{"gone_resources", typeGauge, "Types of Kubernetes objects that a restore drill has found gone within 23.5 hours: it had at least three in the drill before. Absent until a drill has counted them.", nil},
		{"compared_revision", typeGauge, "Highest revision among the same snapshots." + absentWithoutAny, nil},
		{"snapshots", typeGauge, "Snapshots of this node kept." + absentUntilKnown, []label{place}},
		{"snapshots_bytes", typeGauge, "Size in bytes of this node's archives kept." + absentUntilKnown, []label{place}},
		{"damaged_snapshots", typeGauge, "Snapshots of which a damaged copy is kept, on the disk or in S3.", nil},
		{"waiting_snapshots", typeGauge, "Snapshots not yet uploaded to S3. Absent without S3 and until S3 was listed.", nil},
		{"waiting_oldest_age_seconds", typeGauge, "Age of the oldest snapshot not yet uploaded, also if it is pruned on the disk meanwhile; 0: all are uploaded. Absent without S3 and until S3 was listed.", nil},
		{"locked_snapshots", typeGauge, "Snapshots that an object lock kept from being pruned from S3. Absent without S3.", nil},
		{"pruned_total", typeCounter, "Snapshots removed by the retention policy since the start.", []label{place}},
		{"unmirrored_total", typeCounter, "Snapshots removed from the disk by the retention policy before they were uploaded, since the start.", nil},
		{"prune_failures_total", typeCounter, "Prunings of the disk that failed in part or in full since the start.", nil},
		{"uploads_total", typeCounter, "Archives uploaded to S3 since the start.", nil},
		{"uploaded_bytes_total", typeCounter, "Bytes of the archives uploaded to S3 since the start.", nil},
		{"s3_errors_total", typeCounter, "S3 errors since the start, by class.", []label{{"class", words(status.S3Reasons())}}},
		{"disk_free_bytes", typeGauge, "Free bytes in the file system of the snapshots. Absent if they can't be read.", nil},
		{"min_free_bytes", typeGauge, "Bytes that snapshots leave free in that file system (--min-free). Absent if its free bytes can't be read.", nil},
	}, journalFamilies(), []family{
		{"config_last_reload_successful", typeGauge, "Whether the last reload of the settings succeeded: 1 or 0; 1 if there was none since the start.", nil},
		{"recent_starts", typeGauge, "Starts of the daemon within the last hour, this one included.", nil},
		{"etcd_reachable", typeGauge, "Whether etcd answered the last request: 1 or 0. Absent until it was asked.", nil},
		{"etcd_seen_timestamp_seconds", typeGauge, "When etcd last answered with its size, leader and alarms." + absentWithoutSeen, nil},
		{"etcd_database_bytes", typeGauge, "Size of the member's database file." + absentWithoutSeen, nil},
		{"etcd_has_leader", typeGauge, "Whether the member knew a leader: 1 or 0." + absentWithoutSeen, nil},
		{"etcd_alarm", typeGauge, "Whether the alarm was raised: 1 or 0." + absentWithoutSeen, []label{{"alarm", status.Alarms()}}},
		{"etcd_latency_seconds", typeGauge, "How fast the member answered a light read before and during the last snapshot stream with --stream-rate auto: three of four answers took no longer." +
			" Absent until measured.", []label{{"stream", []string{streamBefore, streamDuring}}}},
		{"stream_bytes_per_second", typeGauge, "Average rate of the last snapshot stream since the start, before compression. Absent before the first.", nil},
		{"drill_passed", typeGauge, "Whether the last restore drill passed: 1 or 0. Absent before the first, and once the failed snapshot is gone and later drills were skipped.", nil},
		{"state_file_included", typeGauge, "Whether the last snapshot includes the state file of RKE's cluster: 1 or 0. Absent except in rke-tools' rolling mode, and until it was fetched once.", nil},
		{"build_info", typeGauge, "Always 1; the labels are the program's version and the Go version it was built with.", []label{
			{"version", nil}, {"goversion", nil},
		}},
	})
}

// journalFamilies are those of the journal.
func journalFamilies() []family {
	place := label{"place", words(status.Places())}
	return []family{
		{"journal_running", typeGauge, "Whether the journal records every change: 1 or 0." + absentWithoutJournal, nil},
		{"journal_revision", typeGauge, "Newest revision that can be restored from the place, with its journal or from a snapshot." + absentInPlace, []label{place}},
		{"journal_revision_timestamp_seconds", typeGauge, "When that revision was received; while nobody writes to etcd, it does not move." + absentInPlace, []label{place}},
		{"journal_recovery_point_timestamp_seconds", typeGauge, "Until when the place has every change: a restore from it loses what came later. While nobody writes to etcd, it moves as long as etcd says that " +
			"nothing is missing." + absentInPlace, []label{place}},
		{"journal_behind_revisions", typeGauge, "Revisions that etcd has and the journal on the disk has not." + absentWithoutJournal, nil},
		{"journal_gaps_total", typeCounter, "Gaps in the journal since the start, of which no moment can be restored." + absentWithoutJournal, nil},
		{"journal_bytes", typeGauge, "Size in bytes of this node's journal kept." + absentInPlace, []label{place}},
		{"journal_segment_seconds", typeGauge, "How long a segment of the journal is written at most before it is uploaded (--journal-segment)." + absentWithoutJournal, nil},
		{"journal_waiting_segments", typeGauge, "Complete segments of the journal not yet uploaded to S3." + absentInS3, nil},
		{"journal_waiting_bytes", typeGauge, "Size in bytes of these segments." + absentInS3, nil},
		{"journal_drill_passed", typeGauge, "Whether the journal passed the last restore drill that used it: 1 or 0." + absentWithoutDrills + " Absent before the first.", nil},
		{"journal_drill_failures_total", typeCounter, "Restore drills since the start that the journal failed and the snapshot alone passed." + absentWithoutDrills, nil},
		{"journal_proven_timestamp_seconds", typeGauge, "When a drill last showed that a snapshot and the journal after it have exactly what the next snapshot has, also from before a restart. " +
			"0: never, or not known." + absentWithoutDrills, nil},
	}
}

// allReasons returns the reasons of all kinds, each once.
func allReasons() []string {
	out := []string{none}
	for _, j := range status.Jobs() {
		for _, r := range append(status.FailureReasons(j), status.SkipReasons(j)...) {
			if !slices.Contains(out, string(r)) {
				out = append(out, string(r))
			}
		}
	}
	return out
}
