package snapshot

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// OtherSet is the set of a file that another program named, unless it is a rolling snapshot of rke-tools.
	OtherSet = "other"

	zipSuffix     = ".zip"
	rollingSuffix = "_etcd" // of rke-tools
	// otherPartPrefix hides the partial file of such a name: NAME.zip.part may be anybody's.
	otherPartPrefix = "."
)

// OtherName returns the Name of a file that rke-tools, RKE2, k3s or a user named, whatever it is called. The set is RollingSet for what
// rke-tools takes on its schedule, <RFC 3339>_etcd and the same with .zip, and OtherSet for all others. Errors wrap ErrName.
func OtherName(file string) (Name, error) {
	n := Name{Set: OtherSet, Time: timeIn(strings.TrimSuffix(file, zipSuffix)), File: file}
	if isRolling(file) {
		n.Set = RollingSet
	}
	switch {
	case file == "" || strings.HasPrefix(file, ".") || strings.ContainsRune(file, '/'):
		return Name{}, fmt.Errorf("%w: %q is not a file name, or a hidden one", ErrName, file)
	case len(file) > maxNameLen:
		return Name{}, fmt.Errorf("%w: %d bytes are more than the %d that a file system allows", ErrName, len(file), maxNameLen)
	case !utf8.ValidString(file) || strings.ContainsFunc(file, unicode.IsControl):
		return Name{}, fmt.Errorf("%w: %q contains control characters", ErrName, file)
	}
	return n, nil
}

// RollingZip is the name of a zip that rke-tools would take now on its schedule.
func RollingZip(t time.Time) (Name, error) {
	return OtherName(t.UTC().Format(time.RFC3339) + rollingSuffix + zipSuffix)
}

// Zip reports whether the file is a zip, by its name.
func (n Name) Zip() bool { return strings.HasSuffix(n.File, zipSuffix) }

// Raw reports whether the file is an uncompressed database of another program, by its name.
func (n Name) Raw() bool { return n.File != "" && !n.Zip() }

// Other reports whether another program or a user chose the name, and it is no rolling snapshot: nothing happens to such a file that
// nobody asks for.
func (n Name) Other() bool { return n.File != "" && n.Set == OtherSet }

// isOther reports whether the name alone shows that the file is a snapshot of another program.
func isOther(file string) bool {
	return path.Ext(file) == zipSuffix && !strings.HasPrefix(file, ".") || isRolling(file)
}

func isRolling(file string) bool {
	stem, ok := strings.CutSuffix(strings.TrimSuffix(file, zipSuffix), rollingSuffix)
	_, err := time.Parse(time.RFC3339, stem)
	return ok && err == nil
}

// timeIn finds the time that a name contains: RFC 3339, also with hyphens for the colons as Rancher writes it, or the seconds since 1970
// at the end, as k3s and RKE2 write it. It returns zero if there is none.
func timeIn(stem string) time.Time {
	for part := range strings.SplitSeq(stem, "_") {
		for _, layout := range []string{time.RFC3339, "2006-01-02T15-04-05Z07-00", "2006-01-02T15-04-05Z07:00"} {
			if t, err := time.Parse(layout, part); err == nil {
				return t.UTC().Truncate(time.Second)
			}
		}
	}
	if i := strings.LastIndexByte(stem, '-'); len(stem)-i-1 == len("1700000000") {
		if seconds, err := strconv.ParseInt(stem[i+1:], 10, 64); err == nil && seconds >= 1e9 {
			return time.Unix(seconds, 0).UTC()
		}
	}
	return time.Time{}
}
