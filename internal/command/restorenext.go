package command

import (
	"fmt"
	"path/filepath"
	"strings"
)

// steps are printed with their numbers.
type steps struct {
	*printer
	count int
}

func (s *steps) next(format string, args ...any) {
	s.count++
	s.line("  %d. "+format, append([]any{s.count}, args...)...)
}

// printNext tells what is left to do, in its order.
func (r *restoreReport) printNext(out *printer) {
	out.line("next")
	s := &steps{printer: out}
	others := r.others()
	if len(others) > 0 {
		r.printOthers(s, others)
	}
	if onSELinux() {
		s.next("give the files their SELinux labels: restorecon -R %s", strings.TrimSpace(r.DataDir+" "+r.WALDir))
	}
	if len(others) > 0 {
		s.next("when all are restored, start etcd on all of them; it answers once most of them run. Here its flags must say")
	} else {
		s.next("start etcd; its flags must say")
	}
	out.line("       --name %s --data-dir %s%s", r.Name, r.DataDir, walFlag(r.WALDir))
	out.line("       --initial-advertise-peer-urls %s", strings.Join(r.cluster.URLs(), ","))
	out.line("     as a systemd unit: systemctl start etcd")
	out.line("     under kubeadm: move etcd.yaml back into /etc/kubernetes/manifests, and kube-apiserver.yaml when etcd answers")
	s.next("look: etcdctl endpoint status --cluster -w table")
	if len(r.Aside) > 0 {
		out.line("to go back, with etcd stopped:")
		out.line("     %s", strings.Join(r.back(), " && \\\n     "))
	}
}

// back are the commands that undo the restore, of which none makes sense without the others. However often somebody goes back and
// forth, no name is taken.
func (r *restoreReport) back() []string {
	var moves []string
	for _, m := range r.Aside {
		_, at, _ := strings.Cut(m.To, ".before-restore-")
		moves = append(moves, fmt.Sprintf("mv -T %s %s.unwanted-%s", m.From, m.From, at), fmt.Sprintf("mv -T %s %s", m.To, m.From))
	}
	return moves
}

func walFlag(dir string) string {
	if dir == "" {
		return ""
	}
	return " --wal-dir " + dir
}

const ourCertificates = "--cacert CA --cert CERT --key KEY"

// printOthers tells how the other members get the very same snapshot: members that begin with different bytes never agree.
func (r *restoreReport) printOthers(s *steps, names []string) {
	from := r.Snapshot
	switch {
	case strings.HasPrefix(r.Place, "s3://"):
		from += " --from s3 (and the --s3 flags as here)"
	case r.peer:
		from = "--peer " + r.Place + " " + ourCertificates
	case r.Manifest == nil: // serve takes archives of ours only
		s.next("copy %s to each other node: all must be restored from the same file", r.Snapshot)
		from = "./" + filepath.Base(r.Snapshot)
	default:
		s.next("let the other members have this very snapshot: etcd-rolling-backup serve %s %s", r.Snapshot, ourCertificates)
		from = "--peer HOST:PORT " + ourCertificates
	}
	s.next("restore the other members, each on its node, with etcd stopped:")
	for _, name := range names {
		s.line("       %s", strings.TrimSpace(fmt.Sprintf("etcd-rolling-backup restore %s --name %s %s", from, name, r.again)))
	}
}

// others are the members that are restored elsewhere.
func (r *restoreReport) others() []string {
	var names []string
	for _, p := range r.cluster.Peers {
		if p.Name != r.Name {
			names = append(names, p.Name)
		}
	}
	return names
}
