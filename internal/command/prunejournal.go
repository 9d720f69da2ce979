package command

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/retention"
	"etcd-rolling-backup/snapshot"
)

// prunedSegments are the segments of the journal that were removed, or would be.
type prunedSegments struct {
	keep          config.Journal
	local, bucket []snapshot.SegmentEntry
}

func (j prunedSegments) reason() string {
	return fmt.Sprintf("older than %s (--journal-keep)", strings.TrimPrefix(retention.Policy{Within: j.keep.Keep}.String(), "within "))
}

// placed are segments in one place.
type placed struct {
	place config.Place
	all   []snapshot.SegmentEntry
}

func (j prunedSegments) places() []placed {
	return []placed{{config.Local, j.local}, {config.S3, j.bucket}}
}

// list is for JSON: there are thousands that stay, so only the removed ones are in it.
func (j prunedSegments) list() (out []pruned) {
	for _, x := range j.places() {
		for _, e := range x.all {
			out = append(out, pruned{Name: e.Name.String(), Place: x.place, Reasons: []string{j.reason()}})
		}
	}
	return out
}

// show names what was removed; needed: some snapshots are kept for the journal.
func (j prunedSegments) show(p *printer, word string, needed bool) {
	for _, x := range j.places() {
		if len(x.all) == 0 {
			continue
		}
		size := int64(0)
		for _, e := range x.all {
			size += e.Size
		}
		p.line("%s %s of the journal (%s) in %s, %s", word, english.Plural(len(x.all), "segment", ""), humanize.IBytes(uint64(max(size, 0))), x.place, j.reason())
	}
	if needed && j.keep.KeepsAll() {
		p.line("the journal and the snapshots that it needs stay: --journal-keep is not given")
	}
}
