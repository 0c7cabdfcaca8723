# demo       the whole way on the sandbox, from nothing to a workbook
# build      the program, as ./payrun
# test       every test, on SQLite and PostgreSQL (the same as scripts/test)
# check      format, static analysis, dead code, race detector, vulnerabilities
# smoke      what a newcomer does, in a clean clone with an empty home
# chaos      5,000 payouts while everything breaks; CHAOS=-short, CHAOS='-seed 42'
# simulation thousands of random schedules with a clock of their own; FOR=3m
# bench      benchmarks; BENCH=Regexp picks some
# cover      how much the tests reach; cover.out has the details

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
BENCH ?= .
# SQLite's own code was translated from C and keeps nearly all its data outside
# of what the race detector watches; to instrument it makes the tests twice as slow.
UNINSTRUMENTED := -gcflags=modernc.org/sqlite/lib=-race=false
FOR ?= 3m

.PHONY: demo build test check format analysis race vulnerabilities smoke chaos simulation bench cover

demo:
	$(GO) run ./cmd/payrun demo

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o payrun ./cmd/payrun

test:
	scripts/test

check: format analysis race vulnerabilities

format:
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "gofmt would change:"; echo "$$files"; exit 1; }

analysis:
	$(GO) mod verify
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	@dead=$$($(TOOL) deadcode -test ./...) || exit 1; [ -z "$$dead" ] || { echo "nothing calls:"; echo "$$dead"; exit 1; }

race:
	scripts/test -race $(UNINSTRUMENTED)

vulnerabilities:
	scripts/vulnerabilities

smoke:
	scripts/smoke

chaos:
	scripts/chaos $(CHAOS)

simulation:
	PAYRUN_SIMULATION=$(FOR) $(GO) test -v -timeout 0 ./internal/simulation | grep -vE '^ *(===|--- PASS)'

bench:
	scripts/postgres $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 0 ./...

cover:
	scripts/test -coverpkg=./... -coverprofile=cover.out
	$(GO) tool cover -func=cover.out | tail -n 1
