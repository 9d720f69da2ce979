package e2e_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

const (
	// walSpace is what etcd's write-ahead log takes beside the database: a segment, and the next one that stands ready.
	walSpace = 128 << 20
	slack    = 2 << 20 // for directories and small files
)

// A restore needs room for the database twice and for etcd's log: with that much it ends well, with less it is refused before
// anything is made. What says nothing of its size before is refused as soon as the rest of the restore has no room.
func TestRestoreRefusesADiskThatIsTooSmall(t *testing.T) {
	parallel(t)
	c := solid(t)
	archive := saved(t, c)
	raw := unpack(t, archive)
	info, err := os.Stat(raw)
	must(t, err)
	twice := 2*info.Size() + walSpace
	unknown := pack(t, func(w io.Writer) {
		db, err := os.ReadFile(raw)
		must(t, err)
		_, err = w.Write(db)
		must(t, err)
	})
	endless := pack(t, func(w io.Writer) {
		head, err := begin(raw)
		must(t, err)
		_, err = io.Copy(w, io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, walSpace+64<<20)))
		must(t, err)
	})
	for _, x := range []struct {
		name, snapshot string
		size           int64
		status         int
		words          []string
	}{
		{"twice", archive, twice + slack, 0, []string{"restored"}},
		{"not twice", archive, twice - slack, 1, []string{"not enough free space", "free some space there"}},
		{"not twice, and no size", unknown, twice - slack, 1, []string{"not enough free space"}},
		{"no room for what comes", endless, walSpace + slack, 1, []string{"not enough free space", "free some space there"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := onSmallDisk(t, fmt.Sprint(x.size), func(dir string) []string {
				return []string{"restore", x.snapshot, "--data-dir=" + dir + "/data"}
			})
			left := p.demandOnDisk(t, x.status, x.words...)
			if x.status == 0 && !slices.Equal(left, []string{"data"}) {
				t.Errorf("on the disk there is %s", left)
			}
		})
	}
}

func pack(t *testing.T, write func(io.Writer)) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "snapshot.gz"))
	must(t, err)
	w, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	must(t, err)
	write(w)
	must(t, w.Close())
	must(t, f.Close())
	return f.Name()
}

// sharingDisk makes an XFS of its own on $2, which shares the blocks of copies, fills it but for $1 bytes, and runs the rest
// there. The file system writes no more ahead than it is asked to, and takes for itself a part of what is free.
const sharingDisk = `
set -e
truncate -s 512M "$2.img" && mkfs.xfs -q "$2.img"
mount -o loop,allocsize=64k "$2.img" "$2"
dir=$2
fallocate -l $(( $(stat -f -c '%a * %S' "$dir") - $1 )) "$dir/.filler"
shift 2
exec "$@"
`

// Where the file system shares the blocks of a copy, there is the database once.
func TestRestoreNeedsLessWhereBlocksAreShared(t *testing.T) {
	parallel(t)
	archive := saved(t, solid(t))
	info, err := os.Stat(unpack(t, archive)) // how much a database has grown depends on the pace of the writes, too
	must(t, err)
	for _, x := range []struct {
		free   int64
		status int
		word   string
	}{
		{info.Size()*3/2 + walSpace, 0, "restored"},
		{info.Size()/2 + walSpace, 1, "not enough free space"},
	} {
		dir := filepath.Join(t.TempDir(), "mount")
		must(t, os.Mkdir(dir, 0o700))
		cmd := exec.Command("sh", "-c", sharingDisk, "sh", fmt.Sprint(x.free), dir, lean, "restore", archive, "--data-dir="+dir+"/data")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		launch(t, cmd).demand(t, x.status, x.word)
	}
}

// A data directory may be a mount point: everything happens on its disk, and what is there next to etcd's data stays.
func TestRestoreIntoAMountPoint(t *testing.T) {
	parallel(t)
	b := newRestoreBed(t)
	script := `
set -e
mount -t tmpfs -o size=400m,mode=700 tmpfs "$1"
mkdir -p "$1/member/snap" "$1/member/wal" "$1/lost+found" && echo old >"$1/member/snap/db" && echo old >"$1/member/wal/0.wal"
"$2" restore "$3" --data-dir="$1" && exit 90
"$2" restore "$3" --data-dir="$1" --replace
mv "$1"/member.before-restore-* "$1/old" && cat "$1/old/snap/db"
test -s "$1/member/snap/db" && test "$(stat -c %a "$1/member")" = 700 && echo && ls -A "$1"
"$2" restore "$3" --data-dir="$1/data" --wal-dir="$4/wal"
ls "$4/wal" && echo end
`
	dir, other := t.TempDir(), t.TempDir()
	cmd := exec.Command("sh", "-c", script, "sh", dir, lean, b.archive, other)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	launch(t, cmd).demand(t, 0, "is not empty", "mv -T "+dir+"/member ", "\nold\n", "\nlost+found\nmember\nold\n", ".wal\nend\n")
}

// A disk of etcd's data that is in /etc/fstab and not mounted now would hide the restored data after the next boot.
func TestRestoreRefusesUnderADiskThatTheNextBootMounts(t *testing.T) {
	parallel(t)
	b := newRestoreBed(t)
	script := `
set -e
mkdir -p "$1/member" && echo "/dev/disk $1/member ext4 defaults 0 2" >"$1/fstab" && mount --bind "$1/fstab" /etc/fstab
"$2" restore "$3" --data-dir="$1" --dry-run && exit 90
"$2" restore "$3" --data-dir="$1" && exit 90
test -z "$(ls -A "$1/member")"
mount -t tmpfs -o size=400m,mode=700 tmpfs "$1/member"
"$2" restore "$3" --data-dir="$1"
`
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", script, "sh", dir, lean, b.archive)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	launch(t, cmd).demand(t, 0, dir+"/member is in /etc/fstab and is not mounted", "mount it, or remove it from /etc/fstab", "restored "+dir)
}

// What is in a bucket is not downloaded to a disk that has no room for it and for etcd's log.
func TestRestoreFromABucketRefusesAFullDiskBeforeTheDownload(t *testing.T) {
	parallel(t)
	m := newMirrorBed(t, plainServer.get(t))
	b := m.bucket(t)
	b.plant(m.save(t), rolling(t, node, 1)...)
	p := onSmallDisk(t, fmt.Sprint(walSpace-slack), func(dir string) []string {
		return words("restore", b.flags(m.server.Target), []string{"--from=s3", "--dir=" + dir + "/store", "--data-dir=" + dir + "/data", "--members=single"})
	})
	if left := p.demandOnDisk(t, 1, "download rolling_", "not enough free space", "free some space there"); len(left) > 0 {
		t.Errorf("on the disk there is %s", left)
	}
}
