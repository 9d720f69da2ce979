package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/snapshot"
)

const fromPeer = "peer"

// sourced is a snapshot to restore, and where it came from, as people are told.
type sourced struct {
	*picked
	place string
	peer  bool // place is one
}

// pickSource opens what is to be restored, from the place that --from names. Without it, a file's path is a file, --peer
// means the peer, and of the two stores the local one is asked first.
func pickSource(c *cli.Context, e env) (*sourced, error) {
	if err := checkS3(c); err != nil {
		return nil, err
	}
	from := c.String("from")
	path := strings.ContainsRune(reference(c), filepath.Separator)
	switch {
	case from == "" && c.String("peer") != "":
		from = fromPeer
	case from == fromS3 && !hasBucket(c):
		return nil, usagef("--from s3 needs --s3-bucket")
	case from == fromPeer && c.String("peer") == "":
		return nil, usagef("--from peer needs --peer HOST:PORT, as serve prints it")
	case from != fromPeer && c.String("peer") != "":
		return nil, usagef("--peer goes with --from peer")
	case from != "" && from != fromLocal && path:
		return nil, usagef("--from %s: %s is a file's path: leave --from out, or give a name", from, reference(c))
	}
	switch from {
	case "":
		return pickNearest(c, e, path)
	case fromLocal:
		p, err := pickLocal(c)
		return sourcedFrom(p, c.String("dir"), err)
	case fromS3:
		p, err := pickBucket(c, e)
		return sourcedFrom(p, "s3://"+c.String("s3-bucket"), err)
	case fromPeer:
		p, err := pickPeer(c, e)
		if err != nil {
			return nil, err
		}
		return &sourced{picked: p, place: c.String("peer"), peer: true}, nil
	}
	return nil, usagef("--from: %q is not local, s3 or peer", from)
}

// pickNearest asks the bucket only for what the directory does not have.
func pickNearest(c *cli.Context, e env, path bool) (*sourced, error) {
	p, err := pickLocal(c)
	place := c.String("dir")
	if path {
		place = "a file"
	}
	missing := errors.Is(err, snapshot.ErrNotFound) || errors.Is(err, snapshot.ErrUnusableDir) && errors.Is(err, os.ErrNotExist)
	switch {
	case path || !missing:
		return sourcedFrom(p, place, err)
	case !hasBucket(c):
		return nil, fmt.Errorf("%w (in a bucket or at a peer? give --s3-bucket or --peer; a file: its path with a slash in it)", err)
	}
	if _, err := fmt.Fprintf(e.stderr, "%s has no such snapshot: looking into the bucket\n", c.String("dir")); err != nil {
		return nil, err
	}
	p, err = pickBucket(c, e)
	return sourcedFrom(p, "s3://"+c.String("s3-bucket"), err)
}

func sourcedFrom(p *picked, place string, err error) (*sourced, error) {
	if err != nil {
		return nil, err
	}
	return &sourced{picked: p, place: place}, nil
}

// pickBucket brings it to the disk that it is restored to.
func pickBucket(c *cli.Context, e env) (*picked, error) {
	r, err := findRemote(c)
	if err != nil {
		return nil, err
	}
	defer r.bucket.Close()
	return fetchTo(c, e, r.entry.Name.String(), r)
}
