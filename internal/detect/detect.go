// Package detect finds the etcd member of this node in the files of those who install one: kubeadm, k3s, RKE2, and systemd.
//
// Invariants: it reads files below one root directory, and nothing else: no process, no network. It never guesses: where two members are
// possible, or where a file that decides can't be read, the answer is an error that names them.
package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"etcd-rolling-backup/internal/regular"
)

// Member is how to reach an etcd member, and where its data is. Paths are below the root directory.
type Member struct {
	Kind              string // who installed it, such as "kubeadm"
	Source            string // the file that says so
	Endpoint          string // an URL
	CACert, Cert, Key string // PEM files; "": none needed
	OwnCert, OwnKey   string // what etcd itself presents to clients; "": there is none
	DataDir           string // "": not known for sure
	WALDir            string // "": in DataDir
	User              string // USER or USER:GROUP that etcd runs as; "": root, or not known
}

func (m Member) String() string {
	text := fmt.Sprintf("%s (%s): endpoint %s", m.Kind, m.Source, m.Endpoint)
	for _, part := range []struct{ name, value string }{{"CA", m.CACert}, {"certificate", m.Cert}, {"key", m.Key}, {"data directory", m.DataDir}, {"write-ahead log", m.WALDir}, {"user", m.User}} {
		if part.value != "" {
			text += ", " + part.name + " " + part.value
		}
	}
	return text
}

func (m Member) same(other Member) bool {
	other.Source = m.Source
	return m == other
}

const (
	decide = "--endpoints, with --cacert, --cert and --key for TLS, says which etcd to use"
	// readAs is the remedy for a file that this user can't read.
	readAs = "run the command as root, or set --endpoints, --cacert, --cert and --key"
)

// ErrNone says that nothing was found where something is needed.
var ErrNone = errors.New("no etcd of kubeadm, k3s, RKE2 or systemd was found on this node: set --endpoints, and --cacert, --cert and --key for TLS")

// ErrSeveral marks that two members are possible.
var ErrSeveral = errors.New("several etcds on this node")

// Find returns the member of the node whose files are below root; nil: there is none. Errors are ErrSeveral, or say which file can't be used.
func Find(root string) (*Member, error) {
	t := tree{filepath.Join("/", root)}
	var found []Member
	for _, look := range []func() ([]Member, error){t.kubeadm, t.rancher, t.systemd} {
		members, err := look()
		if err != nil {
			return nil, err
		}
		for _, m := range members { // one unit may have two names, and one pod two files
			if !slices.ContainsFunc(found, m.same) {
				found = append(found, m)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, nil //nolint:nilnil // as documented: none is no error, and callers have a default
	case 1:
		return &found[0], t.readable(found[0])
	}
	var names []string
	for _, m := range found {
		names = append(names, fmt.Sprintf("%s (%s)", m.Kind, m.Source))
	}
	return nil, fmt.Errorf("%w: %s: %s", ErrSeveral, strings.Join(names, " and "), decide)
}

// tree is the directory that stands for /.
type tree struct{ root string }

func (t tree) path(elem ...string) string {
	path := filepath.Join(elem...)
	if path == "" {
		return ""
	}
	return filepath.Join(t.root, path)
}

// maxFile is larger than any file that says how etcd is started.
const maxFile = 1 << 20

// read returns the content of a file below the root; nil: there is none.
func (t tree) read(path string) ([]byte, error) {
	text, err := regular.Read(t.path(path), 0, maxFile)
	switch {
	case absent(err):
		return nil, nil
	case err != nil:
		return nil, lookErrorf("%w: %s", err, readAs)
	}
	return text, nil
}

// exists reports whether there is anything below the root at this path.
func (t tree) exists(path string) (bool, error) {
	_, err := os.Stat(t.path(path))
	switch {
	case absent(err):
		return false, nil
	case err != nil:
		return false, lookErrorf("%w: %s", err, readAs)
	}
	return true, nil
}

// firstPair returns the first certificate that exists and its key.
func (t tree) firstPair(pairs ...[2]string) (cert, key string, err error) {
	for _, p := range pairs {
		if p[0] == "" || p[1] == "" {
			continue
		}
		found, err := t.exists(p[0])
		if err == nil && found {
			found, err = t.exists(p[1])
		}
		if err != nil {
			return "", "", err
		}
		if found {
			return p[0], p[1], nil
		}
	}
	return "", "", nil
}

// readable fails for a certificate that can't be read: what is wrong is said with where the file's name comes from.
func (t tree) readable(m Member) error {
	for _, path := range []string{m.CACert, m.Cert, m.Key} {
		if path == "" {
			continue
		}
		f, err := regular.Open(path, os.O_RDONLY)
		if err != nil {
			return fmt.Errorf("etcd of %s (%s) was found, but its certificates can't be read: %w: %s", m.Kind, m.Source, err, readAs)
		}
		_ = f.Close() // nothing was written
	}
	return nil
}

func lookErrorf(format string, args ...any) error {
	return fmt.Errorf("look for an etcd on this node: "+format, args...)
}

func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
