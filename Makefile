# Every target works on a fresh Debian or Ubuntu that has Go and make: what else it needs, it installs (.ci/deps).
#
#   TESTFLAGS    more flags for go test                make test TESTFLAGS='-run TestTask -v'
#   CGO_ENABLED  0 builds without RocksDB              CGO_ENABLED=0 make test
#   KAFKA_PKGS   packages with tests for a real Kafka  make kafka-test KAFKA_PKGS=./engine/kafka
#   KAFKA_RUN    which of their tests                  make kafka-test KAFKA_RUN=TestReplay
#   MINUTES      how long oracle, soak, simulate run   make oracle MINUTES=5
#   SEEDS, FIRST how many seeds simulate runs, from    make simulate SEEDS=1000 FIRST=1
#   SOAK         which tests soak repeats              make soak SOAK=TestZombie MINUTES=1
#   KAFKA        soak on so many real brokers          make soak SOAK=TestKilled KAFKA=1 MINUTES=5
#   BENCH_PKGS, BENCH, BENCHFLAGS                      make bench BENCH=Tumbling BENCHFLAGS=-count=5

TESTFLAGS  ?=
RACE_PKGS  ?= ./stores/... ./engine/embedded ./engine/enginetest ./engine/internal/tables ./engine/kafka ./engine/statels
DAYS       ?= ^Test(Simulation|StaleStore|IdleStore|StaleTable|IdleTable|StandbyOfQuietLog)$$
KAFKA_PKGS ?= ./engine ./engine/kafka/... ./engine/streamstest ./bench/e2e ./examples/...
KAFKA_RUN  ?= .
MINUTES    ?= 60
SEEDS      ?=
FIRST      ?= 0
SOAK       ?= ^Test(Killed.*|Poison|TakeOver|Relay.*|Simulated.*|Members.*|Leaders.*|SlowAcks|Stale.*|Clock.*|Damaged.*|Torn.*|Disk.*|Broker.*|Topic.*|Zombie.*|Rebalance.*|Transaction.*|Break.*|TakeOverFromStandby|Ring|Standby.*|WarmUp)$$
STRICT     ?= ^Test(Topic.*|Topics.*|Table.*|Broker.*Refus.*|.*OpenTransaction|Relay.*|Killed|TakeOver.*|Poison|JoinedTables.*|Broadcast.*|Foreign.*|Standby.*|Restart.*|Follow.*|Ensure.*)$$
OLDEST     ?= ^Test(Topic.*|Topics.*|TableGrows|.*OpenTransaction|Relay.*|Killed|TakeOver.*|Zombie.*|Poison|JoinedTables.*|Members.*|Follow.*|Ensure.*)$$
BENCH_PKGS ?= ./windows/... ./aggregates/... ./stores/... ./dsl/... ./engine/internal/... ./bench/...
BENCH      ?= .
BENCHFLAGS ?=
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.7.0

# Prefix of a recipe line that builds: makes sure of RocksDB, and lets every go command after it use the grocksdb that fits.
rocksdb = flags=$$(.ci/deps rocksdb) && export GOFLAGS="$${GOFLAGS-} $$flags" &&

.DEFAULT_GOAL := help
.PHONY: help demo test test-long vet race oracle oracle-joins oracle-plans simulate planted month soak kafka-test kafka-strict-test kafka-oldest-test kafka3-test bench lint vuln

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile

demo: ## run the FX pipeline: ticks in, bars out, on a broker inside the process
	@$(rocksdb) go run ./examples/fx

test: vet ## go vet and the tests in their short form: under five minutes; test-long has the rest
	@$(rocksdb) go test -short -timeout 20m $(TESTFLAGS) ./...

test-long: ## all tests in full length, and the concurrent packages again with the race detector
	@$(rocksdb) go test -timeout 30m $(TESTFLAGS) ./...
	@$(MAKE) --no-print-directory race

vet:
	@$(rocksdb) go vet ./...

# ./engine is not in it for now: its new tests have not all been run under the detector (make race RACE_PKGS=./engine).
# Races live where goroutines do: a task has one, so engine/internal/task is left out. Long simulations cost ten times as much under the detector: they shorten themselves when
# testing.Short() says so. Tests of virtual days are left out: the detector itself breaks down in some of them ("CHECK failed: tsan_rtl.cpp", SIGSEGV in its own
# memory). The detector needs cgo.
race:
	@if [ "$${CGO_ENABLED-}" = 0 ]; then echo "race: skipped, the race detector needs cgo"; else \
	$(rocksdb) go test -race -short -timeout 20m -skip '$(DAYS)' $(TESTFLAGS) $(RACE_PKGS); fi

# A binary of its own, since go test keeps what is printed to itself until the end. A seed that differs is run again with
# go test ./engine/internal/task -run TestOracle -seed N.
oracle: ## random programs against the oracle for MINUTES (60); a short run of it is part of test
	@$(rocksdb) go test -c -o .cache/oracle.test ./engine/internal/task && cd engine/internal/task && \
	../../../.cache/oracle.test -test.run '^TestOracle$$' -test.timeout 0 -minutes $(MINUTES)

# Each round draws new seeds; a seed that differs is printed, and run again with -seed N (-foreign.seed N).
oracle-joins: ## random joins and tables against their oracles, round after round, for MINUTES (60)
	@$(rocksdb) go test -c -o .cache/oracle.test ./engine/internal/task && go test -c -o .cache/oracle-dsl.test ./dsl && \
	end=$$(($$(date +%s) + 60 * $(MINUTES))); n=0; while [ $$(date +%s) -lt $$end ]; do \
	(cd engine/internal/task && ../../../.cache/oracle.test -test.timeout 0 \
	-test.run '^(TestJoin(Oracle|OracleRepartitioned|Matrix|Shuffled.*)|TestTables|TestLookups|TestSuppressAgainstOracle|TestHoursFromMinutes)$$') >.cache/oracle-joins.txt 2>&1 && \
	(cd dsl && ../.cache/oracle-dsl.test -test.timeout 0 -test.run '^TestForeignJoinsAgainstOracle$$') >.cache/oracle-joins.txt 2>&1 || \
	{ grep -B2 -A40 -m1 -- '--- FAIL' .cache/oracle-joins.txt; echo "oracle-joins: round $$n differs"; exit 1; }; \
	n=$$((n+1)); echo "oracle-joins: $$n rounds without a difference, $$(((end - $$(date +%s)) / 60)) min left"; done

# A seed that differs is printed, and run again with go test ./dsl -run TestPlansAgainstOracle -seed N.
oracle-plans: ## random plans with and without each repartition against their oracle, for MINUTES (60); a short run of it is part of test
	@$(rocksdb) go test -c -o .cache/oracle-plans.test ./dsl && cd dsl && \
	../.cache/oracle-plans.test -test.run '^TestPlansAgainstOracle$$' -test.timeout 0 -minutes $(MINUTES)

# Each round is the long form of the tests: 100 kills, each step and each write at which a member may die or its line break, storms of an hour in virtual time.
soak: ## processes, lines, brokers, disks and topics failing, round after round, for MINUTES (60); KAFKA=1 or 3 on so many real brokers
	@$(rocksdb) go test -c -o .cache/soak.test ./engine && \
	$(if $(KAFKA),ASHI_KAFKA_BROKERS=$(KAFKA) ASHI_KAFKA_HEAP=512m .ci/kafka with) .ci/soak $(MINUTES) '$(SOAK)'

month: ## a simulated month, in which millions of keys come and go; four days of it are part of test
	@$(rocksdb) ASHI_SOAK_MINUTES=60 go test -count=1 -timeout 0 -run '^TestSimulatedMonth$$' -v ./engine/internal/task

# A seed that differs is printed, and run again with ASHI_SIM_SEED=N go test ./engine -run TestSimulation -v. One is a process of one thread: run two
# of them with different FIRST to use two.
simulate: ## random plans under random faults, a simulated day a seed, for MINUTES (60) or SEEDS; a short run of it is part of test
	@$(rocksdb) go test -c -o .cache/simulate.test ./engine && cd engine && GOMAXPROCS=1 GOGC=200 \
	../.cache/simulate.test -test.run '^TestSimulation$$' -test.timeout 0 -sim.first $(FIRST) $(if $(SEEDS),-sim.seeds $(SEEDS),-sim.minutes $(MINUTES))

# The faults are patches (engine/testdata/planted). Some minutes in all.
planted: ## faults planted in commit, restore and take-over, one at a time: how many SEEDS (100) simulate needs to find each, from FIRST on
	@$(rocksdb) .ci/planted $(if $(filter-out 0,$(FIRST)),$(FIRST),777000) $(or $(SEEDS),100)

kafka-test: ## the integration tests, against one real Apache Kafka that is started and stopped for them
	@$(rocksdb) .ci/kafka with go test -count=1 -p=1 -timeout 30m -run '$(KAFKA_RUN)' $(TESTFLAGS) $(KAFKA_PKGS)

# Tests whose own topics say all that they need (kafkatest). Those of programs that make topics of their own, or by Java, go by a broker's defaults.
kafka-strict-test: ## tests of topics and of whole pipelines on a Kafka whose defaults are those that lose event times, old records and large ones
	@$(rocksdb) ASHI_KAFKA_PROPERTIES=.ci/kafka-strict.properties .ci/kafka with go test -count=1 -p=1 -timeout 20m \
	-run '$(if $(filter-out .,$(KAFKA_RUN)),$(KAFKA_RUN),$(STRICT))' $(TESTFLAGS) ./engine ./engine/kafka

kafka-oldest-test: ## kills, take-overs and topics on the oldest Kafka that is supported (3.4.1)
	@$(rocksdb) ASHI_KAFKA_POM=$(CURDIR)/.ci/kafka-oldest.xml .ci/kafka with go test -count=1 -p=1 -timeout 20m \
	-run '$(if $(filter-out .,$(KAFKA_RUN)),$(KAFKA_RUN),$(OLDEST))' $(TESTFLAGS) ./engine ./engine/kafka

kafka3-test: ## leaders of a real Kafka of three brokers are killed under load
	@$(rocksdb) ASHI_KAFKA_BROKERS=3 ASHI_KAFKA_HEAP=512m .ci/kafka with go test -count=1 -run '^TestLeadersKilled$$' $(TESTFLAGS) ./engine

bench: ## benchmarks of the hot path, kept in bench/results with the machine they ran on
	@$(rocksdb) .ci/bench -bench '$(BENCH)' $(BENCHFLAGS) $(BENCH_PKGS)

# staticcheck must be built by the Go that go.mod selects, or it cannot read the code; and go install of a version knows no
# -modfile, hence outside of the prefix.
lint: vet vuln ## gofmt, go mod tidy, go vet, staticcheck, known vulnerabilities
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; fi
	@go mod tidy -diff || { echo "run go mod tidy"; exit 1; }
	@GOBIN=$(CURDIR)/.cache/bin GOTOOLCHAIN=$$(go env GOVERSION) go install $(STATICCHECK)
	@$(rocksdb) .cache/bin/staticcheck ./...

vuln: ## known vulnerabilities in what is built
	@$(rocksdb) .ci/vuln
