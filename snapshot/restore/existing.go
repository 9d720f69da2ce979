package restore

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"etcd-rolling-backup/internal/regular"
	"etcd-rolling-backup/snapshot"
)

// DataCluster is the cluster that data belongs to, as far as that is known.
type DataCluster struct {
	snapshot.Lineage
	Members []snapshot.Member
}

// Relation says whether two pieces of data belong to the same cluster.
type Relation string

// The relations.
const (
	Same    Relation = "same"    // the same cluster, or one that was restored from it
	Other   Relation = "other"   // another cluster
	Unknown Relation = "unknown" // too little is known of one of them
)

// Relation compares the clusters of two pieces of data: by their IDs and what is recorded of restores, or by the members where an ID is
// missing.
func (c DataCluster) Relation(o DataCluster) Relation {
	switch {
	case c.Known() && o.Known():
		if c.Related(o.Lineage) {
			return Same
		}
		return Other
	case len(c.Members) == 0 || len(o.Members) == 0:
		return Unknown
	case slices.ContainsFunc(c.Members, o.hasMember):
		return Same
	}
	return Other
}

// hasMember reports whether a member is one of these: by its ID, or by a peer URL, which a restored member keeps.
func (c DataCluster) hasMember(m snapshot.Member) bool {
	return slices.ContainsFunc(c.Members, func(own snapshot.Member) bool { return own.ID == m.ID }) || slices.ContainsFunc(m.PeerURLs, c.HasPeerURL)
}

// HasPeerURL reports whether a member has this peer URL.
func (c DataCluster) HasPeerURL(u string) bool {
	return slices.ContainsFunc(c.Members, func(own snapshot.Member) bool { return slices.Contains(own.PeerURLs, u) })
}

// Existing reads which cluster the data belongs to that the restore moves aside. The error says what could not be read; what was
// read is returned all the same.
func (p *Plan) Existing() (c DataCluster, err error) {
	log := logOf(p.DataDir, p.WALDir)
	var idErr, membersErr error
	c.Cluster, idErr = clusterOfLog(log)
	c.Members, membersErr = membersOf(databaseIn(p.DataDir))
	return c, errors.Join(idErr, membersErr)
}

// ClusterOf reads which cluster the data belongs to that is where a restore would be; 0: there is none, or it can't be read.
func ClusterOf(o Options) snapshot.ID {
	id, err := clusterOfLog(logOf(o.DataDir, o.WALDir))
	if err != nil {
		return 0
	}
	return id
}

// RevisionOf reads the newest revision of the data that is where a restore would be; 0: there is none, or it can't be read.
func RevisionOf(o Options) int64 {
	var c content
	if err := view(databaseIn(o.DataDir), c.readRevisions); err != nil {
		return 0
	}
	return c.begins(0)
}

func databaseIn(data string) string { return filepath.Join(data, "member", "snap", "db") }

func logOf(data, wal string) string { return cmp.Or(wal, filepath.Join(data, "member", "wal")) }

// clusterOfLog reads the cluster ID from a write-ahead log: the metadata at the beginning of each of its files.
func clusterOfLog(dir string) (snapshot.ID, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("read the write-ahead log: %w", err)
	}
	err = fmt.Errorf("read the write-ahead log: %s has no file of it", dir)
	for _, e := range slices.Backward(entries) { // the newest first
		if !strings.HasSuffix(e.Name(), ".wal") {
			continue
		}
		var id snapshot.ID
		if id, err = clusterOfFile(filepath.Join(dir, e.Name())); err == nil {
			return id, nil
		}
	}
	return 0, err
}

func clusterOfFile(path string) (id snapshot.ID, err error) {
	f, err := regular.Open(path, os.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return 0, fmt.Errorf("read the write-ahead log: %w", err)
	}
	defer f.Close()
	d := wal.NewDecoder(fileutil.NewFileReader(f))
	for err == nil {
		var r walpb.Record
		if err = d.Decode(&r); err != nil {
			break
		}
		switch r.GetType() {
		case wal.CrcType: // it continues the checksum of the file before
			d.UpdateCRC(r.GetCrc())
		case wal.MetadataType:
			var m etcdserverpb.Metadata
			if err = proto.Unmarshal(r.GetData(), &m); err == nil {
				return snapshot.ID(m.GetClusterID()), nil
			}
		default:
			err = io.ErrUnexpectedEOF
		}
	}
	return 0, fmt.Errorf("read the write-ahead log %s: %w", path, err)
}

func membersOf(path string) ([]snapshot.Member, error) {
	var c content
	if err := view(path, c.readMembers); err != nil {
		return nil, fmt.Errorf("read the members in %s: %w", path, err)
	}
	return c.members, nil
}

// view reads a database whose path another user may change.
func view(path string, read func(*bbolt.Tx) error) error {
	f, err := regular.Open(path, os.O_RDONLY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	return snapshot.ViewDatabase(f, read)
}
