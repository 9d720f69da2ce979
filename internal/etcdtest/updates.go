package etcdtest

import "math/rand/v2"

const (
	updatedObjects = 2000
	// smallestUpdate and largestUpdate are the sizes of most objects that change often in Kubernetes: pods, nodes, custom resources.
	smallestUpdate, largestUpdate = 2 << 10, 8 << 10
)

// Updates are puts as a cluster at work makes them: of the same 2,000 objects of 2 to 8 KiB again and again, each time with few changes, and of some
// of them more often than of others. Together the objects are larger than what a compressor usually looks back. It is for one goroutine.
type Updates struct {
	rng     *rand.Rand
	objects []object
	enc     encoder
}

// NewUpdates returns the same puts for equal seeds.
func NewUpdates(seed uint64) *Updates {
	u := &Updates{rng: rand.New(rand.NewPCG(seed, fillWorkers+1))}
	all := kinds()
	for len(u.objects) < updatedObjects {
		o := object{kind: &all[u.rng.IntN(len(all))], seed: u.rng.Uint64()}
		if _, value := o.content(&u.enc); len(value) >= smallestUpdate && len(value) <= largestUpdate {
			u.objects = append(u.objects, o)
		}
	}
	return u
}

// Next returns the next put.
func (u *Updates) Next() (key, value string) {
	x := u.rng.Float64()
	o := &u.objects[int(float64(len(u.objects))*x*x)]
	o.gen++
	return o.content(&u.enc)
}
