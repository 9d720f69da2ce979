package rketools

import (
	"context"
	"fmt"
	"path/filepath"

	"etcd-rolling-backup/snapshot"
	"etcd-rolling-backup/snapshot/input"
)

// extractStateFile puts the cluster's state file, which contains private keys, where RKE copies it from.
func extractStateFile(ctx context.Context, c call) error {
	if c.s3 != nil {
		if err := c.fromS3(ctx); err != nil {
			return err
		}
	}
	if err := checkName(c.name); err != nil {
		return err
	}
	member, err := c.paths.StateFile(c.name)
	if err != nil {
		return err
	}
	archive, to := filepath.Join(c.paths.Backup(), c.name+zipSuffix), c.paths.ExtractedState()
	data, err := c.stateFileOf(archive)
	if err == nil {
		err = c.writeState(to, data)
	}
	if err != nil {
		return fmt.Errorf("Unable to extract file [%s] from file [%s] to destination [%s]: %w", member, archive, to, err) //nolint:staticcheck // the words of rke-tools
	}
	c.log.WithField("file", to).Infof("extracted the state file of %s", archive)
	return nil
}

func (c call) stateFileOf(archive string) ([]byte, error) {
	f, err := snapshot.NewDir(filepath.Dir(archive)).Open(filepath.Base(archive))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, found, err := input.StateFile(f, info.Size())
	if err == nil && !found {
		err = fmt.Errorf("%w: the snapshot was taken without a state file", snapshot.ErrNotFound)
	}
	return data, err
}

// writeState replaces what an earlier call, or somebody else, has put there.
func (c call) writeState(to string, data []byte) error {
	r, err := snapshot.Foreign(filepath.Dir(to)).Replace(filepath.Base(to))
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.File.Write(data); err != nil {
		return err
	}
	return r.Commit()
}
