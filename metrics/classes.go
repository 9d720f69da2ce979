package metrics

import "slices"

// Kind is one of the four works whose runs are recorded.
type Kind string

// The kinds of work.
const (
	Snapshots Kind = "snapshot" // etcd to the local disk
	Mirror    Kind = "mirror"   // one pass from the local disk to S3
	Verify    Kind = "verify"   // one archive read in full
	Drill     Kind = "drill"    // one archive restored into a throwaway etcd
)

// Place is where snapshots are kept.
type Place string

// The places.
const (
	Local Place = "local"
	S3    Place = "s3"
)

// Reason says in one word of a fixed set why a run failed or was skipped. What is not in the set of its kind counts as
// Other. The words of S3 trouble are those of the s3 package's Class.
type Reason string

// The reasons.
const (
	Other Reason = "other" // stands in each set but those that hold all there are

	Unreachable Reason = "unreachable" // etcd does not answer
	Stalled     Reason = "stalled"     // the stream brought nothing for too long
	Learner     Reason = "learner"     // the member is a learner, which gives no snapshot
	LowSpace    Reason = "low_space"   // the disk would be left with too little
	LowMemory   Reason = "low_memory"  // memory is too short for it
	Disk        Reason = "disk"        // the local disk fails
	InUse       Reason = "in_use"      // another process holds the directory, or writes the same snapshot
	Damaged     Reason = "damaged"     // bytes are not what they should be
	Start       Reason = "start"       // the restored etcd does not start
	Contents    Reason = "contents"    // the restored etcd holds something else than the snapshot
	Role        Reason = "role"        // left to another member
	NoSnapshot  Reason = "no_snapshot" // nothing there to work on
	CutOff      Reason = "cut_off"     // the daemon crashed in the midst of it

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

	none Reason = "none" // of a success
)

const (
	success = "success"
	failure = "failure"
	skipped = "skipped"
)

func kinds() []Kind { return []Kind{Snapshots, Mirror, Verify, Drill} }

// scheduled are the kinds that have a schedule of their own. The mirror follows the snapshots, and a verification is part of a drill.
func scheduled() []Kind { return []Kind{Snapshots, Drill} }

func places() []Place { return []Place{Local, S3} }

func stages() []string { return []string{"stream", "fsync", "upload", "verify", "drill"} }

// alarms are etcd's own words, from AlarmType in rpc.proto.
func alarms() []string { return []string{"NOSPACE", "CORRUPT", string(Other)} }

func s3Reasons() []Reason {
	return []Reason{
		Config, Credentials, NoBucket, Permission, Certificate, Host, Connection, Timeout, Clock, Locked, Quota, Checksum, Busy, NotFound, Other,
	}
}

// failures are the reasons for which a run of this kind can fail.
func failures(k Kind) []Reason {
	switch k {
	case Snapshots:
		return []Reason{Unreachable, Credentials, Certificate, Config, Learner, Stalled, Timeout, LowSpace, Disk, InUse, Damaged, CutOff, Other}
	case Mirror:
		return slices.Concat([]Reason{Damaged, Disk}, s3Reasons())
	case Verify:
		return []Reason{Damaged} // what else ends a drill is no word about the snapshot's bytes
	case Drill:
		return []Reason{Damaged, Disk, Start, Contents, Other} // without room it is left out
	}
	return []Reason{Other}
}

// skips are the reasons for which a run of this kind can be left out.
func skips(k Kind) []Reason {
	switch k {
	case Snapshots:
		return []Reason{Role}
	case Drill:
		// With nothing in the bucket there is no snapshot.
		ofBucket := slices.DeleteFunc(s3Reasons(), func(r Reason) bool { return r == NotFound })
		return slices.Concat([]Reason{NoSnapshot, LowSpace, LowMemory, Disk}, ofBucket)
	case Mirror, Verify:
	}
	return nil
}

// within gives r if it is in the set, and Other if not.
func within(r Reason, set []Reason) Reason {
	if slices.Contains(set, r) {
		return r
	}
	return Other
}
