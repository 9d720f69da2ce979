package config

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Place is where snapshots are.
type Place string

// The places, as --from names them.
const (
	Anywhere Place = "" // not given: the command decides
	Local    Place = "local"
	S3       Place = "s3"
	Peer     Place = "peer"
	All      Place = "all" // Local and S3
)

// ReadPlace reads --from, which must be one of the allowed places.
func ReadPlace(c *cli.Context, allowed ...Place) (Place, error) {
	p := Place(c.String("from"))
	if slices.Contains(allowed, p) {
		return p, nil
	}
	return p, Usagef("--from: %q is not %s", p, oneOf(allowed))
}

// ReadPlaces reads the --from of a command that works on several places at once. Without --from both count if there is a bucket.
func ReadPlaces(c *cli.Context, hasBucket bool) (local, bucket bool, err error) {
	p, err := ReadPlace(c, Anywhere, Local, S3, All)
	switch {
	case err != nil:
		return false, false, err
	case p == Anywhere:
		return true, hasBucket, nil
	case p != Local && !hasBucket:
		return false, false, Usagef("--from %s needs --s3-bucket", p)
	}
	return p != S3, p != Local, nil
}

// oneOf lists places as people write them: local, s3 or all.
func oneOf(places []Place) string {
	var names []string
	for _, p := range places {
		if p != Anywhere {
			names = append(names, string(p))
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
