package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"time"
)

// Format is the value of Manifest.Format that this version writes. docs/FORMAT.md describes it.
const Format = "etcd-rolling-backup/1"

var (
	// ErrFormat marks an intact archive of a format that this version cannot read.
	ErrFormat = errors.New("unknown archive format")
	// ErrNoManifest marks a file of another program, which may contain an intact snapshot.
	ErrNoManifest = errors.New("no manifest: not an archive of this program")
)

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

	Omitted []string `json:"omitted,omitempty"` // fields that did not fit, with what etcd reported
}

// Source describes the member that a snapshot was taken from, as it was just before the snapshot.
type Source struct {
	ClusterID      ID       `json:"cluster_id"`
	Predecessors   []ID     `json:"predecessors,omitempty"` // clusters that this one was restored from, the latest first
	MemberID       ID       `json:"member_id"`
	Members        []Member `json:"members"`
	Revision       int64    `json:"revision"` // the database contains this revision, or a later one if keys changed meanwhile
	RaftTerm       uint64   `json:"raft_term"`
	RaftIndex      uint64   `json:"raft_index"`
	EtcdVersion    string   `json:"etcd_version"`
	StorageVersion string   `json:"storage_version,omitempty"` // etcd 3.6 and newer
	Healthy        bool     `json:"healthy"`                   // the member knew a leader
	Alarms         []string `json:"alarms,omitempty"`          // NOSPACE, CORRUPT

	DBSizeInUse int64 `json:"db_size_in_use,omitempty"` // bytes of the database that etcd used; 0: not known, as of earlier versions
	// Auth changes with the users and roles of the cluster; "": not known. Only a daemon with a journal asks for it.
	Auth string `json:"auth,omitempty"`
	// Keys is the number of live keys (not of revisions), counted just before the stream was opened; not known in archives of earlier
	// versions, and where etcd did not answer the count.
	Keys Count `json:"keys,omitzero"`
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
	v, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil || len(text) > 16 || !bytes.Equal(text, bytes.ToLower(text)) {
		return fmt.Errorf("id %q is not 1 to 16 hexadecimal digits in lower case", text)
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
	case n.File == "" && (n.Node != m.Node || !n.Time.Equal(m.CreatedAt.Truncate(time.Second))):
		return fmt.Errorf("%w: manifest: name %s does not match node %q and time %s", ErrDamaged, m.Name, m.Node, m.CreatedAt.Format(time.RFC3339))
	case m.RawSize <= digestSize:
		return fmt.Errorf("%w: manifest: raw_size %d", ErrDamaged, m.RawSize)
	case !isHex(m.RawSHA256, sha256.Size) || !isHex(m.ArchiveSHA256, sha256.Size):
		return fmt.Errorf("%w: manifest: a digest is not 64 hexadecimal digits", ErrDamaged)
	case m.ArchiveCRC32C != "" && !isHex(m.ArchiveCRC32C, crc32.Size):
		return fmt.Errorf("%w: manifest: archive_crc32c is not 8 hexadecimal digits", ErrDamaged)
	}
	return nil
}

func isHex(s string, size int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == size
}

// The end of an archive is one zstd skippable frame (RFC 8878, section 3.1.2), which every decoder skips:
//
//	magic     4 bytes  0x184D2A5E, little endian
//	size      4 bytes  length of what follows
//	manifest  n bytes  JSON
//	footer   52 bytes  data length (8), manifest length (4), SHA-256 (32), footer magic (8)
//
// Numbers are little endian. The SHA-256 covers the manifest and the two lengths, the magics are compared, and the manifest
// contains the digest of the data: every bit of the file is checked.
const (
	skippableMagic  = 0x184D2A5E
	skippableHeader = 8
	footerSize      = 8 + 4 + sha256.Size + len(footerMagic)
	footerMagic     = "etcdRB\x001"

	// TailSize is the number of bytes at the end of an archive that always contain the complete manifest.
	TailSize = 64 << 10

	maxManifest = TailSize - zipEnd - footerSize
)

// fitted returns a manifest that an archive has room for. Whatever etcd reports, it must not make a snapshot fail: fields with texts of
// etcd are left out, the longest first. Without members, a restore takes those in the database.
func (m Manifest) fitted() Manifest {
	for _, field := range []struct {
		name  string
		clear func()
	}{
		{"members", func() { m.Members = nil }},
		{"alarms", func() { m.Alarms = knownAlarms(m.Alarms) }},
		{"etcd_version", func() { m.EtcdVersion = "" }},
		{"storage_version", func() { m.StorageVersion = "" }},
		{"predecessors", func() { m.Predecessors = nil }},
	} {
		if body, err := json.Marshal(m); err != nil || len(body) <= maxManifest { // encodeTail reports the error
			break
		}
		field.clear()
		m.Omitted = append(m.Omitted, field.name)
	}
	return m
}

// knownAlarms keeps what retention decides by.
func knownAlarms(all []string) []string {
	return slices.DeleteFunc([]string{"CORRUPT", "NOSPACE"}, func(a string) bool { return !slices.Contains(all, a) })
}

// encodeTail returns the skippable frame for an archive of dataSize compressed bytes.
func encodeTail(m Manifest, dataSize int64) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return EncodeFrame(body, dataSize)
}

// EncodeFrame returns the skippable frame that ends a file of dataSize compressed bytes: a manifest in JSON, and the footer.
func EncodeFrame(body []byte, dataSize int64) ([]byte, error) {
	if len(body) > maxManifest {
		return nil, fmt.Errorf("encode manifest: %d bytes are more than the %d that fit", len(body), maxManifest)
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, skippableMagic)
	b = le.AppendUint32(b, uint32(len(body)+footerSize)) //nolint:gosec // bounded by maxManifest
	return append(b, withFooter(body, dataSize)...), nil
}

// withFooter returns the manifest and its footer.
func withFooter(body []byte, dataSize int64) []byte {
	le := binary.LittleEndian
	lengths := le.AppendUint64(nil, uint64(dataSize))     //nolint:gosec // a file's size
	lengths = le.AppendUint32(lengths, uint32(len(body))) //nolint:gosec // bounded by maxManifest
	b := append(bytes.Clone(body), lengths...)
	sum := sha256.Sum256(b)
	return append(append(b, sum[:]...), footerMagic...)
}

// ReadManifest reads the manifest of an archive elsewhere with one request: tail returns its last [TailSize] bytes, and its size. What
// another program wrote uncompressed needs none: it has no manifest.
func ReadManifest(ctx context.Context, n Name, tail func(context.Context, Name) ([]byte, int64, error)) (Manifest, error) {
	if n.Raw() {
		return Manifest{}, ErrNoManifest
	}
	end, size, err := tail(ctx, n)
	if err != nil {
		return Manifest{}, err
	}
	m, _, err := DecodeTail(end, size)
	return m, n.needManifest(err)
}

// DecodeTail reads the manifest from the last bytes of an archive of fileSize bytes in all; tail is
// min(fileSize, TailSize) bytes. dataSize is the length of the compressed data at the file's start.
// Errors wrap ErrDamaged, ErrFormat or ErrNoManifest.
func DecodeTail(tail []byte, fileSize int64) (m Manifest, dataSize int64, err error) {
	e, err := decodeEnd(tail, fileSize)
	return e.manifest, e.dataSize, err
}

// end is what the end of an archive says.
type end struct {
	manifest Manifest
	dataSize int64
	zipped   bool // the manifest is in the comment of a zip, otherwise in a skippable frame of zstd
}

func decodeEnd(tail []byte, fileSize int64) (end, error) {
	e, body, err := decodeFrame(tail, fileSize)
	if err == nil {
		e.manifest, err = decodeManifest(body)
	}
	return e, err
}

// DecodeFrame is the reverse of EncodeFrame: it returns the manifest in JSON and the length of the data before it. tail is the end of the file,
// min(fileSize, TailSize) bytes. Errors wrap ErrDamaged or ErrNoManifest.
func DecodeFrame(tail []byte, fileSize int64) (body []byte, dataSize int64, err error) {
	e, body, err := decodeFrame(tail, fileSize)
	return body, e.dataSize, err
}

func decodeFrame(tail []byte, fileSize int64) (end, []byte, error) {
	le := binary.LittleEndian
	atEnd := bytes.HasSuffix(tail, []byte(footerMagic))
	switch {
	case !atEnd && isZipEnd(tail):
		return end{}, nil, ErrNoManifest
	case len(tail) < skippableHeader+footerSize:
		return end{}, nil, fmt.Errorf("%w: %d bytes are too few for an archive", ErrDamaged, fileSize)
	case !atEnd:
		return end{}, nil, fmt.Errorf("%w: the end is cut off or overwritten: it has no manifest", ErrDamaged)
	}
	footer := tail[len(tail)-footerSize:]
	e := end{dataSize: int64(le.Uint64(footer))} //nolint:gosec // compared with the file's size below
	bodySize := int64(le.Uint32(footer[8:]))
	start := int64(len(tail)) - bodySize - int64(footerSize) // of the manifest
	e.zipped = start >= zipEnd && isZipEnd(tail) && e.dataSize == fileSize-bodySize-int64(footerSize)
	header := start - skippableHeader
	if !e.zipped && (header < 0 || e.dataSize != fileSize-(int64(len(tail))-header)) {
		return end{}, nil, fmt.Errorf("%w: the footer's lengths do not match a file of %d bytes", ErrDamaged, fileSize)
	}
	body := tail[start : start+bodySize]
	sum := sha256.Sum256(append(bytes.Clone(body), footer[:12]...))
	switch {
	case !e.zipped && (le.Uint32(tail[header:]) != skippableMagic || int64(le.Uint32(tail[header+4:])) != bodySize+int64(footerSize)):
		return end{}, nil, fmt.Errorf("%w: the manifest's frame header is altered", ErrDamaged)
	case !bytes.Equal(sum[:], footer[12:12+sha256.Size]):
		return end{}, nil, fmt.Errorf("%w: the manifest does not match its checksum", ErrDamaged)
	}
	return e, body, nil
}
