//go:build kubernetes

package kubernetestest

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// A deleted namespace comes back from its export with all that was in it: kubectl diff finds nothing, and a second apply changes nothing.
func TestDeletedNamespaceComesBackFromItsExport(t *testing.T) {
	s := newShop(t, etcdVersions()[1])
	before := s.objects(t)
	s.commands(t, "etcd-rolling-backup save --label before", "kubectl delete namespace shop --wait=false", "etcd-rolling-backup save --label terminating")
	s.deleteNamespace(t)
	manifests, notes := s.commands(t, "etcd-rolling-backup export namespace shop --snapshot before")
	for _, note := range []string{
		"left out: 1, events are history", "left out: 1, its owner is exported and makes it again", "left out: 1, leases are renewed by their holders",
		"needs these CustomResourceDefinitions, which are not in it: widgets.example.org", "PersistentVolumeClaim shop/data: its data is not in any snapshot",
	} {
		if !strings.Contains(notes, note) {
			t.Errorf("%q is not in\n%s", note, notes)
		}
	}
	if terminating, _ := s.commands(t, "etcd-rolling-backup export namespace shop --snapshot terminating"); terminating != manifests {
		t.Errorf("the export while the namespace was Terminating is another one:\n%s", terminating)
	}

	s.commands(t, "etcd-rolling-backup export namespace shop --snapshot before | kubectl apply -f -")
	after := s.objects(t)
	for _, skipped := range []string{"Event/web.1", "ReplicaSet/web-5d4f", "Lease/leader"} {
		if before[skipped] == nil {
			t.Errorf("%s was not there", skipped)
		}
		delete(before, skipped)
	}
	if is, was := slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)); !slices.Equal(is, was) {
		t.Errorf("there are %s, want %s", is, was)
	}
	s.commands(t, "etcd-rolling-backup export namespace shop --snapshot before | kubectl diff -f -",
		"etcd-rolling-backup export namespace shop --snapshot before | kubectl apply -f -")
	if first, second := versions(after), versions(s.objects(t)); !maps.Equal(first, second) {
		t.Errorf("the second apply changed something: %v, before %v", second, first)
	}
	for name, o := range before {
		wantSame(t, name, o, after[name])
	}
}

// What belongs to no namespace comes back too.
func TestDeletedClusterObjectsComeBackFromTheirExport(t *testing.T) {
	s := newShop(t, etcdVersions()[0])
	s.commands(t, "etcd-rolling-backup save --label before")
	names := " priorityclass,storageclass,clusterrole,clusterrolebinding,ingressclass,runtimeclass,validatingwebhookconfiguration,prioritylevelconfiguration,pv " +
		"shop-high shop-disk shop-reader shop-ingress shop-runtime shop-hook shop-level shop-volume "
	s.commands(t, "kubectl delete --wait=false -f "+testdata(t, "cluster.yaml"), `kubectl patch pv shop-volume --type=merge -p '{"metadata":{"finalizers":null}}'`)
	s.commands(t, "etcd-rolling-backup export"+names+"--snapshot before --to cluster.yaml", "kubectl apply -f cluster.yaml", "kubectl diff -f cluster.yaml")
	s.commands(t, "kubectl get priorityclass/shop-high storageclass/shop-disk clusterrole/shop-reader clusterrolebinding/shop-reader ingressclass/shop-ingress "+
		"runtimeclass/shop-runtime validatingwebhookconfiguration/shop-hook prioritylevelconfiguration/shop-level pv/shop-volume")
}

// `diff latest live` says what has changed since the snapshot, and hides Secrets.
func TestDiffShowsWhatChangedSinceTheSnapshot(t *testing.T) {
	s := newShop(t, etcdVersions()[0])
	s.commands(t, "etcd-rolling-backup save", "kubectl scale -n shop deploy/web --replicas=5", "kubectl delete -n shop cm/settings svc/headless",
		"kubectl create -n shop cm new --from-literal=a=b", `kubectl patch -n shop secret password -p '{"stringData":{"password":"tell-nobody"}}'`,
		`kubectl patch -n shop deploy web --subresource=status --type=merge -p '{"status":{"observedGeneration":7}}'`,
		`kubectl patch -n shop pdb web --subresource=status --type=merge -p '{"status":{"observedGeneration":7}}'`)
	out, summary := s.commands(t, "etcd-rolling-backup diff latest live /registry/")
	for _, line := range []string{
		"~ /registry/deployments/shop/web\n", "    spec.replicas 2 -> 5\n", "- /registry/configmaps/shop/settings\n", "- /registry/services/specs/shop/headless\n",
		"+ /registry/configmaps/shop/new\n", "~ /registry/secrets/shop/password\n    data.password *** -> ***\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in\n%s", line, out)
		}
	}
	if strings.Contains(out, "tell-nobody") || strings.Contains(out, "observedGeneration") || strings.Contains(out, "poddisruptionbudgets") {
		t.Error(out)
	}
	if !strings.Contains(summary, "changes of status or managedFields alone") {
		t.Error(summary)
	}
	_, _, status := s.shell(t, "etcd-rolling-backup diff latest live --exit-code")
	if status != 1 {
		t.Errorf("--exit-code: status %d", status)
	}
}

// The commands of the runbook bring back a namespace, single objects, a Secret from a snapshot after its deletion, and a definition.
func TestRunbookBringsDeletedObjectsBack(t *testing.T) {
	s := newShop(t, etcdVersions()[0])
	s.commands(t, "etcd-rolling-backup save --rolling")
	listed, _ := s.commands(t, "etcd-rolling-backup list")
	snapshot := strings.Fields(strings.SplitAfter(listed, "\n")[1])[0]
	password, _ := s.commands(t, "kubectl get secret password -n shop -o jsonpath={.data}")
	chapters := runbookBlocks(t)
	if len(chapters) != 4 {
		t.Fatalf("%d blocks in the runbook", len(chapters))
	}
	follow := func(block string) string {
		revision := ""
		all := ""
		for line := range strings.Lines(strings.NewReplacer("rolling_node-a_20261121T220000Z.db.zst", snapshot).Replace(block)) {
			line = strings.TrimSpace(strings.Replace(line, "--revision 81203", "--revision "+revision, 1))
			out, failed, status := s.shell(t, line)
			if differs := strings.HasPrefix(line, "kubectl diff") && status == 1; status != 0 && !differs {
				t.Fatalf("%s: status %d\n%s%s", line, status, out, failed)
			}
			if strings.Contains(line, "ls --deleted") {
				revision = strings.Fields(strings.SplitAfter(out, "\n")[1])[2]
			}
			all += out
		}
		return all
	}

	s.deleteNamespace(t)
	if out := follow(chapters[0]); !strings.Contains(out, "- /registry/namespaces/shop\n") {
		t.Errorf("diff: %s", out)
	}
	s.commands(t, "kubectl get -n shop deploy/web secret/password widget/one", "kubectl diff -f shop.yaml")

	s.commands(t, "kubectl delete -n shop cm/settings", "kubectl scale -n shop deploy/web --replicas=7")
	if out := follow(chapters[1]); !strings.Contains(out, "-  replicas: 7") || !strings.Contains(out, "+  replicas: 2") {
		t.Errorf("kubectl diff: %s", out)
	}
	s.commands(t, "kubectl get -n shop cm/settings", "kubectl diff -f web.yaml")

	s.commands(t, "kubectl delete -n shop secret/password")
	follow(chapters[2])
	if again, _ := s.commands(t, "kubectl get secret password -n shop -o jsonpath={.data}"); again != password {
		t.Errorf("the Secret has %s, had %s", again, password)
	}

	s.commands(t, "kubectl delete crd widgets.example.org")
	follow(chapters[3])
	s.commands(t, "kubectl get -n shop widget/one", "kubectl diff -f crd.yaml", "kubectl diff -f widgets.yaml")
}

// runbookBlocks are the blocks of shell in the runbook that this package tests.
func runbookBlocks(t *testing.T) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/RESTORE.md")
	must(t, err)
	for _, rest := range strings.Split(string(text), "<!-- tested elsewhere: make test-kubernetes, "+t.Name()+" -->\n```sh\n")[1:] {
		block, _, _ := strings.Cut(rest, "```")
		blocks = append(blocks, block)
	}
	return blocks
}
