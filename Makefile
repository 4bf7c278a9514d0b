# `make run` tries Patchbay out; `make test` is the whole check. CONTRIBUTING.md says more.
.DEFAULT_GOAL := help
.PHONY: help run check fmt lint test e2e bench bench-table docs deny console

CARGO ?= cargo
CONSOLE := gateway/console
# What signs the visitors' tokens in config/channels/web.toml, and the password of the device in devices.toml.
SECRETS := data/secrets/web-token data/secrets/device-demo
CONSOLE_SOURCES := $(shell find $(CONSOLE) -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: console $(SECRETS) ## build and start with web chat ready to try (needs Rust and Node)
	$(CARGO) run -p patchbay-gateway -- up --config config

check: ## does it compile
	$(CARGO) check --workspace --all-targets --features patchbay-gateway/failpoints

fmt: ## format all code
	$(CARGO) fmt --all

lint: ## clippy, with warnings as errors
	$(CARGO) clippy --workspace --all-targets -- -D warnings

test: ## everything: format, lints, console, and all tests against private RabbitMQ, PostgreSQL and S3
	.ci/test

e2e: console ## the end-to-end tests only
	.ci/with-services $(CARGO) test -p patchbay-gateway --features failpoints --test e2e

bench: ## the benchmarks
	$(CARGO) bench --workspace --benches

bench-table: ## the whole system beside the bare limits of this machine: a table of ratios, half an hour
	.ci/bench

docs: ## API documentation of all crates, with broken links as errors
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps

deny: ## licences, sources, advisories, banned and duplicate dependencies
	.ci/deny bans licenses sources advisories

# The console and the chat widget, embedded in the binary; built anew only when a source changed.
console: $(CONSOLE)/dist/.built ## build the console and the chat widget

$(CONSOLE)/node_modules/.package-lock.json: $(CONSOLE)/package.json $(CONSOLE)/package-lock.json
	cd $(CONSOLE) && npm ci --no-audit --no-fund --no-progress
	@touch $@

$(CONSOLE)/dist/.built: $(CONSOLE)/node_modules/.package-lock.json $(CONSOLE_SOURCES)
	cd $(CONSOLE) && npm run build
	@touch $@

$(SECRETS):
	@mkdir -p $(@D)
	@umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > $@
