package s3

import "time"

// Hasten shortens the rests between tries, which are the same otherwise.
func (b *Bucket) Hasten() { b.rest = 20 * time.Millisecond }

// Split tells how many parts an object has, and how large they are but the last.
func Split(size int64) (parts int, each, last int64) {
	p := split(size)
	return len(p), p[0].size, p[len(p)-1].size
}
