package e2e_test

import (
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"etcd-rolling-backup/internal/proctest"
)

const (
	scrapes     = 50
	scrapeLimit = 5 * time.Millisecond
)

// scrapeIsCheap looks at a daemon that has been through a lot and does drills: what it tells has the right form, telling it takes next
// to no time, and is nothing that S3 has to be asked for.
func (b *proofBed) scrapeIsCheap(t *testing.T) {
	_, body := b.get(t, "/metrics")
	program, err := proctest.Program("promtool")
	must(t, err)
	check := exec.CommandContext(t.Context(), program, "check", "metrics")
	check.Stdin = strings.NewReader(body)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s\n%s", err, out, body)
	}

	asked := len(b.requests.Requests())
	if asked == 0 {
		t.Error("no request to S3 was counted ever")
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: endLimit}
	defer client.CloseIdleConnections()
	took := make([]time.Duration, scrapes)
	for i := range took {
		began := time.Now()
		res, err := client.Get(b.base + "/metrics")
		must(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		must(t, err)
		must(t, res.Body.Close())
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	t.Logf("%d scrapes took %s to %s, half of them up to %s", scrapes, took[0], took[scrapes-1], took[scrapes/2])
	// The best counts, for the machine has other things to do.
	if took[0] > scrapeLimit {
		t.Errorf("a scrape takes %s, more than %s", took[0], scrapeLimit)
	}
	if now := len(b.requests.Requests()); now != asked {
		t.Errorf("%d requests to S3 while nothing but scrapes came", now-asked)
	}
}
