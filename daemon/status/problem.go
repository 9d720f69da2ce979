package status

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Code identifies a kind of problem. It does not depend on numbers, times or names in the text.
type Code string

// The codes of the problems that a State can have. internal/service adds [CodeOtherDaemon], [CodeDirectoryReplaced], [CodeReloadFailed], "server" and
// "log".
const (
	CodeStarting         Code = "starting"
	CodeDiskUnreadable   Code = "disk-unreadable"
	CodeSnapshotLate     Code = "snapshot-late"
	CodeSnapshotsFailing Code = "snapshots-failing"
	CodeSnapshotRetried  Code = "snapshot-retried" // passing
	CodeNoSnapshot       Code = "no-snapshot"
	CodePruneFailed      Code = "prune-failed"
	CodeEtcdCorrupt      Code = "etcd-corrupt"
	CodeEtcdNoSpace      Code = "etcd-nospace"
	CodeEtcdAlarm        Code = "etcd-alarm" // another alarm
	CodeEtcdNoLeader     Code = "etcd-no-leader"
	CodeEtcdAway         Code = "etcd-away"
	CodeShrank           Code = "shrank"
	CodeInUseFell        Code = "in-use-fell"
	CodeKeysFell         Code = "keys-fell"
	CodeResourceGone     Code = "resource-gone"
	CodeRevisionFell     Code = "revision-fell"
	CodeCrashLoop        Code = "crash-loop"
	CodeMirrorBehind     Code = "mirror-behind"
	CodeUnmirrored       Code = "unmirrored"
	CodeMirrorFailing    Code = "mirror-failing"
	CodeMirrorRetried    Code = "mirror-retried" // passing
	CodeNameTaken        Code = "name-taken"
	CodeS3Starting       Code = "s3-starting"
	CodeS3Unlisted       Code = "s3-unlisted"
	CodeDamaged          Code = "damaged"
	CodeVerifyFailed     Code = "verify-failed"
	CodeDrillFailed      Code = "drill-failed"
	CodeDrillSkipped     Code = "drill-skipped" // passing
	CodeDrillLate        Code = "drill-late"
	CodeUnsaved          Code = "unsaved"
	CodeOtherCluster     Code = "other-cluster"

	CodeJournalStopped      Code = "journal-stopped"
	CodeJournalNoSpace      Code = "journal-no-space"
	CodeJournalRetried      Code = "journal-retried" // passing
	CodeJournalMirrorBehind Code = "journal-mirror-behind"
	CodeJournalGap          Code = "journal-gap" // passing
	CodeJournalWrong        Code = "journal-wrong"

	// CodeOtherDaemon means that another daemon of the same node works in the directory.
	CodeOtherDaemon Code = "other-daemon"
	// CodeDirectoryReplaced means that the directory is another one than at the start.
	CodeDirectoryReplaced Code = "directory-replaced"

	// CodeReloadFailed means that the settings were read again and refused: the old ones stay, and a restart would fail.
	CodeReloadFailed Code = "reload-failed"
)

// Problem is one reason why the backups are unhealthy.
type Problem struct {
	Code    Code
	Text    string    // one line
	Since   time.Time // zero: not known
	Passing bool      // it may pass without a person; the backups are not unhealthy yet

	causes []Code // problems whose consequence this one is, if there is one of them
	kept   bool   // as a consequence, its text is added to that of the cause
}

// under adds the codes of problems whose consequence p is: while there is one of them, p is not reported.
func (p *Problem) under(causes ...Code) *Problem {
	p.causes = append(p.causes, causes...)
	return p
}

// addedTo is [Problem.under] for a text that says more than the cause: it is added to that.
func (p *Problem) addedTo(causes ...Code) *Problem {
	p.kept = true
	return p.under(causes...)
}

// ofDisk says that a failure of this class is explained by a directory that can't be read.
func (p *Problem) ofDisk(r Reason) *Problem {
	if r == Disk {
		p.under(CodeDiskUnreadable)
	}
	return p
}

func (p *Problem) passing() *Problem {
	p.Passing = true
	return p
}

// problemList collects problems.
type problemList []Problem

// add returns the added problem, which is valid until the next one is added.
func (l *problemList) add(code Code, since time.Time, format string, args ...any) *Problem {
	*l = append(*l, Problem{Code: code, Text: fmt.Sprintf(format, args...), Since: since})
	return &(*l)[len(*l)-1]
}

// Fold returns one problem for each fault: it removes those that are only a consequence of another one in the list. What needs a
// person is never hidden by what may pass.
func Fold(list []Problem) []Problem {
	cause := func(p Problem) int {
		return slices.IndexFunc(list, func(q Problem) bool { return slices.Contains(p.causes, q.Code) && (p.Passing || !q.Passing) })
	}
	out := slices.Clone(list)
	for i, p := range list {
		root := i
		for range list { // a limit: causes have causes
			if next := cause(list[root]); next >= 0 {
				root = next
			}
		}
		if root != i && p.kept && !strings.Contains(out[root].Text, p.Text) {
			out[root].Text += "; " + p.Text
		}
	}
	i := -1
	return slices.DeleteFunc(out, func(Problem) bool { i++; return cause(list[i]) >= 0 })
}
