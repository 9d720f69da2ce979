package rketools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// stateObject is the name of the Secret (before rke-tools v0.1.108: ConfigMap) in which RKE stores the state, and of its only key.
const stateObject = "full-cluster-state"

const (
	// fetchLimit is the longest time that the state file can delay a snapshot.
	fetchLimit = 40 * time.Second
	// tryLimit is for one try, so that one that hangs leaves time for another.
	tryLimit = 15 * time.Second
	tries    = 5
	pause    = 5 * time.Second
)

var (
	errFetchLimit = fmt.Errorf("not fetched within %s", fetchLimit)
	errTryLimit   = fmt.Errorf("no answer within %s", tryLimit)
)

// Kubectl fetches the state file from the cluster with kubectl, as rolling snapshots need it. Make it with [NewKubectl].
type Kubectl struct {
	paths Paths
	// after is time.AfterFunc, which returns its timer's Stop.
	after func(d time.Duration, f func()) (stop func() bool)
}

// NewKubectl makes a Kubectl for the program and the kubeconfig of these paths.
func NewKubectl(p Paths) Kubectl {
	return Kubectl{p, func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }}
}

// Fetch asks kubectl for the state file; it returns within 40 seconds, or when ctx ends. It tries again after an error that may pass. All
// processes of kubectl's group are dead when it returns, and nothing is left on any disk.
func (k Kubectl) Fetch(ctx context.Context) StateFile {
	ctx, end := k.limit(ctx, fetchLimit, errFetchLimit)
	defer end()
	for try := 1; ; try++ {
		state, err := k.try(ctx)
		if err == nil {
			return StateFile{Data: state}
		}
		if _, missing := os.Stat(k.paths.kubeconfig()); errors.Is(missing, fs.ErrNotExist) && !permanent(err) {
			err = fmt.Errorf("no kubeconfig for kubectl: %w", missing)
		}
		if ctx.Err() == nil && !permanent(err) && try < tries {
			k.pause(ctx)
			if ctx.Err() == nil {
				continue
			}
		}
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w; %w", cause, err)
		}
		return StateFile{Err: fmt.Errorf("no state file in the snapshot: %w", err)}
	}
}

// try asks for the Secret and, if kubectl fails, for the ConfigMap of older clusters. A Secret that is there is the only source.
func (k Kubectl) try(ctx context.Context) ([]byte, error) {
	ctx, end := k.limit(ctx, tryLimit, errTryLimit)
	defer end()
	state, err := k.get(ctx, "secret", fromBase64)
	if err == nil || ctx.Err() != nil || permanent(err) {
		return state, err
	}
	state, older := k.get(ctx, "configmap", fromText)
	if older != nil {
		return nil, fmt.Errorf("%w; %w", err, older)
	}
	return state, nil
}

// get reads the state from one object.
func (k Kubectl) get(ctx context.Context, kind string, decode func(string) ([]byte, error)) ([]byte, error) {
	out, err := run(ctx, k.paths.kubectl(), "--request-timeout=30s", "--kubeconfig", k.paths.kubeconfig(),
		"-n", "kube-system", "get", kind, stateObject, "-o", "json")
	var state []byte
	if err == nil {
		state, err = storedState(out, decode)
	}
	if err != nil {
		return nil, fmt.Errorf("kubectl get %s %s: %w", kind, stateObject, err)
	}
	return state, nil
}

// permanent reports whether a further try can't help: no kubectl or no kubeconfig, or something else than a state file.
func permanent(err error) bool {
	return errors.Is(err, errUnusable) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOEXEC)
}

func (k Kubectl) pause(ctx context.Context) {
	ctx, end := k.limit(ctx, pause, nil)
	defer end()
	<-ctx.Done()
}

// limit is context.WithTimeoutCause by the clock of k.
func (k Kubectl) limit(ctx context.Context, d time.Duration, cause error) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := k.after(d, func() { cancel(cause) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
