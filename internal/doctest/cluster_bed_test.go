package doctest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// eachAtOnce calls f for machines side by side.
func eachAtOnce(machines []*machine, f func(*machine) error) error {
	results := make(chan error, len(machines))
	for _, m := range machines {
		go func() { results <- f(m) }()
	}
	var errs []error
	for range machines {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// up starts etcd on all machines.
func (b *bed) up(t *testing.T) {
	t.Helper()
	if err := eachAtOnce(b.machines, func(m *machine) error { return m.startEtcd(t.Context()) }); err != nil {
		t.Fatal(err)
	}
}

// What the keys are when the snapshot is taken, and afterwards.
func snapshotKeys() map[string]string {
	return map[string]string{"/registry/minions/node-a": "a node", "/registry/secret": "old"}
}

func laterKeys() map[string]string {
	return map[string]string{"/registry/secret": "new", "/registry/mistake": "made"}
}

// fill writes what the snapshot is to hold.
func (b *bed) fill(t *testing.T) {
	t.Helper()
	client := b.machines[0].dial(t)
	for key, value := range snapshotKeys() {
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
}

// goOn is what happens after the snapshot.
func (b *bed) goOn(t *testing.T) {
	t.Helper()
	client := b.machines[0].dial(t)
	if _, err := client.Delete(t.Context(), "/registry/minions/node-a"); err != nil {
		t.Fatal(err)
	}
	for key, value := range laterKeys() {
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
}

// backup lets the daemon of the first machine take a snapshot.
func (b *bed) backup(t *testing.T, flags string, done func(output string) bool) {
	t.Helper()
	b.fill(t)
	m := b.machines[0]
	if b.clientTLS {
		flags += " --cacert " + b.pki.CACert + " --cert " + b.pki.Client.Cert + " --key " + b.pki.Client.Key
	}
	if done == nil {
		done = func(string) bool { return m.hasSnapshot(t) }
	}
	m.replace = strings.NewReplacer("/etc/", m.root+"/etc/")
	before := m.before
	m.before = "" // so that the shell becomes the daemon
	m.daemon(t, "exec etcd-rolling-backup daemon"+flags, done)
	m.before = before
	b.goOn(t)
}

// wantKeys compares what each machine's etcd holds.
func (b *bed) wantKeys(t *testing.T, want map[string]string, raised bool) {
	t.Helper()
	for _, m := range b.machines {
		if m.etcd.PID() == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), processLimit)
		defer cancel()
		r, err := m.dial(t).Get(ctx, "/registry/", clientv3.WithPrefix())
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		got := map[string]string{}
		for _, kv := range r.Kvs {
			got[string(kv.Key)] = string(kv.Value)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s holds %v, want %v", m.name, got, want)
		}
		if raised != (r.Header.Revision > 1_000_000_000) {
			t.Errorf("%s is at revision %d", m.name, r.Header.Revision)
		}
	}
	if !slices.ContainsFunc(b.machines, func(m *machine) bool { return m.etcd.PID() != 0 }) {
		t.Error("no etcd runs")
	}
}

// shown makes what differs from run to run alike.
func shown(text string) string {
	for _, r := range [][2]string{
		{`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`, "TIME"},
		{`\((now|\d+ \w+ ago)\)`, "AGO"},
		{`before-restore-\d{8}T\d{6}Z`, "ASIDE"},
		{`_\d{8}T\d{6}Z\.`, "_STAMP."},
		{`\b[\d.]+ [KMG]?i?B\b`, "SIZE"},
		{`restored-[0-9a-f]{16}`, "TOKEN"},
		{`etcd \d+\.\d+\.\d+`, "ETCD"},
		{`(?m)owner +\S+$`, "OWNER"},
		{`revision +\d+`, "REVISION"},
		{`hash [0-9a-f]{8}`, "HASH"},
		{`took = [\d.]+m?s`, "TOOK"},
		{`until \d\d:\d\d:\d\d`, "UNTIL"},
		{`[\d,]+ keys`, "KEYS"},
	} {
		text = regexp.MustCompile(r[0]).ReplaceAllString(text, r[1])
	}
	return oneSpaced(text)
}

// shows tells what line of a block a command did not say.
func (m *machine) shows(b block, said string) error {
	said = shown(m.restore.Replace(said))
	for line := range strings.Lines(shown(b.text)) {
		want := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(line)), "…", ".*")
		if !regexp.MustCompile(`(?m)^\s*` + want + "$").MatchString(said) {
			return fmt.Errorf("line %d: the document shows %q, the command says\n%s", b.line, strings.TrimSpace(line), said)
		}
	}
	return nil
}

// settle waits until etcd counts all members as connected, which it takes five seconds for and membership changes need
// (etcd, server/etcdserver: HealthInterval).
func settle(t *testing.T) {
	t.Helper()
	limit := time.NewTimer(5500 * time.Millisecond)
	defer limit.Stop()
	select {
	case <-limit.C:
	case <-t.Context().Done():
	}
}
