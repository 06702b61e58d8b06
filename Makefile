.DEFAULT_GOAL := help
.PHONY: help run test test-clients bench bench-clients demo-fleet demo-usage lint fmt proto hostile h2spec loom model simulate fuzz ci clean

FUZZ_SECONDS ?= 60

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start the server on 127.0.0.1:50051, over portcullis.db
	cargo run --release

test: ## Run every test; installs PostgreSQL and tools where they are missing
	scripts/test

bench: ## Measure what a verification costs on the wire
	scripts/bench

demo-fleet: ## See three replicas refuse a key that was revoked on one of them
	scripts/demo-fleet

demo-usage: ## See what a day of traffic looks like in `portcullis usage`
	scripts/demo-usage

lint: ## Check Rust, protobuf, Dockerfile, manifests, scripts and licences
	scripts/lint

fmt: ## Format the Rust code
	cargo fmt

test-clients: ## Run the tests of every client, and all guards through one table of cases
	scripts/test-clients

bench-clients: ## Measure what each guard adds to the call it makes
	clients/conformance/bench

proto: ## Format and lint the protobuf files, and generate the stubs of every client
	scripts/tools
	target/tools/bin/buf format -w proto
	target/tools/bin/buf lint proto
	scripts/stubs

hostile: ## Attack a server beside a bystander, as CI does; scripts/hostile --long attacks it in earnest
	scripts/hostile

h2spec: ## Hold the server against HTTP/2 with h2spec
	scripts/h2spec

loom: ## Run the cache of the verifier through every order of events
	LOOM_MAX_PREEMPTIONS=4 RUSTFLAGS="--cfg loom" cargo test --release --locked --manifest-path loom/Cargo.toml --target-dir target/loom --lib

simulate: ## Run SEEDS simulations of replicas (2,000), or show all that happens in the one of SEED
	cargo test --locked --manifest-path simulation/Cargo.toml --target-dir target --test seeds -- \
	  --nocapture --test-threads=1 $(if $(SEED),every_seed)

model: ## Search the models of revocation for a broken promise; installs Spin where it is missing
	scripts/model

fuzz: ## Fuzz the key parser for FUZZ_SECONDS (needs nightly Rust and cargo-fuzz)
	cargo +nightly fuzz run parse_token -- -max_total_time=$(FUZZ_SECONDS)

ci: ## Run what must pass before a change lands
	.ci/run

clean: ## Remove everything that was built or installed under target
	cargo clean
