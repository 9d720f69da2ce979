# Two commands do everything on a machine with Go and make:
#   make demo    the main job, shown step by step on a throwaway etcd
#   make test    all tests; first builds the real etcd servers that they run against (some minutes, once)

SHELL   := /bin/bash
BIN     := .cache/bin
ETCDS   := $(BIN)/etcd-3.4/etcd $(BIN)/etcd-3.5/etcd $(BIN)/etcd-3.6/etcd $(BIN)/etcd-3.7/etcd
MINIO   := $(BIN)/minio
MC      := $(BIN)/mc
PROMTOOL := $(BIN)/promtool
KUBE    := $(BIN)/kube-apiserver
KUBECTL := $(BIN)/kubectl
MANIFESTS := $(BIN)/manifests
PODMONITORS := $(BIN)/podmonitors.yaml
NFPM    := $(BIN)/nfpm
CYCLONEDX := $(BIN)/cyclonedx-gomod
PROGRAM := $(BIN)/etcd-rolling-backup
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# For a quicker look: make bench BENCH="-sizes 256MiB -rounds 3"
BENCH ?= -sizes 1GiB,4GiB -rounds 5
# How long each fuzz target runs. It begins with the corpus in testdata/fuzz, which every test run uses too. An input that fails is written
# there. To keep others, copy them from $(go env GOCACHE)/fuzz.
FUZZTIME ?= 30s
# The packages with goroutines of ours, whose tests run with the race detector. The others drive programs; internal/e2e starts
# daemons that do much at once with it.
RACED   := ^etcd-rolling-backup/(daemon|metrics|s3|internal/service)(/|$$)|/snapshot(/(drill|input|peer|restore))?$$

.PHONY: build demo test test-boot test-image test-kubernetes test-kubetypes kubetypes test-packages test-release packages release lint lint-dashboard fuzz bench tools clean

build: ## the program, static, in .cache/bin
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(PROGRAM) .

demo: build $(BIN)/etcd-3.7/etcd ## the main job on a throwaway etcd, within a minute
	go run ./internal/demo -program $(PROGRAM)

# A drill has niceness 19. Next to tests of niceness 0 it would starve; of 19, they could not see that only the drill is low.
test: $(ETCDS) $(MINIO) $(MC) $(PROMTOOL) $(MANIFESTS) ## all tests, those of packages with goroutines with the race detector
	tools/packages.sh
	@nice -n 18 go test -timeout 40m $$(go list ./... | grep -vE '$(RACED)'); plain=$$?; \
	nice -n 18 go test -race -p 3 -timeout 40m $$(go list ./... | grep -E '$(RACED)') && exit $$plain

test-boot: build $(BIN)/etcd-3.7/etcd ## the systemd unit in a booted Debian; root, mmdebstrap, systemd-container
	systemd/test-boot.sh

test-packages: $(NFPM) $(CYCLONEDX) $(BIN)/etcd-3.7/etcd $(MINIO) $(MC) ## deb and rpm installed, upgraded, removed in a booted Debian; root, mmdebstrap, systemd-container, lintian, rpm, zsh, fish
	packaging/test-packages.sh

test-release: $(NFPM) $(CYCLONEDX) ## a release of the last commit, built twice, has the same bytes
	packaging/test-release.sh

packages: $(NFPM) $(CYCLONEDX) ## deb and rpm for this machine, in dist
	packaging/release.sh $(VERSION) dist $$(go env GOARCH)

release: $(NFPM) $(CYCLONEDX) ## archives, packages, SBOMs and checksums for amd64 and arm64, in dist
	packaging/release.sh $(VERSION) dist amd64 arm64

test-image: $(ETCDS) $(MINIO) $(PROMTOOL) ## both images, built and run, one as RKE does; root, buildah, podman, runc, busybox-static
	go test -p 1 -v -count=1 -timeout 30m -tags image -run Image ./internal/imagetest ./internal/rketest

test-kubernetes: build $(BIN)/etcd-3.6/etcd $(BIN)/etcd-3.7/etcd $(KUBE) $(KUBECTL) $(PODMONITORS) ## restore --kubernetes, and the manifests, under a real API server; first builds it (some minutes, once)
	go test -race -v -count=1 -timeout 10m -tags kubernetes ./internal/kubernetestest

test-kubetypes: ## what Kubernetes keeps in etcd is decoded as its own code does; the committed table is the generator's
	tools/kubetypes/generate.sh .cache/kubetypes/generated
	cmp .cache/kubetypes/generated/types.zst snapshot/kube/types.zst
	cmp .cache/kubetypes/generated/testdata/fixtures.tar.zst snapshot/kube/testdata/fixtures.tar.zst
	tools/kubetypes/corpus.sh .cache/kubetypes
	go test -count=1 -timeout 10m -tags kubetypes -run AsClientGoDoes ./snapshot/kube

kubetypes: ## the table of Kubernetes' types again, after its versions in tools/kubetypes were raised
	tools/kubetypes/generate.sh snapshot/kube

lint: $(BIN)/golangci-lint $(BIN)/actionlint ## the linters, with the rule of which package imports which, and the workflows
	$(BIN)/golangci-lint run ./...
	$(BIN)/actionlint -shellcheck= -pyflakes=

lint-dashboard: ## the dashboard against Grafana's own schema; npm
	packaging/grafana/schema.sh

fuzz: ## each fuzz target for FUZZTIME
	@set -e; for package in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -hoE '^func Fuzz[A-Za-z]+' $$package/*_test.go | sed 's/func //'); do \
	    go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package; \
	  done; \
	done

bench: build $(BIN)/etcd-3.7/etcd $(MINIO) ## time, memory and writing beside etcdctl, deflate and FPutObject; the tables of docs/BENCHMARKS.md
	@mkdir -p .cache/bench
	go build -o $(BIN)/bench ./internal/bench
	$(BIN)/bench -program $(PROGRAM) -dir .cache/bench $(BENCH)

tools: $(ETCDS) $(MINIO) $(MC) $(PROMTOOL) $(MANIFESTS) $(BIN)/golangci-lint $(BIN)/actionlint ## the real servers and the linters

clean: ## all that was built
	rm -rf .cache

# Each version is a module of its own, for one version of etcd excludes the others from a build.
$(BIN)/etcd-3.4/etcd: tools/etcd-3.4/fetch.sh
	tools/etcd-3.4/fetch.sh $(@D)

$(BIN)/etcd-%/etcd: tools/etcd-%/go.mod
	@mkdir -p $(@D)
	cd tools/etcd-$* && go build -trimpath -o ../../$(@D)/etcdctl go.etcd.io/etcd/etcdctl/v3
	cd tools/etcd-$* && go build -trimpath -o ../../$(@D)/etcdutl go.etcd.io/etcd/etcdutl/v3
	cd tools/etcd-$* && go build -trimpath -o ../../$(@D)/etcd go.etcd.io/etcd/server/v3

$(MINIO): tools/minio/go.mod
	cd tools/minio && go build -trimpath -o ../../$@ github.com/minio/minio

$(MC): tools/mc/go.mod
	cd tools/mc && go build -trimpath -o ../../$@ github.com/minio/mc

# Kubernetes' releases too get their version from the linker.
$(KUBE) $(KUBECTL): tools/kubernetes/go.mod
	cd tools/kubernetes && CGO_ENABLED=0 go build -trimpath -o ../../$@ \
	  -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes)" \
	  k8s.io/kubernetes/cmd/$(@F)

# The definition of PodMonitor is a file of the operator's own module, in the version of its types; Go checks its sum.
$(PODMONITORS): tools/manifests/go.mod
	cd tools/manifests && operator=github.com/prometheus-operator/prometheus-operator && \
	  version=$$(go list -m -f '{{.Version}}' $$operator/pkg/apis/monitoring) && \
	  dir=$$(go mod download -json $$operator@$$version | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p') && \
	  install -m 0644 "$$dir/example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml" ../../$@

$(MANIFESTS): tools/manifests/go.mod tools/manifests/main.go
	cd tools/manifests && go build -trimpath -o ../../$@ .

$(NFPM): tools/nfpm/go.mod
	cd tools/nfpm && go build -trimpath -o ../../$@ github.com/goreleaser/nfpm/v2/cmd/nfpm

$(CYCLONEDX): tools/cyclonedx/go.mod
	cd tools/cyclonedx && go build -trimpath -o ../../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

# Comes with the prometheus beside it.
$(PROMTOOL): tools/prometheus/fetch.sh
	tools/prometheus/fetch.sh $(@D)

$(BIN)/golangci-lint: tools/lint/go.mod
	cd tools/lint && go build -trimpath -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BIN)/actionlint: tools/actionlint/go.mod
	cd tools/actionlint && go build -trimpath -o ../../$@ github.com/rhysd/actionlint/cmd/actionlint
