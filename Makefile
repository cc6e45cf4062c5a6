# Needed: Go and make; for `make race` a C compiler as well.

# The packages whose speed is a promise.
BENCHED   = ./overlay/onion ./overlay/link ./overlay/relay ./node/ratchet ./node/vault ./node ./integration
BENCHTIME ?= 1s
# How long a silent network is watched.
SILENCE   ?= 10m
# How long each fuzz target runs, and how many run at once, on a core each.
FUZZTIME  ?= 10s
FUZZJOBS  ?= $(shell getconf _NPROCESSORS_ONLN)
# Built from source on first use (a minute), then cached by the go command.
GOLANGCI  = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
SOURCES   = $(wildcard cli discovery integration node overlay)

.DEFAULT_GOAL := help
.PHONY: help build demo run test test-long race bench bench-scale bench-correlation fuzz lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/chatnt, one static binary; the same sources give the same bytes
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -buildid=" -o bin/chatnt ./cli/chatnt

demo: build ## eight nodes on this machine, and you are alice: say something to bob
	@bin/chatnt demo

run: build ## your own node and its prompt
	@bin/chatnt

test: ## every test, at everyday counts
	go test -timeout 14m ./...

test-long: ## every test, at full counts (CHATNT_LONG=1)
	CHATNT_LONG=1 go test -timeout 60m ./...

race: ## every test under the race detector
	go test -race -timeout 30m ./...

bench: ## the promised ratios as a table, and the times beside them (BENCHTIME=1s)
	@go test -run '^$$' -bench . -skip '^Benchmark(Growth|Silence|Correlation)$$' -benchmem -benchtime $(BENCHTIME) -timeout 30m $(BENCHED) 2>&1 | go run ./integration/benchtable

bench-scale: ## what networks of 20 to 200 nodes cost, as a table; then a silent node's traffic over SILENCE (10m)
	@CHATNT_LONG=1 CHATNT_SILENCE_WATCH=$(SILENCE) go test -run '^$$' -bench '^Benchmark(Growth|Silence)$$' -benchtime 1x -timeout 60m ./integration

bench-correlation: ## what watching the times of packets gives away, in each latency mode, as a table
	@go test -run '^$$' -bench '^BenchmarkCorrelation$$' -benchtime 1x -timeout 20m ./integration | grep '^|'

fuzz: ## every fuzz target for FUZZTIME (10s), FUZZJOBS (the cores) at a time
	@list=$$(go test -list '^Fuzz' ./...) || { echo "$$list"; exit 1; }; \
	echo "$$list" | awk '/^Fuzz/ { f[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, f[i]; n = 0 }' | \
	GOMAXPROCS=1 xargs -P $(FUZZJOBS) -L 1 sh -c \
		'{ echo begins; go test -run ^$$ -fuzz "^$$1\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x -timeout 0 "$$0" 2>&1; } </dev/null | \
		awk -v who="$$0 $$1" "{ print who, \$$0; fflush() }"' | \
	awk '{ print; fflush(); run[$$1 " " $$2] = 1 } $$3 == "ok" { ok[$$1 " " $$2] = 1 } \
		END { for (who in run) if (!(who in ok)) { print "failed:", who; bad = 1 } exit bad || !NR }'

lint: ## formatting, go vet, golangci-lint
	@bad=$$(gofmt -l $(SOURCES)) && test -z "$$bad" || { echo "not formatted (gofmt -w):" $$bad; exit 1; }
	go vet ./...
	$(GOLANGCI) run

clean: ## what build left
	rm -rf bin
