package snapshot

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// Format is the value of Manifest.Format that this version writes. docs/FORMAT.md describes it.
const Format = "etcd-rolling-backup/1"

// ErrFormat marks an intact archive of a format that this version cannot read.
var ErrFormat = errors.New("unknown archive format")

// Manifest describes an archive and is stored in it. Readers ignore fields that they do not know.
type Manifest struct {
	Format    string    `json:"format"`
	Name      string    `json:"name"`       // the file's name when the snapshot was taken
	CreatedAt time.Time `json:"created_at"` // when the stream was opened, UTC
	Node      string    `json:"node"`

	Source

	RawSize       int64  `json:"raw_size"`                 // bytes after decompression: the database and its 32-byte digest
	RawSHA256     string `json:"raw_sha256"`               // of the database, hex: the digest that etcd sent
	ArchiveSHA256 string `json:"archive_sha256"`           // of the compressed bytes before the manifest, hex
	ArchiveCRC32C string `json:"archive_crc32c,omitempty"` // of the same bytes, 8 hex digits; early archives have none
	ToolVersion   string `json:"tool_version"`
	LocalOnly     bool   `json:"local_only,omitempty"` // taken with --no-mirror: never uploaded to the bucket
}

// Source describes the member that a snapshot was taken from, as it was just before the snapshot.
type Source struct {
	ClusterID      ID       `json:"cluster_id"`
	MemberID       ID       `json:"member_id"`
	Members        []Member `json:"members"`
	Revision       int64    `json:"revision"` // the database contains this revision, or a later one if keys changed meanwhile
	RaftTerm       uint64   `json:"raft_term"`
	RaftIndex      uint64   `json:"raft_index"`
	EtcdVersion    string   `json:"etcd_version"`
	StorageVersion string   `json:"storage_version,omitempty"` // etcd 3.6 and newer
	Healthy        bool     `json:"healthy"`                   // the member knew a leader
	Alarms         []string `json:"alarms,omitempty"`          // NOSPACE, CORRUPT
}

// Member is one member of the cluster, with the fields of etcd's member list.
type Member struct {
	ID         ID       `json:"id"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls"`
	Learner    bool     `json:"learner,omitempty"`
}

// ID is the ID of a cluster or member, written in hexadecimal as etcdctl does. As a JSON number, most readers would lose the low
// bits of the 64.
type ID uint64

func (id ID) String() string { return fmt.Sprintf("%x", uint64(id)) }

// MarshalText writes hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads hexadecimal digits of at most 64 bits.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 || len(text) > 16 {
		return fmt.Errorf("id %q is not 1 to 16 hexadecimal digits", text)
	}
	var v uint64
	for _, c := range text {
		d := bytes.IndexByte([]byte("0123456789abcdef"), c)
		if d < 0 {
			return fmt.Errorf("id %q is not hexadecimal", text)
		}
		v = v<<4 | uint64(d)
	}
	*id = ID(v)
	return nil
}

// decodeManifest reads one manifest and nothing after it. Errors wrap ErrDamaged or ErrFormat.
func decodeManifest(data []byte) (Manifest, error) {
	// Check the format first: a later format may give any other field another type.
	var head struct {
		Format string `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Manifest{}, fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	if head.Format != Format {
		return Manifest{}, fmt.Errorf("%w %q: this version reads %q; use a newer one", ErrFormat, head.Format, Format)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	return m, m.check()
}

// check refuses what no writer of this format writes, so that later code can rely on the fields.
func (m Manifest) check() error {
	n, err := ParseName(m.Name)
	switch {
	case err != nil:
		return fmt.Errorf("%w: manifest: name: %w", ErrDamaged, err)
	case n.Node != m.Node || !n.Time.Equal(m.CreatedAt.Truncate(time.Second)):
		return fmt.Errorf("%w: manifest: name %s does not match node %q and time %s", ErrDamaged, m.Name, m.Node, m.CreatedAt.Format(time.RFC3339))
	case m.RawSize <= digestSize:
		return fmt.Errorf("%w: manifest: raw_size %d", ErrDamaged, m.RawSize)
	case !isSHA256(m.RawSHA256) || !isSHA256(m.ArchiveSHA256):
		return fmt.Errorf("%w: manifest: a digest is not 64 hexadecimal digits", ErrDamaged)
	case m.ArchiveCRC32C != "" && !isCRC32C(m.ArchiveCRC32C):
		return fmt.Errorf("%w: manifest: archive_crc32c is not 8 hexadecimal digits", ErrDamaged)
	}
	return nil
}

func isCRC32C(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == crc32.Size
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == digestSize
}
