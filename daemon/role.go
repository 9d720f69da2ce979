package daemon

import (
	"errors"
	"fmt"
)

// ErrSkipped marks a run that was left to another member.
var ErrSkipped = errors.New("skipped")

// Role says on which members of a cluster runs take place.
type Role string

// The roles of --only-on.
const (
	RoleAny      Role = "any"
	RoleLeader   Role = "leader"
	RoleFollower Role = "follower"
)

// ParseRole reads --only-on.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case RoleAny, RoleLeader, RoleFollower:
		return r, nil
	}
	return "", fmt.Errorf("%q is not leader, follower or any", s)
}

// Choose returns nil when the member, by its own status, is to be backed up, and ErrSkipped otherwise. A member
// that knows no leader always is: it may hold the last copy of the data alive; and so is the only one that votes, for there is no
// other to leave it to.
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
