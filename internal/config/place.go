package config

import (
	"slices"

	"github.com/dustin/go-humanize/english"
	"github.com/urfave/cli/v2"

	"etcd-rolling-backup/s3"
)

// ReadPlace reads --from, which must be one of the allowed places.
func ReadPlace(c *cli.Context, allowed ...Place) (Place, error) {
	p := Place(c.String("from"))
	if slices.Contains(allowed, p) {
		return p, nil
	}
	var names []string
	for _, place := range allowed {
		if place != Anywhere {
			names = append(names, string(place))
		}
	}
	return p, Usagef("--from: %q is not %s", p, english.WordSeries(names, "or"))
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

// ReadRemovalPlaces is ReadPlaces for a command that removes snapshots there: nothing is removed from a bucket whose lifecycle does that.
func ReadRemovalPlaces(c *cli.Context, bucket *s3.Config) (local, inBucket bool, err error) {
	local, inBucket, err = ReadPlaces(c, bucket != nil)
	switch {
	case err != nil || !inBucket || !bucket.AppendOnly:
		return local, inBucket, err
	case Place(c.String("from")) == Anywhere:
		return local, false, nil
	}
	return false, false, Usagef("--from %s: with --s3-append-only nothing is removed from the bucket, whose lifecycle does that: use --from local", c.String("from"))
}
