package command

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"etcd-rolling-backup/internal/config"
	"etcd-rolling-backup/internal/printable"
	"etcd-rolling-backup/internal/service"
	"etcd-rolling-backup/snapshot/restore"
)

// nextSteps are what comes after a restore. Every command in them can be pasted into a shell.
type nextSteps struct {
	plan   *restore.Plan
	others []string // the members that are restored on other nodes
	share  string   // the step on this node that gives them the snapshot; "": none is needed
	note   string   // what the command cannot say
	from   []string // where they get it, as arguments of restore
	same   []string // flags that are the same on all
	certs  []string // flags with etcd's certificates
}

const commandIndent = "\n       "

// defaultPeerPort is where serve listens.
const defaultPeerPort = "2380"

// nextSteps is called before the restore, like newReport.
func (r *restoring) nextSteps(p *restore.Plan) nextSteps {
	n := nextSteps{plan: p, same: r.sameFlags(p), certs: r.certificates(p)}
	for _, peer := range p.Cluster.Peers {
		if peer.Name != p.Cluster.Name {
			n.others = append(n.others, peer.Name)
		}
	}
	snapshot := afterMoves(p.Aside, absolutePath(cmp.Or(r.moment, r.from.Name)))
	switch {
	case r.fromBucket():
		elsewhere := config.Sources{} // whether the other nodes have a configuration file is not known
		n.from = slices.Concat([]string{r.from.Name, "--from", "s3"}, service.BucketFlags(r.cfg.S3, elsewhere))
		if c := r.from.Journal; c != nil {
			n.from = append(n.from, "--at", strconv.FormatInt(c.Revision, 10))
		}
		n.note = strings.Join(service.BucketNotes(r.cfg.S3, elsewhere), " ")
		return n
	case r.from.From == config.Peer:
		n.from = slices.Concat([]string{"--peer", r.o.Peer}, n.certs)
		return n
	}
	if c := r.from.Journal; c != nil && len(c.Segments) > 0 && r.moment == "" { // it could not be saved, or --dry-run
		n.share = "copy this snapshot and the journal, the files journal_*, to a directory of each other node:" +
			commandIndent + printable.Command(absolutePath(r.from.Name)) + commandIndent + printable.Command(absolutePath(r.cfg.Store.Dir))
		n.from = []string{"./" + filepath.Base(r.from.Name), "--dir", ".", "--at", strconv.FormatInt(c.Revision, 10)}
		return n
	}
	host, port, secure := peerAddress(p.Cluster.URLs())
	if r.in.Manifest == nil || r.in.Damage != nil || !secure { // serve accepts only archives, and needs etcd's certificates
		n.share = "copy this file to each other node; all must be restored from the same file:" +
			commandIndent + printable.Command(snapshot)
		n.from = []string{"./" + filepath.Base(snapshot)}
		return n
	}
	serve := slices.Concat([]string{program, "serve", snapshot}, n.certs)
	if port != defaultPeerPort {
		serve = append(serve, "--serve-on", ":"+port)
	}
	n.share = "serve this snapshot to the other members:" + r.exports() + commandIndent + printable.Command(serve...)
	n.from = slices.Concat([]string{"--peer", net.JoinHostPort(host, port)}, n.certs)
	return n
}

// peerAddress is where this member is reached by the others.
func peerAddress(urls []string) (host, port string, secure bool) {
	for _, text := range urls {
		if u, err := url.Parse(text); err == nil {
			return u.Hostname(), cmp.Or(u.Port(), defaultPeerPort), u.Scheme == "https"
		}
	}
	return "", "", false
}

// certificates are the flags with etcd's certificates, as far as they are known here.
func (r *restoring) certificates(p *restore.Plan) (flags []string) {
	for _, f := range []struct{ name, path string }{
		{"--cacert", r.cfg.Etcd.CACert}, {"--cert", r.cfg.Etcd.Cert}, {"--key", r.cfg.Etcd.Key},
	} {
		if f.path != "" {
			flags = append(flags, f.name, afterMoves(p.Aside, absolutePath(f.path)))
		}
	}
	return flags
}

// exports sets the paths of the certificates where they are not known: those of kubeadm if they are there, or an example.
func (r *restoring) exports() string {
	if r.cfg.Etcd.CACert != "" && r.cfg.Etcd.Cert != "" && r.cfg.Etcd.Key != "" {
		return ""
	}
	const kubeadm, example = "/etc/kubernetes/pki/etcd/", "/etc/etcd/"
	dir, name, hint := example, "member", "  # replace the paths with those of etcd's certificates"
	if _, err := os.Stat(kubeadm + "peer.crt"); err == nil {
		dir, name, hint = kubeadm, "peer", ""
	}
	return fmt.Sprintf("%sexport ETCDCTL_CACERT=%sca.crt ETCDCTL_CERT=%s%s.crt ETCDCTL_KEY=%[3]s%[4]s.key%[5]s", commandIndent, dir, dir, name, hint)
}

// list returns the steps in their order. Further lines of a step are indented.
func (n nextSteps) list() (steps []string) {
	start := "start etcd with these flags"
	if len(n.others) > 0 {
		if n.share != "" {
			steps = append(steps, n.share)
		}
		steps = append(steps, n.restoreOthers())
		start = "when all members are restored, start etcd on all of them; it answers once most of them run. Its flags on this node"
	}
	p := n.plan
	dirs := []string{p.DataDir}
	flags := []string{"--name", p.Cluster.Name, "--data-dir", p.DataDir}
	if p.LogDir != "" { // --wal-dir, or where a link leads to
		dirs = append(dirs, p.LogDir)
	}
	if p.WALDir != "" {
		flags = append(flags, "--wal-dir", p.WALDir)
	}
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		steps = append(steps, "restore the SELinux labels:"+commandIndent+printable.Command(append([]string{"restorecon", "-R"}, dirs...)...))
	}
	return append(steps, fmt.Sprintf(`%s
       %s
       --initial-advertise-peer-urls %s
     as a systemd unit: systemctl start etcd
     under kubeadm: move etcd.yaml back into /etc/kubernetes/manifests, and kube-apiserver.yaml when etcd answers`,
		start, printable.Command(flags...), printable.Command(strings.Join(p.Cluster.URLs(), ","))),
		"check: "+printable.Command(slices.Concat([]string{"etcdctl"}, n.certs, []string{"endpoint", "status", "--cluster", "-w", "table"})...))
}

// restoreOthers says how the other members get the same snapshot: members that start with different bytes never agree.
func (n nextSteps) restoreOthers() string {
	text := "restore the other members, each on its node, with etcd stopped:"
	for _, name := range n.others {
		text += commandIndent + printable.Command(slices.Concat([]string{program, "restore"}, n.from, []string{"--name", name}, n.same)...)
	}
	if n.note != "" {
		text += "\n     " + n.note
	}
	return text
}

func absolutePath(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}
