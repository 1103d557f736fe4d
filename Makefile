# Two commands do for most purposes: make run, and make test.

STAGES   := setup build check unit race crash-short rotate chaos canary clients console smoke
FUZZTIME ?= 1m
# The packages of the unit stage: those that have no stage of their own.
PACKAGES  = $$(go list ./... | grep -vE '/test/(canary|chaos|clients|console|crash|rotation)$$')
# The packages of the race stage, which is many times as slow: without those that make
# whole servers, or go through thousands of cases one after the other, as the tests in
# UNRACED do. make race-long has them all, on both databases.
RACED     = $$(go list ./... | grep -vE '/(test|cmd|client|tools)/|/internal/(accounts|app|catalog|cli|custody|httpapi|keyring.*|seed|store/dbauthz|store/dbcrypt)$$')
UNRACED   = ^(TestNoFaultPartsAChangeFromItsEntry|TestTamperingIsFound|TestHonestLogsAreWell)$$

.DEFAULT_GOAL := help
.PHONY: help run build test $(STAGES) generate bench scale proofs cells rollbacks rotations chaos-long race-long crash canary-long console-long screenshots dist reproducible fuzz long clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## try it: a server with a built-in provider, offline
	@bin/gatehouse demo

build: ## build bin/gatehouse
	go build -o bin/gatehouse ./cmd/gatehouse

test: ## install what is missing and run everything below, one after the other
	@times=; for stage in $(STAGES); do \
		echo "== $$stage"; start=$$(date +%s); \
		$(MAKE) --no-print-directory $$stage || { echo "== $$stage failed"; exit 1; }; \
		times="$$times$$(printf '  %-11s %4d s' $$stage $$(($$(date +%s) - start)))|"; \
	done; echo "== all passed"; echo "$$times" | tr '|' '\n'

setup: ##   install PostgreSQL, Node.js, the SDKs, Claude Code, Codex and Chromium, if they are missing
	scripts/setup postgres node strace web console

check: ##   look at the source: format, vet, staticcheck, drift, docs, scripts
	scripts/check

unit: ##   run the tests, on both databases, in random order
	scripts/with-postgres go test -shuffle=on -timeout 15m $(PACKAGES)

race: ##   run those where goroutines meet with the race detector
	go test -race -shuffle=on -timeout 15m -skip '$(UNRACED)' $(RACED)

crash-short: ##   cut the power 2,000 times while SQLite is written to
	go test -v -count=1 -timeout 15m ./test/crash

canary: ##   take marked secrets through the product, with faults, and search all that comes out for them
	scripts/with-postgres go test -count=1 -shuffle=on -timeout 10m ./test/canary

clients: ##   drive the real binary with the vendors' SDKs, Claude Code and Codex, on both databases
	scripts/with-postgres go test -count=1 -timeout 10m ./test/clients

console: ##   drive the console with Chromium, through every screen and its errors
	scripts/with-postgres go test -v -count=1 -timeout 10m ./test/console

rotate: ##   kill, cut off and freeze the real binary while it rotates its keys
	go test -v -count=1 -timeout 10m ./test/rotation

chaos: ##   run the real binary between upstreams and clients that misbehave, while its configuration changes
	go test -v -count=1 -timeout 10m ./test/chaos

smoke: ##   build a release for this machine, twice, compare, and run it
	scripts/dist smoke

generate: ## make the generated files again (minutes, the first time)
	scripts/generate

bench: ## measure beside nginx and a bare reverse proxy, and write docs/performance.md (Linux)
	scripts/setup nginx
	go run ./test/bench -out docs/performance.md

scale: ## measure with 100,000 keys and 1,000,000 audit entries, on both databases
	scripts/with-postgres go test -v -count=1 -parallel 1 -timeout 60m ./test/scale -args -providers=10000 -entries=1000000 -rounds=200
	scripts/with-postgres go test -run '^$$' -bench Append -benchtime 1000x ./internal/store/sqlstore

proofs: ## take out every check of dbauthz, one by one; play a million histories of delegation
	go test -v -count=1 -timeout 60m -run NoCheckIsNeedless ./internal/store/dbauthz -args -mutants=0
	scripts/with-postgres go test -v -count=1 -timeout 60m -run NoHistory ./internal/store/dbauthz -args -histories=1000000 -stored-histories=2000

cells: ## alter 5,000 sealed cells in every way, 8 million cases; swap 1,080 with each other, 1.16 million pairs
	go test -v -count=1 -timeout 60m -run 'NoAlteredCell|CarelessOpens|NoSwappedCell' ./internal/store/dbcrypt -args -cells=5000 -worlds=24

rollbacks: ## put old rows back, take some away and plant some, 300 times each; look for false alarms in 1,000 histories
	scripts/with-postgres go test -v -count=1 -timeout 60m -run 'EveryAttack|NoHistory' ./internal/custody -args -trials=300 -histories=1000

race-long: ## run all tests with the race detector, on both databases
	scripts/with-postgres go test -race -shuffle=on -timeout 30m $(PACKAGES)

crash: ## cut the power 100,000 times
	go test -v -count=1 -timeout 3h ./test/crash -args -cases=100000

canary-long: ## the canary with 5,000 faults on SQLite and 1,000 on PostgreSQL, and the race detector
	scripts/with-postgres go test -v -race -count=1 -timeout 120m ./test/canary -args -faults=5000 -faults-postgres=1000

rotations: ## kill the real binary 10,000 times while it rotates, its database 500 times, freeze it 200 times; rotate 10,000 secrets under load
	go test -v -count=1 -parallel 1 -timeout 24h ./test/rotation -args -kills=10000 -outages=500 -freezes=200 -secrets=10000 -load=15s

chaos-long: ## the storm for 20 minutes, and half of it with the race detector; 15,000 changes under 200 streams; 60 bodies of 100 MiB
	go test -v -count=1 -timeout 2h ./test/chaos -args -storm=20m -changes=15000 -bodies=60

console-long: ## drive the console on PostgreSQL, too, and with 100,000 keys and 1,000,000 audit entries
	scripts/with-postgres go test -v -count=1 -timeout 40m ./test/console -args -long

screenshots: ## write what every screen of the console looks like, in three widths, light and dark, to bin/screenshots
	go test -v -count=1 -timeout 10m -run 'TestConsole/SQLite/drive' ./test/console -args -screenshots=$(CURDIR)/bin/screenshots

dist: ## build the releases into dist/
	scripts/dist

reproducible: ## build the releases again elsewhere, and compare with dist/
	scripts/dist reproducible

fuzz: ## run each fuzz target for FUZZTIME (1m)
	@set -e; grep -rl --include='*_test.go' --exclude-dir=node_modules '^func Fuzz' . | sort | while read -r file; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")"; \
		done; \
	done

long: ## what takes too long for each change: full drift of the SQL code, proofs, cells, rollbacks, rotations, chaos, power loss, canary, scale, all releases twice, fuzz
	scripts/check sqlc-full
	scripts/dist
	scripts/dist reproducible
	$(MAKE) --no-print-directory proofs cells rollbacks rotations chaos-long race-long crash canary-long console-long scale fuzz

clean: ## remove what was built
	rm -rf bin dist test/clients/node_modules test/console/node_modules web/node_modules
