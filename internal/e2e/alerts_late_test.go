package e2e_test

import (
	"testing"
	"time"
)

// What is late is raised once two minutes have passed, the least that the rules allow. Here the trouble lasts for longer, and each has a
// bed of its own, so that both go by at once.
func TestLatenessRaisesItsAlerts(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]func(b *proofBed) breakage{
		"snapshot": func(b *proofBed) breakage {
			x := b.etcdStops()
			x.alerts["EtcdBackupMissedSchedule"] = pending
			delete(x.alerts, "EtcdBackupJournalStopped") // there is none
			x.tells = append(x.tells, "the snapshot due at ", "has not been taken", "overdue")
			return x
		},
		"mirror": func(b *proofBed) breakage {
			x := b.s3IsCut()
			x.alerts["EtcdBackupMirrorBehind"] = pending
			x.tells = append(x.tells, "S3 is behind since")
			return x
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// None of those that wait is pruned meanwhile.
			b := newProofBed(t, "--keep-last=1000", "--schedule=@every 5s")
			b.well(t)
			x := late(b)
			x.need = 3 * time.Minute
			b.prove(t, x)
			b.ranClean(t)
		})
	}
}
