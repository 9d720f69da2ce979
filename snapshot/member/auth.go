package member

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etcd-rolling-backup/snapshot"
)

// ReadAuth returns a text that changes with the users and roles of the cluster; "": this user may not know. It goes through raft, so ctx must
// have a deadline. It also renews the login, which etcd forgets after some minutes.
func (m *Member) ReadAuth(ctx context.Context) (string, error) {
	r, err := m.client.AuthStatus(ctx)
	switch status.Code(err) {
	case codes.OK:
		state := "off"
		if r.Enabled {
			state = "on"
		}
		return state + ":" + strconv.FormatUint(r.AuthRevision, 10), nil
	case codes.Unimplemented: // before 3.5
		return m.hashAuth(ctx)
	}
	return "", m.noAuth(err)
}

// hashAuth reads users and roles one by one. It does not see a changed password.
func (m *Member) hashAuth(ctx context.Context) (string, error) {
	users, err := m.client.UserList(ctx)
	if err != nil {
		return "", m.noAuth(err)
	}
	var lines []string
	for _, name := range slices.Sorted(slices.Values(users.Users)) {
		u, err := m.client.UserGet(ctx, name)
		if err != nil {
			return "", m.noAuth(err)
		}
		lines = append(lines, fmt.Sprintf("user %q %q", name, slices.Sorted(slices.Values(u.Roles))))
	}
	roles, err := m.client.RoleList(ctx)
	if err != nil {
		return "", m.noAuth(err)
	}
	for _, name := range slices.Sorted(slices.Values(roles.Roles)) {
		r, err := m.client.RoleGet(ctx, name)
		if err != nil {
			return "", m.noAuth(err)
		}
		lines = append(lines, fmt.Sprintf("role %q", name))
		for _, p := range r.Perm {
			lines = append(lines, fmt.Sprintf("role %q %s %q %q", name, p.GetPermType(), p.GetKey(), p.GetRangeEnd()))
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return "lists:" + hex.EncodeToString(sum[:8]), nil
}

// noAuth is nil if the user may not know.
func (m *Member) noAuth(err error) error {
	if errors.Is(rpctypes.Error(err), rpctypes.ErrPermissionDenied) || status.Code(err) == codes.Unimplemented {
		return nil
	}
	return fmt.Errorf("read users and roles from %s: %w", m.endpoint, explain(err))
}

// NoteAuth makes ReadAuth's answer a part of Source.
func (m *Member) NoteAuth(ctx context.Context) (err error) {
	m.source.Auth, err = m.ReadAuth(ctx)
	return err
}

// ReadMembers returns the members of the cluster as they are now. It needs no quorum.
func (m *Member) ReadMembers(ctx context.Context) ([]snapshot.Member, error) {
	list, err := m.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return nil, fmt.Errorf("list members: %w", explain(err))
	}
	return membersOf(list), nil
}
