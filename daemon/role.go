package daemon

import (
	"errors"
	"fmt"
)

// ErrSkipped marks a run that was left to another member, and a drill that was skipped.
var ErrSkipped = errors.New("skipped")

// Role selects the members of a cluster that take snapshots.
type Role string

// The roles of --only-on.
const (
	RoleAny      Role = "any"
	RoleLeader   Role = "leader"
	RoleFollower Role = "follower"
)

// ParseRole parses --only-on.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case RoleAny, RoleLeader, RoleFollower:
		return r, nil
	}
	return "", fmt.Errorf("%q is not leader, follower or any", s)
}

// Choose returns nil if this member must take the snapshot, according to its own status, and ErrSkipped otherwise. A member that knows
// no leader always takes it: it may have the last copy of the data. So does the only voting member: there is no other one.
func (r Role) Choose(leader, healthy bool, voters int) error {
	switch {
	case r == RoleAny || !healthy || voters == 1 || leader == (r == RoleLeader):
		return nil
	case leader:
		return fmt.Errorf("%w: the member is the leader", ErrSkipped)
	default:
		return fmt.Errorf("%w: the member is a follower", ErrSkipped)
	}
}
