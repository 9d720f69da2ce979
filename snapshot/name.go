package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// RollingSet is the set of the daemon's snapshots, the only one that retention prunes.
	RollingSet = "rolling"
	// ManualSet is the set of a snapshot that a user took without a label.
	ManualSet = "manual"

	archiveSuffix = ".db.zst"
	partSuffix    = ".part"
	timeLayout    = "20060102T150405Z"
	// NAME_MAX of Linux file systems is 255 bytes; the name of the partial file must fit too.
	maxNameLen = 255 - len(partSuffix) - len(otherPartPrefix)
)

// ErrName marks a text that is not a valid snapshot name, or a part that is not allowed in one.
var ErrName = errors.New("invalid snapshot name")

// Name identifies a snapshot: <set>_<node>_<time>.db.zst.
//
// No part contains an underscore. So a name splits in one way only, and the prefix <set>_<node>_ matches one node and no other.
// Files that rke-tools, RKE2 or k3s named have a Name too; see [OtherName].
type Name struct {
	Set  string    // RollingSet, or the label of a snapshot that a user took
	Node string    // the node whose member the snapshot was taken from; "": the name does not say it
	Time time.Time // UTC, whole seconds: when the stream was opened; zero: the name does not say it
	File string    // the whole name, if another program chose it; "": one of ours
}

// NewName checks the parts and truncates t to whole seconds in UTC. Errors wrap ErrName.
func NewName(set, node string, t time.Time) (Name, error) {
	n := Name{Set: set, Node: node, Time: t.UTC().Truncate(time.Second)}
	if err := cmp.Or(CheckPart("set", set), CheckPart("node", node)); err != nil {
		return Name{}, err
	}
	if y := n.Time.Year(); y < 1 || y > 9999 {
		return Name{}, fmt.Errorf("%w: the year %d does not have four digits", ErrName, y)
	}
	if l := len(n.String()); l > maxNameLen {
		return Name{}, fmt.Errorf("%w: %d bytes are more than the %d that a file system allows", ErrName, l, maxNameLen)
	}
	return n, nil
}

// ParseName reads the name of an archive of ours, or of a zip or rolling snapshot that rke-tools, RKE2 or k3s named. For every name that
// it returns, String is s. Errors wrap ErrName.
func ParseName(s string) (Name, error) {
	if isOther(s) {
		return OtherName(s)
	}
	stem, ok := strings.CutSuffix(s, archiveSuffix)
	parts := strings.Split(stem, "_")
	if !ok || len(parts) != 3 {
		return Name{}, fmt.Errorf("%w: %q does not have the form <set>_<node>_<time>%s", ErrName, s, archiveSuffix)
	}
	t, err := time.Parse(timeLayout, parts[2])
	if err != nil {
		return Name{}, fmt.Errorf("%w: %q: the time %q does not have the form %s", ErrName, s, parts[2], timeLayout)
	}
	n, err := NewName(parts[0], parts[1], t)
	if err != nil {
		return Name{}, err
	}
	// time.Parse also accepts fractions of a second, which would allow two texts for one name.
	if n.String() != s {
		return Name{}, fmt.Errorf("%w: %q must be written %q", ErrName, s, n)
	}
	return n, nil
}

// String returns the name of the archive's file and S3 object.
func (n Name) String() string {
	if n.File != "" {
		return n.File
	}
	return n.Set + "_" + n.Node + "_" + n.Time.Format(timeLayout) + archiveSuffix
}

// MarshalText writes what String writes, so that JSON contains a name as one string. The zero Name becomes the empty text. A name
// that ParseName would refuse wraps ErrName.
func (n Name) MarshalText() ([]byte, error) {
	if n == (Name{}) {
		return nil, nil
	}
	text := n.String()
	_, err := ParseName(text)
	return []byte(text), err
}

// UnmarshalText reads what MarshalText writes, and nothing else. Errors wrap ErrName.
func (n *Name) UnmarshalText(text []byte) (err error) {
	var parsed Name
	if len(text) > 0 {
		parsed, err = ParseName(string(text))
	}
	if err == nil {
		*n = parsed
	}
	return err
}

// OfNode reports whether the snapshot is one of that node: a rolling one, or one that a user took there with a label. Of the names that do
// not say the node, whose node is "", these are the rolling ones.
func (n Name) OfNode(node string) bool { return n.Node == node && !n.Other() }

// Prefix is how the names of one set and node begin, and no others.
func Prefix(set, node string) string { return set + "_" + node + "_" }

// Rolling reports whether the daemon of this node took the snapshot, and so may prune it. The node "" stands for rke-tools' names, which
// do not say the node.
func (n Name) Rolling(node string) bool { return n.Set == RollingSet && n.Node == node }

// MayBe reports whether ref, Latest or a set (a label), may mean the snapshot.
func (n Name) MayBe(ref string) bool {
	return (ref == Latest || ref == n.Set && !n.Other()) && !n.Time.IsZero()
}

// OfOtherNode reports whether the daemon of a node other than this one took the snapshot.
func (n Name) OfOtherNode(node string) bool {
	return n.Set == RollingSet && n.Node != "" && n.Node != node
}

// CheckPart checks that value is allowed in a name: letters, digits, dots and hyphens, a letter or digit first, no two dots in a
// row. kind names the part in the error, which wraps ErrName.
func CheckPart(kind, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("%w: the %s is empty", ErrName, kind)
	case !alphanumeric(rune(value[0])):
		return fmt.Errorf("%w: the %s %q does not begin with a letter or digit", ErrName, kind, value)
	case strings.Contains(value, ".."):
		return fmt.Errorf("%w: the %s %q has two dots in a row", ErrName, kind, value)
	}
	for _, r := range value {
		if !alphanumeric(r) && r != '.' && r != '-' {
			return fmt.Errorf("%w: the %s %q contains %q; only letters, digits, dots and hyphens are allowed", ErrName, kind, value, r)
		}
	}
	return nil
}

func alphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
