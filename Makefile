# archbench: two commands matter, run and test. Both do all the set-up they need.

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := bin/archbench
GO ?= go
# RACE=1 runs the tests with the race detector.
RACEFLAG := $(if $(RACE),-race,)
# What make test passes on to go test, such as -run or -v.
ARGS ?=

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/archbench
	$(GO) build -buildvcs=auto -o $(BIN) ./cmd/archbench

# Real Kafka is the image, else the jars, else a stand-in: say which, never fail.
.PHONY: broker
broker:
	@sh testcontainers/image/build.sh || { sh testcontainers/image/jars.sh .cache/image/jars && command -v java >/dev/null; } || \
		echo "no image and no local Kafka can be had here: the embedded broker will be used, and its figures are not Kafka's" >&2

.PHONY: run
run: build broker ## the quick suite: three architectures, real order data and synthetic load, the best broker that answers
	$(BIN) run --suite quick

# One real Kafka serves the whole test run; tests that kill a broker start their own.
TESTS = $(GO) test $(RACEFLAG) -timeout 40m $(ARGS) ./...
.PHONY: test
test: build broker ## all tests; those on real Kafka and the real data wherever these are to be had (RACE=1, ARCHBENCH_REQUIRE=kafka,data)
	$(BIN) broker -- $(TESTS)

.PHONY: test-kafka
test-kafka: build broker ## only the tests on real Kafka, which must be there
	ARCHBENCH_REQUIRE=kafka $(BIN) broker -- $(GO) test $(RACEFLAG) -timeout 40m -run 'Kafka|KillAndRestart' ./testcontainers/... ./kappa/... ./lambda/... ./unified/... ./cmd/...

.PHONY: bench
bench: ## the Go benchmarks, with events per second and allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s)
	@for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; done

.PHONY: check
check: ## format, vet, staticcheck, import rules, tests
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these files"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(MAKE) test

.PHONY: config
config: build ## write archbench.yaml, the commented configuration, from the definitions
	env -i $(BIN) config --yaml > archbench.yaml

.PHONY: kafka-image
kafka-image: ## build the Kafka image from package registries (needs a Docker daemon)
	sh testcontainers/image/build.sh

.PHONY: kafka-jars
kafka-jars: ## fetch Kafka's jars for the local broker (needs Maven)
	sh testcontainers/image/jars.sh .cache/image/jars

.PHONY: clean
clean: ## remove what was built; results stay
	rm -rf bin .cache
