# Two commands: `make demo` runs the product, `make test` proves it. Both set up what they need, keep downloads in a
# user cache (LEDGERLINE_CACHE, by default ~/.cache/ledgerline) and can be run again at any time.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Set-up scripts print what they found as their last line; a recipe takes it from there.
FETCH_ENGINE = engine/fetch.sh
FETCH_PROMETHEUS = deploy/setup/prometheus.sh
FETCH_CLIENTS = tests/clients/setup.sh
FETCH_CHROMIUM = deploy/setup/chromium.sh

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: console
console: ## Build the console's pages, which the next build of the collector puts in
	@collector/console/build.sh

.PHONY: demo
demo: ## Run the whole product on this machine as a company that calls, with its console
	@deploy/setup/toolchain.sh demo && library=$$($(FETCH_ENGINE)) && prometheus=$$($(FETCH_PROMETHEUS)) && \
	collector/console/build.sh >/dev/null && \
	cargo build --release --locked --bins -p ledgerline-agent -p ledgerline-collector -p ledgerline-engine -p ledgerline-bench && \
	LEDGERLINE_LIBCHDB="$$library" PATH="$$prometheus:$$PATH" exec target/release/ledgerline-demo $(DEMO)

URL ?= http://127.0.0.1:4319/

.PHONY: first-view
first-view: ## How long the console at URL takes to show its first view, in a browser that has seen nothing
	@chromium=$$($(FETCH_CHROMIUM)) && collector/console/build.sh >/dev/null && CHROMIUM="$$chromium" node tests/console/clock.mjs $(URL)

.PHONY: demo-loop
demo-loop: RUNS = 50
demo-loop: ## RUNS (50) short demos in a row: each starts and finds ports, and its accounts agree (about 15 minutes)
	@$(MAKE) --no-print-directory demo DEMO="--runs $(RUNS) --seconds 6"

# What a test needs: the engine, Prometheus with Alertmanager, the client libraries, a browser and the console's pages.
TEST_SETUP = deploy/setup/toolchain.sh test && library=$$($(FETCH_ENGINE)) && prometheus=$$($(FETCH_PROMETHEUS)) && venv=$$($(FETCH_CLIENTS)) && \
	$(FETCH_CLIENTS) node >/dev/null && chromium=$$($(FETCH_CHROMIUM)) && collector/console/build.sh >/dev/null && \
	export CHROMIUM="$$chromium" LEDGERLINE_LIBCHDB="$$library" LEDGERLINE_VENV="$$venv" PATH="$$prometheus:$$PATH"

.PHONY: test
test: ## Set up and run every test
	@$(TEST_SETUP) && cargo test --locked --workspace --no-fail-fast -- $(TEST)

# Not those of ports on this machine's loopback, and of a second collector there.
.PHONY: test-apart
test-apart: ## Run the end-to-end tests with agent and collector on two machines (network namespaces), TLS and a token
	@$(TEST_SETUP) && cargo build --locked --workspace --bins && \
	LEDGERLINE_APART=1 cargo test --locked --workspace --no-fail-fast --test e2e -- --skip strangers --skip telemetry --skip reprice --skip finance --skip console --skip views --skip docs $(TEST)

RUNS ?= 3

.PHONY: test-busy
test-busy: ## Run every test RUNS (3) times while something else keeps every core busy
	@burners=; trap 'kill $$burners 2>/dev/null || true' EXIT; \
	for core in $$(seq "$$(nproc)"); do (while :; do :; done) & burners="$$burners $$!"; done; \
	for run in $$(seq "$(RUNS)"); do echo "=== run $$run of $(RUNS)"; $(MAKE) --no-print-directory test TEST="$(TEST)"; done

.PHONY: sights
sights: ## 1,000 calls, each seen by several, in random order while collector and engine are stopped and killed (a few minutes)
	@$(TEST_SETUP) && cargo test --locked --workspace --no-run && LEDGERLINE_SIGHTS=1000 cargo test --locked --workspace --test integration -- --nocapture each_call_is_billed_once

.PHONY: budgets
budgets: ## Budgets whose thresholds are reached while collector and engine are stopped and killed 20 times (about 3 minutes)
	@$(TEST_SETUP) && LEDGERLINE_KILLS=20 cargo test --locked --workspace --test integration -- --nocapture a_threshold_is_told_once

.PHONY: soak
soak: ## 10,000 calls at 200 per second with 50 streams, with and without kill -9 (about 5 minutes)
	@deploy/setup/toolchain.sh demo && library=$$($(FETCH_ENGINE)) && prometheus=$$($(FETCH_PROMETHEUS)) && \
	cargo build --release --locked --bins -p ledgerline-agent -p ledgerline-collector -p ledgerline-engine -p ledgerline-bench && \
	LEDGERLINE_LIBCHDB="$$library" PATH="$$prometheus:$$PATH" cargo run --release --locked -q -p ledgerline-bench --bin ledgerline-soak -- $(SOAK)

.PHONY: bench-store
bench-store: ## What an insert costs the engine, against the tables of the first version (about 2 minutes)
	@deploy/setup/toolchain.sh demo && export LEDGERLINE_LIBCHDB="$$($(FETCH_ENGINE))" && \
	cargo build --release --locked -p ledgerline-engine && \
	cargo test --release --locked -p ledgerline-store --test integration -- --ignored --nocapture what_an_insert_costs

# Where the store of two years is made, 8 GB of it; outside the repository, and kept.
YEARS ?= $(or $(LEDGERLINE_CACHE),$(HOME)/.cache/ledgerline)/years/store
.PHONY: years
years: ## Two years of calls, spans and minutes expired: is every account the same, how long do panels wait, would forecasts have held (about 30 minutes)
	@deploy/setup/toolchain.sh demo && export LEDGERLINE_LIBCHDB="$$($(FETCH_ENGINE))" && \
	cargo build --release --locked --bins -p ledgerline-collector -p ledgerline-engine -p ledgerline-bench && rm -rf "$(YEARS)" && \
	for question in make ledger panels forecast; do target/release/ledgerline-years --data "$(YEARS)" $$question || exit 1; done

SEEDS ?= 1 2 3 4 5

.PHONY: weeks
weeks: ## 26 simulated weeks of four kinds of teams for each of SEEDS: do the shipped alerts find every fault, and call nobody for nothing
	@deploy/setup/toolchain.sh demo && cargo run --release --locked -q -p ledgerline-bench --bin ledgerline-weeks -- --seed $(SEEDS)

CALLS ?= 1000000

.PHONY: bench-reprice
bench-reprice: ## Reprice CALLS (1,000,000) stored calls, killed in the middle, then to the end and once more (about 5 minutes)
	@deploy/setup/toolchain.sh demo && export LEDGERLINE_LIBCHDB="$$($(FETCH_ENGINE))" && \
	cargo build --release --locked -p ledgerline-engine -p ledgerline-collector && \
	LEDGERLINE_REPRICE_CALLS=$(CALLS) cargo test --release --locked -p ledgerline-collector --test integration -- --nocapture killed_again_and_again

# On stable Rust: the coverage that libFuzzer steers by needs no nightly, only the sanitizers do.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= promql_parse otlp_decode dialect_read json_tokenize usage_injection alert_template configuration
FUZZ_FLAGS = -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing

.PHONY: fuzz
fuzz: ## Fuzz what reads bytes from outside: FUZZ_SECONDS (60) each of FUZZ_TARGETS (all)
	@cp Cargo.lock tests/fuzz/Cargo.lock
	@cd tests/fuzz && RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --target "$$(rustc -vV | sed -n 's/^host: //p')" $(FUZZ_TARGETS:%=--bin %)
	@cd tests/fuzz && for target in $(FUZZ_TARGETS); do \
		mkdir -p "artifacts/$$target" && echo "=== $$target" && \
		"target/$$(rustc -vV | sed -n 's/^host: //p')/release/$$target" "corpus/$$target" "-artifact_prefix=artifacts/$$target/" \
			-max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 "-max_total_time=$(FUZZ_SECONDS)" || exit 1; \
	done

# The day on which the version in pricing/convert/requirements.txt was taken.
READ_ON ?= 2026-11-27

.PHONY: prices
prices: ## Convert the public price catalogue, and print where the prices kept by hand differ from it
	@venv=$$($(FETCH_CLIENTS) python pricing/convert/requirements.txt) && \
	"$$venv/bin/python" pricing/convert/convert.py "$(READ_ON)" pricing/prices/generated && \
	"$$venv/bin/python" pricing/convert/same_prices.py pricing/prices/generated && \
	"$$venv/bin/python" pricing/convert/points.py pricing/tests/points && \
	"$$venv/bin/python" pricing/convert/contradictions.py pricing/prices pricing/prices/generated

.PHONY: check
check: ## Format and lint as CI does
	cargo fmt --all --check && rustfmt --check --edition 2024 agent/src/dialect/*.rs
	cargo clippy --locked --workspace --all-targets -- -D warnings
