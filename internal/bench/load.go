package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"etcd-rolling-backup/internal/etcdtest"
)

const (
	loadRate  = 200     // puts per second
	loadBytes = 4 << 10 // of each
	loadKeys  = 1000
	// loadStreams is how many puts wait for etcd at the same time at most; more would measure a queue in this process.
	loadStreams = 200
	updateRate  = 300 // puts per second that change objects like those of Kubernetes
	mixedRate   = 400 // puts per second, of which
	mixedLarge  = 20  // one in so many has
	largeBytes  = 1_500_000
	largeValues = 16 // so many different ones: more than the window of the compression holds
)

// puts are the kinds of loads.
func puts(kind string) (perSecond int, next func(i int) (key, value string)) {
	updates := etcdtest.NewUpdates(1)
	switch kind {
	case "updates":
		return updateRate, func(int) (string, string) { return updates.Next() }
	case "mixed":
		large := make([]string, largeValues)
		for i := range large {
			value := make([]byte, largeBytes)
			_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(value) // never fails
			large[i] = string(value)
		}
		return mixedRate, func(i int) (string, string) {
			if i%mixedLarge == 0 {
				return "/bench/large/" + strconv.Itoa(i%loadKeys), large[i/mixedLarge%largeValues]
			}
			return updates.Next()
		}
	}
	value := string(make([]byte, loadBytes))
	return loadRate, func(i int) (string, string) { return "/bench/load/" + strconv.Itoa(i%loadKeys), value }
}

// load puts keys at a fixed rate until stdin ends, and prints how long each put took, from the moment when it was due: a client that waits
// for etcd before its next put would not see how long etcd kept others waiting.
func load(ctx context.Context, endpoint, kind string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // its end is the signal
		cancel()
	}()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	took, revision, err := putAll(ctx, client, kind)
	if err == nil && revision > 0 { // else each phase would have a larger database than the one before
		_, err = client.Compact(context.WithoutCancel(ctx), revision)
	}
	return errors.Join(err, client.Close(), json.NewEncoder(out).Encode(took))
}

func putAll(ctx context.Context, client *clientv3.Client, kind string) (took []time.Duration, revision int64, err error) {
	var mu sync.Mutex
	var running sync.WaitGroup
	rate, next := puts(kind)
	slots := make(chan struct{}, loadStreams)
	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		select {
		case <-ctx.Done():
			continue
		case <-time.After(time.Until(due)):
		}
		slots <- struct{}{}
		key, value := next(i)
		running.Go(func() {
			defer func() { <-slots }()
			r, failed := client.Put(context.WithoutCancel(ctx), key, value)
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				err = errors.Join(err, failed)
				return
			}
			took, revision = append(took, time.Since(due)), max(revision, r.Header.Revision)
		})
	}
	running.Wait()
	return took, revision, err
}

// quantile returns the latency that a share q of all puts, which are sorted, did not exceed.
func quantile(took []time.Duration, q float64) time.Duration {
	return took[min(int(q*float64(len(took))), len(took)-1)]
}
