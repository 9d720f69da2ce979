package metrics

// prefix begins the name of each family.
const prefix = "etcd_rolling_backup_"

// The names of the families, without the prefix.
const (
	runsTotal         = "runs_total"
	stageSeconds      = "stage_duration_seconds"
	lastSuccess       = "last_success_timestamp_seconds"
	lastAttempt       = "last_attempt_timestamp_seconds"
	failuresInRow     = "failures_in_a_row"
	inProgress        = "in_progress"
	nextRun           = "next_run_timestamp_seconds"
	dueRun            = "due_timestamp_seconds"
	scheduleInterval  = "schedule_interval_seconds"
	newestRaw         = "newest_raw_bytes"
	newestArchive     = "newest_archive_bytes"
	newestRevision    = "newest_revision"
	comparedRaw       = "compared_raw_bytes"
	comparedRevision  = "compared_revision"
	snapshotsKept     = "snapshots"
	bytesKept         = "snapshots_bytes"
	damagedSnapshots  = "damaged_snapshots"
	waitingSnapshots  = "waiting_snapshots"
	waitingOldest     = "waiting_oldest_age_seconds"
	lockedSnapshots   = "locked_snapshots"
	prunedTotal       = "pruned_total"
	unmirroredTotal   = "unmirrored_total"
	pruneFailures     = "prune_failures_total"
	uploadsTotal      = "uploads_total"
	uploadedBytes     = "uploaded_bytes_total"
	s3ErrorsTotal     = "s3_errors_total"
	diskFree          = "disk_free_bytes"
	minFree           = "min_free_bytes"
	recentStarts      = "recent_starts"
	etcdReachable     = "etcd_reachable"
	etcdSeen          = "etcd_seen_timestamp_seconds"
	etcdDatabase      = "etcd_database_bytes"
	etcdLeader        = "etcd_has_leader"
	etcdAlarm         = "etcd_alarm"
	drillPassed       = "drill_passed"
	readyFamily       = "ready"
	buildInfo         = "build_info"
	typeCounter       = "counter"
	typeGauge         = "gauge"
	typeHistogram     = "histogram"
	neverIsZero       = " 0: never, or not known. Absent where this kind of work is switched off."
	absentWithoutAny  = " Absent while there is none."
	absentUntilKnown  = " Absent until known."
	absentWithoutSeen = " Absent until etcd has answered once."
)

// family is one metric family: the code makes its collectors from it and docs/METRICS.md its line.
type family struct {
	name   string // without the prefix
	kind   string
	help   string
	labels []label
}

// label has a fixed set of values, all of which are named here.
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

// families are all there are, but for those of the Go and process collectors.
func families() []family {
	kind, plan := label{"kind", words(kinds())}, label{"kind", words(scheduled())}
	place := label{"place", words(places())}
	return []family{
		{readyFamily, typeGauge, "Whether /readyz says that all is well: 1 or 0.", nil},
		{runsTotal, typeCounter, "Runs since the start, by kind, result and class of reason, which is none for a success.", []label{
			kind, {"result", []string{success, failure, skipped}}, {"reason", allReasons()},
		}},
		{lastSuccess, typeGauge, "When a run last succeeded, also before a restart." + neverIsZero, []label{kind}},
		{lastAttempt, typeGauge, "When a run last began, or for kind verify ended; after a restart as much of it as the snapshots tell." + neverIsZero, []label{kind}},
		{failuresInRow, typeGauge, "Runs that failed since the last one that did not; those of snapshots and drills also before a restart.", []label{kind}},
		{inProgress, typeGauge, "Whether a run is under way: 1 or 0.", []label{kind}},
		{stageSeconds, typeHistogram, "How long the stages of runs took; stream includes compressing and writing, upload is one archive.", []label{
			{"stage", stages()},
		}},
		{nextRun, typeGauge, "When the next run begins, which may be another try." + absentUntilKnown, []label{plan}},
		{dueRun, typeGauge, "When the run was or is due that is still to be done. Neither another try nor a restart moves it." + absentUntilKnown, []label{plan}},
		{scheduleInterval, typeGauge, "Time between the next scheduled run and the one after." + absentUntilKnown, []label{plan}},
		{newestRaw, typeGauge, "Bytes of the newest snapshot's database before compression." + absentUntilKnown, nil},
		{newestArchive, typeGauge, "Bytes of the newest snapshot's archive." + absentWithoutAny, nil},
		{newestRevision, typeGauge, "Revision of the newest snapshot." + absentUntilKnown, nil},
		{comparedRaw, typeGauge, "Bytes of the largest database of the day before the newest snapshot, and of the last before that day." + absentWithoutAny, nil},
		{comparedRevision, typeGauge, "Highest revision of the same snapshots." + absentWithoutAny, nil},
		{snapshotsKept, typeGauge, "Snapshots of this node kept." + absentUntilKnown, []label{place}},
		{bytesKept, typeGauge, "Bytes of this node's archives kept." + absentUntilKnown, []label{place}},
		{damagedSnapshots, typeGauge, "Kept snapshots of which a copy was found damaged, on the disk or in S3.", nil},
		{waitingSnapshots, typeGauge, "Snapshots that S3 is to hold and does not yet. Absent without S3 and until S3 was listed.", nil},
		{waitingOldest, typeGauge, "For how long S3 has lacked a snapshot that it is to hold, also one that is pruned here meanwhile; 0: it lacks none. Absent without S3 and until S3 was listed.", nil},
		{lockedSnapshots, typeGauge, "Snapshots that were to be pruned from S3 and are held by an object lock. Absent without S3.", nil},
		{prunedTotal, typeCounter, "Snapshots removed by the policy since the start.", []label{place}},
		{unmirroredTotal, typeCounter, "Snapshots that the policy removed from the disk since the start before S3 had them.", nil},
		{pruneFailures, typeCounter, "Runs since the start after which some of what the policy removes from the disk was still there.", nil},
		{uploadsTotal, typeCounter, "Archives brought to S3 since the start.", nil},
		{uploadedBytes, typeCounter, "Bytes of the archives brought to S3 since the start.", nil},
		{s3ErrorsTotal, typeCounter, "Errors of S3 since the start, by class.", []label{{"class", words(s3Reasons())}}},
		{diskFree, typeGauge, "Bytes free for the backup in its file system. Absent when the system does not tell.", nil},
		{minFree, typeGauge, "Bytes that snapshots leave free in that file system. Absent where the space is not known.", nil},
		{recentStarts, typeGauge, "Starts of the daemon within the last hour, this one included.", nil},
		{etcdReachable, typeGauge, "Whether etcd answered when it was last asked: 1 or 0. Absent until it was asked.", nil},
		{etcdSeen, typeGauge, "When etcd last told its size, leader and alarms." + absentWithoutSeen, nil},
		{etcdDatabase, typeGauge, "Size of the member's database file." + absentWithoutSeen, nil},
		{etcdLeader, typeGauge, "Whether the member knew a leader: 1 or 0." + absentWithoutSeen, nil},
		{etcdAlarm, typeGauge, "Whether the alarm was raised: 1 or 0." + absentWithoutSeen, []label{{"alarm", alarms()}}},
		{drillPassed, typeGauge, "Whether the newest restore drill passed: 1 or 0. Absent before the first.", nil},
		{buildInfo, typeGauge, "Always 1; the labels tell the program's version and the Go version it was built with.", []label{
			{"version", nil}, {"goversion", nil},
		}},
	}
}

// allReasons is the union over kinds, each once.
func allReasons() []string {
	out, seen := []string{string(none)}, map[Reason]bool{}
	for _, k := range kinds() {
		for _, r := range append(failures(k), skips(k)...) {
			if !seen[r] {
				seen[r] = true
				out = append(out, string(r))
			}
		}
	}
	return out
}
