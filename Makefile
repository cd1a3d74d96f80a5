# The tools that are not in go.mod, at the versions that CI uses.
# (buf from npm takes seconds; where there is no npx it is built, which takes minutes.)
BUF         := $(if $(shell command -v npx),npx --yes @bufbuild/buf@1.75.0,go run github.com/bufbuild/buf/cmd/buf@v1.75.0)
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0
# The tests that have a long form.
LONG        := BudgetUnderLoad|ClosedPortOfThisHost|Hairpin|IdleCostsNothing|LossyServer|MixedTruth|NothingLeaks|OneAnswer|OurLoadIsNotSilence|PaceOnTheWire|ResentSYNs|RoundTrips|SharesOfSilence|Soak|StoppedProcess|TalkativePeer
# What the proto is compared with for breaking changes: the commit before this one, unless told otherwise.
AGAINST     ?= .git\#ref=HEAD~1,subdir=proto

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run the service on 127.0.0.1:50051
	go run ./server/shakerd

.PHONY: test
test: ## Run the tests
	go test ./...

.PHONY: race
race: ## Run the tests with the race detector
	go test -race ./...

.PHONY: truth
truth: ## Run the tests that have a long form in it: millions of probes whose truth is known, a minute of idleness (about ten minutes)
	TRUTH=long go test -count=1 -timeout 20m -v -p 1 -run '$(or $(RUN),$(LONG))' ./shaker ./server/shakerd

.PHONY: foreign
foreign: ## Ask the service with a foreign client, node's grpc-js from npm (needs node 18, npm and a registry): about a minute
	go test -count=1 -tags foreign -timeout 6m -v ./server/internal/foreign

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (10s)
	@set -e; for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(or $(FUZZTIME),10s) $$pkg; \
	  done; done

.PHONY: bench
bench: ## Measure engine and service beside others, in rounds: about six minutes, BENCH=long half an hour; RUN=Stream one table
	go test -run '^$$' -bench '$(or $(RUN),.)' -benchtime 1x -timeout 90m ./server/internal/bench

.PHONY: generate
generate: ## Write gen/ anew from proto/
	$(BUF) generate

.PHONY: proto
proto: ## Lint the proto, check its format, and look for breaking changes since AGAINST
	$(BUF) lint
	$(BUF) format --diff --exit-code
	@if git rev-parse --quiet --verify HEAD~1:proto >/dev/null; then $(BUF) breaking --against '$(AGAINST)'; \
	elif [ -n "$$CI" ]; then echo "no earlier commit to compare the proto with: a shallow clone?"; exit 1; \
	else echo "no earlier commit to compare the proto with"; fi

.PHONY: lint
lint: proto ## Lint everything: proto, go vet, staticcheck, gofumpt
	go vet -tags foreign ./...
	$(STATICCHECK) -tags foreign ./...
	@out=$$($(GOFUMPT) -l $$(git ls-files '*.go' | grep -v '^gen/')); if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi

.PHONY: drift
drift: generate ## Fail if gen/ or go.mod is not what the sources say
	go mod tidy -diff
	@git diff --exit-code -- gen && test -z "$$(git ls-files --others --exclude-standard -- gen)"

.PHONY: cross
cross: ## Compile everything, tests too, for the systems that have no engine, and for other processors
	GOOS=darwin GOARCH=arm64 go build -o /dev/null ./...
	GOOS=darwin GOARCH=arm64 go vet ./...
	GOOS=windows GOARCH=amd64 go build -o /dev/null ./...
	GOOS=windows GOARCH=amd64 go vet ./...
	GOOS=linux GOARCH=arm64 go vet ./...
	GOOS=linux GOARCH=386 go vet ./...
