// Package rketools is the command line of rancher/rke-tools' `rke-etcd-backup`, on which RKE runs its containers: save, delete, download,
// serve and extractstatefile. It translates RKE's flags and paths into a [config.Config] and calls what the rest of the program uses.
//
// Invariants: flags, paths, archives, names and exit statuses are those of rke-tools; the last line of the output is the error, because
// that is all RKE reads; no key and no state file, which contains private keys, appears in an output or in a file of another mode than 0600.
package rketools

import (
	"fmt"
	"path/filepath"
	"strings"
)

// RootVariable is the environment variable whose value is put before all paths of RKE's containers, for tests.
const RootVariable = "ETCD_BACKUP_RKE_ROOT"

// Paths are the files that RKE puts into its containers and takes out of them. The zero value has the real ones.
type Paths struct {
	Root string // put before all of them; "": nothing
}

func (p Paths) at(path string) string { return filepath.Join("/", p.Root, path) }

// Backup is the directory of the archives; on the host it is /opt/rke/etcd-snapshots.
func (p Paths) Backup() string { return p.at("/backup") }

// StateFile is where RKE puts the state file for the snapshot of that name.
func (p Paths) StateFile(name string) (string, error) {
	if strings.ContainsRune(name, '/') || !filepath.IsLocal(name) || name == "." {
		return "", fmt.Errorf("%q is no name of a snapshot: it must be a file name without a directory", name)
	}
	return filepath.Join(p.at("/etc/kubernetes"), name+".rkestate"), nil
}

// ExtractedState is where RKE expects the extracted state file, and copies it from.
func (p Paths) ExtractedState() string { return p.at("/tmp/cluster.rkestate") }

func (p Paths) kubectl() string { return p.at("/usr/local/bin/kubectl") }

func (p Paths) kubeconfig() string { return p.at("/etc/kubernetes/ssl/kubecfg-kube-node.yaml") }
