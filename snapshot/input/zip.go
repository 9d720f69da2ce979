package input

import (
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"etcd-rolling-backup/snapshot"
)

const (
	namesTold = 5   // names listed in an error
	nameTold  = 100 // bytes of one name in an error
)

// zip finds the one member that is a database, by the first bytes of each member.
func (s *source) zip() (*Input, error) {
	members, err := s.members()
	if err != nil {
		return nil, err
	}
	return s.choose(members)
}

// members reads the directory of a zip.
func (s *source) members() ([]*zip.File, error) {
	members, err := snapshot.ZipMembers(s, s.size)
	switch {
	case errors.Is(err, snapshot.ErrManyMembers):
		return nil, formError("a zip archive with more than %d members", snapshot.MaxZipMembers)
	case err != nil:
		return nil, s.fault(FormZip, err)
	}
	return members, nil
}

func (s *source) choose(members []*zip.File) (*Input, error) {
	var found *zip.File
	var others []string
	var damage error
	lost := "" // what a member looks like that lost its content
	for _, m := range members {
		if strings.HasSuffix(m.Name, "/") {
			continue
		}
		looks, err := s.describeMember(m)
		switch {
		case s.Err() != nil:
			return nil, s.fault(FormZip, err)
		case err != nil:
			damage = cmp.Or(damage, fmt.Errorf("member %s: %w", quote(m.Name), err))
			looks = "damaged"
		case isLost(looks):
			lost = looks
		}
		switch {
		case looks != "":
			others = append(others, fmt.Sprintf("%s is %s", quote(m.Name), looks))
		case found != nil:
			return nil, formError("a zip archive with two databases, %s and %s: unpack the one that you want to restore", quote(found.Name), quote(m.Name))
		default:
			found = m
		}
	}
	switch {
	case found == nil && damage != nil:
		return nil, s.fault(FormZip, damage)
	case found == nil:
		return nil, orLost(lost, formError("a zip archive without a database: %s", list(others)))
	case found.UncompressedSize64 > math.MaxInt64:
		return nil, fmt.Errorf("%w: zip: member %s declares %d bytes", snapshot.ErrDamaged, quote(found.Name), found.UncompressedSize64)
	}
	rest := slices.DeleteFunc(slices.Clone(members), func(m *zip.File) bool { return m == found })
	in := &Input{Form: FormZip, Size: int64(found.UncompressedSize64), Member: found.Name, source: s, others: rest, open: found.Open}
	if damage != nil {
		in.Damage = s.fault(FormZip, damage)
	}
	return in, nil
}

// verifyOthers reads the members that are not the database; their checksums must match. What is encrypted or of an unknown method is
// skipped.
func (in *Input) verifyOthers(ctx context.Context) error {
	for _, m := range in.others {
		if !snapshot.ZipReadable(m) {
			continue
		}
		err := snapshot.VerifyZipMember(ctx, m, io.Discard, nil)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && in.source.Err() == nil:
			return snapshot.IntactDatabase(in.source.fault(FormZip, fmt.Errorf("member %s: %w", quote(m.Name), err)))
		case err != nil:
			return in.source.fault(FormZip, err)
		}
	}
	return nil
}

// describeMember describes a member; nothing for a database.
func (s *source) describeMember(m *zip.File) (string, error) {
	switch {
	case snapshot.ZipEncrypted(m):
		return "encrypted: unpack it with its password first", nil
	case !snapshot.ZipReadable(m):
		return fmt.Sprintf("compressed with method %d, which this program does not know: unpack it first", m.Method), nil
	}
	head, err := headOf(m.Open)
	switch {
	case snapshot.IsDatabase(head):
		return "", nil // Unpack reports any other fault
	case err != nil:
		return "", err
	}
	return describe(head), nil
}

// list returns the first few names.
func list(others []string) string {
	if len(others) == 0 {
		return "it contains no files"
	}
	text := strings.Join(others[:min(len(others), namesTold)], ", ")
	if more := len(others) - namesTold; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// quote makes an untrusted name safe to print on a terminal.
func quote(name string) string {
	if len(name) > nameTold {
		name = name[:nameTold] + "..."
	}
	return fmt.Sprintf("%q", name)
}
