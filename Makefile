# Needs Go, make, git, a C compiler (for -race) and the usual shell tools.
# Narrow a target to some packages: make race PKG=./actors/breaker

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PKG      ?= ./...
FUZZTIME ?= 30s
COUNT    ?= 20
BOUND    ?= 60s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Modules of their own, that ./... does not reach. Those of test/integration
# want real servers: they are vetted here, and run by hand.
MODULES  := $(patsubst %/go.mod,%,$(wildcard test/*/go.mod))
CHEAP    := $(if $(filter ./...,$(PKG)),$(filter-out test/integration,$(MODULES)))
EXAMPLES := $(patsubst %/,%,$(wildcard examples/*/))

# Tools are pinned in tools/go.mod, so that no user of the library downloads them.
TOOL := go tool -modfile=$(CURDIR)/tools/go.mod

.PHONY: help test race lint bench bench-peers bench-smoke fuzz stress examples demo build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## run every test once, shuffled; the other modules' too where that is cheap
	go test -shuffle=on $(PKG)
	@for m in $(CHEAP); do echo "== $$m"; go -C $$m test ./...; done

race: ## run every test under the race detector, shuffled
	go test -race -shuffle=on $(PKG)

lint: ## gofmt, go vet, staticcheck and go mod tidy must have nothing to say
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not gofmt'ed:"; echo "$$files"; exit 1; }
	go vet ./...
	$(TOOL) staticcheck ./...
	go mod tidy -diff
	@for m in $(MODULES); do echo "== $$m"; (cd $$m; go vet ./...; $(TOOL) staticcheck ./...; go mod tidy -diff); done

bench: ## run every benchmark with allocations
	go test -run '^$$' -bench . -benchmem $(PKG)

bench-peers: ## compare with gobreaker, failsafe-go and protoactor; fails over a budget
	cd test/bench && go run .

bench-smoke: ## run the benchmarks of test/bench once each, without judging the figures
	cd test/bench && go vet ./... && go test -run '^$$' -bench . -benchtime 1x ./...

fuzz: ## run each fuzz target for FUZZTIME (30s)
	@go test -list '^Fuzz' $(PKG) | awk '/^Fuzz/ { name[n++] = $$1 } $$1 == "ok" { while (n) print $$2, name[--n] }' | \
	while read -r pkg name; do \
		echo "== $$pkg $$name"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$pkg" </dev/null; \
	done

stress: ## run every test COUNT (20) times under the race detector, shuffled
	go test -race -shuffle=on -count=$(COUNT) -failfast -timeout 60m $(PKG)

examples: ## build and run each example; each ends by itself within BOUND (60s)
	@for e in $(EXAMPLES); do \
		echo "== $$e"; \
		go build -C $$e -o $(CURDIR)/bin/$$e .; \
		timeout --foreground $(BOUND) bin/$$e </dev/null || { echo "$$e: exit status $$?"; exit 1; }; \
	done

demo: build ## watch endpoints fail and the understudy go on
	bin/understudy demo

build: ## build bin/understudy
	go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/understudy ./cmd/understudy

clean: ## remove what the targets leave
	rm -rf bin
