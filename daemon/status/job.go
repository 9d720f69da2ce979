package status

import "slices"

// Job is one of the four kinds of work whose runs are recorded.
type Job string

// The jobs.
const (
	Snapshot Job = "snapshot" // etcd to the local disk
	Mirror   Job = "mirror"   // one pass from the local disk to S3
	Verify   Job = "verify"   // one archive read in full
	Drill    Job = "drill"    // one archive restored into a test etcd
)

// Place is where snapshots are kept.
type Place string

// The places.
const (
	Local Place = "local"
	S3    Place = "s3"
)

// In returns the place for a sentence: "in S3".
func (p Place) In() string {
	if p == S3 {
		return "in S3"
	}
	return "on the disk"
}

// Reason is the class of a failure or of a skip, from a fixed set for each job; anything else counts as Other.
// The reasons for S3 errors are those of the s3 package's Class.
type Reason string

// The reasons.
const (
	Other Reason = "other" // in each set except those that name every case

	Unreachable Reason = "unreachable" // etcd does not answer
	Stalled     Reason = "stalled"     // the stream made no progress for too long
	Learner     Reason = "learner"     // the member is a learner, which serves no snapshot
	LowSpace    Reason = "low_space"   // too little space would be left on the disk
	LowMemory   Reason = "low_memory"  // too little memory is available
	Disk        Reason = "disk"        // the local disk fails
	InUse       Reason = "in_use"      // another process holds the directory, or writes the same snapshot
	Damaged     Reason = "damaged"     // bytes differ from what was written
	Start       Reason = "start"       // the restored etcd does not start
	Contents    Reason = "contents"    // the restored etcd has other contents than the snapshot
	Role        Reason = "role"        // left to another member
	NoSnapshot  Reason = "no_snapshot" // there is no snapshot to drill
	CutOff      Reason = "cut_off"     // the daemon crashed during the run
	Compacted   Reason = "compacted"   // etcd no longer has what follows the end of the journal

	Config      Reason = "config"
	Credentials Reason = "credentials"
	NoBucket    Reason = "no_bucket"
	Permission  Reason = "permission"
	Certificate Reason = "certificate"
	Host        Reason = "host"
	Connection  Reason = "connection"
	Timeout     Reason = "timeout"
	Clock       Reason = "clock"
	Locked      Reason = "locked"
	Quota       Reason = "quota"
	Checksum    Reason = "checksum"
	Busy        Reason = "busy"
	NotFound    Reason = "not_found"
)

// Stage is a part of a run whose duration is recorded.
type Stage string

// The stages.
const (
	StageStream Stage = "stream" // from opening etcd's stream to its last byte, with compression and writing
	StageSync   Stage = "fsync"  // until the file and its name are safe
	StageUpload Stage = "upload" // of one archive
	StageVerify Stage = "verify" // of one archive
	StageDrill  Stage = "drill"  // of one archive, with its verification
)

// Jobs returns all jobs.
func Jobs() []Job { return []Job{Snapshot, Mirror, Verify, Drill} }

// ScheduledJobs returns the jobs with a schedule. The mirror runs after each snapshot, and a verification is part of a drill.
func ScheduledJobs() []Job { return []Job{Snapshot, Drill} }

// Places returns all places.
func Places() []Place { return []Place{Local, S3} }

// Stages returns all stages with their jobs.
func Stages() map[Stage]Job {
	return map[Stage]Job{StageStream: Snapshot, StageSync: Snapshot, StageUpload: Mirror, StageVerify: Verify, StageDrill: Drill}
}

// Alarms returns etcd's names, from AlarmType in rpc.proto, and one for all others.
func Alarms() []string { return []string{"NOSPACE", "CORRUPT", string(Other)} }

// S3Reasons returns the classes of S3 errors.
func S3Reasons() []Reason {
	return []Reason{
		Config, Credentials, NoBucket, Permission, Certificate, Host, Connection, Timeout, Clock, Locked, Quota, Checksum, Busy, NotFound, Other,
	}
}

// FailureReasons returns the reasons why a run of this job can fail.
func FailureReasons(j Job) []Reason {
	switch j {
	case Snapshot:
		return []Reason{Unreachable, Credentials, Certificate, Config, Learner, Stalled, Timeout, LowSpace, Disk, InUse, Damaged, CutOff, Other}
	case Mirror:
		return slices.Concat([]Reason{Damaged, Disk}, S3Reasons())
	case Verify:
		return []Reason{Damaged} // other failures of a drill say nothing about the snapshot's bytes
	case Drill:
		return []Reason{Damaged, Disk, Start, Contents, Other} // if space or memory is short, it is skipped
	}
	return []Reason{Other}
}

// SkipReasons returns the reasons why a run of this job can be skipped.
func SkipReasons(j Job) []Reason {
	switch j {
	case Snapshot:
		return []Reason{Role}
	case Drill:
		// An empty bucket gives NoSnapshot.
		ofBucket := slices.DeleteFunc(S3Reasons(), func(r Reason) bool { return r == NotFound })
		return slices.Concat([]Reason{NoSnapshot, LowSpace, LowMemory, Disk}, ofBucket)
	case Mirror, Verify:
	}
	return nil
}

// within returns r if it is in the set, and Other if not.
func within[T ~string](r T, set []T) T {
	if slices.Contains(set, r) {
		return r
	}
	return T(Other)
}
