# The front door. Thin: Meson builds the C, npm the browser client, tools/ does the rest.
SHELL = /bin/bash
BUILD ?= build
MESON_FLAGS ?=
WEB ?= yes
FUZZ_SECONDS ?= 30
CRASHES ?= 300
CHAOS_SECONDS ?= 180
export WEB

.PHONY: help deps build deb run test test-shapes chaos check check-models docs format fuzz bench clean web
help:
	@echo "make deps    install what is missing (Debian packages, npm packages)"
	@echo "make build   compile into $(BUILD)/; with WEB=no without Node and the browser client"
	@echo "make deb     build, and make a Debian package of it in $(BUILD)/"
	@echo "make run     build, and start it at http://localhost:8800"
	@echo "make test    every test there is; the last line is 'N passed, N failed'"
	@echo "make check   format, rooms, warnings, symbols, unit tests, fuzz corpora: under a minute"
	@echo "make check-models  search the Spin models of group commit, cursor and outbox to their end"
	@echo "make docs    write docs/configure.md's options anew"
	@echo "make format  put all C into the house's form"
	@echo "make fuzz    run every fuzzer for FUZZ_SECONDS ($(FUZZ_SECONDS))"
	@echo "make soak    kill the server under load CRASHES ($(CRASHES)) times, and look for what was lost"
	@echo "make bench   measure beside others, into docs/benchmarks.md; bench-sfu, -http, -ws, -web, -im, -rpc, -split: one"
	@echo "make test-shapes  every scenario in one process over engines, and in deployments in pieces; SHAPES=, FILES= choose"
	@echo "make chaos   kill, freeze and partition services and engines under load for CHAOS_SECONDS ($(CHAOS_SECONDS))"
	@echo "make clean   remove what was built"

deps:
	@tools/deps.sh build

# A setup that failed half way leaves no build.ninja behind, so the next make tries again.
$(BUILD)/build.ninja:
	@echo "build: setting up $(BUILD)/"
	@meson setup $(BUILD) $(MESON_FLAGS) > $(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

build-asan/build.ninja:
	@echo "build: setting up build-asan/"
	@meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false $(MESON_FLAGS) > build-asan.log 2>&1 \
	  || { cat build-asan.log; exit 1; }
	@rm -f build-asan.log

build-fuzz/build.ninja:
	@echo "build: setting up build-fuzz/"
	@CC=clang meson setup build-fuzz -Dfuzz=true -Dweb=disabled -Db_sanitize=address,undefined -Db_lundef=false \
	  > build-fuzz.log 2>&1 || { cat build-fuzz.log; exit 1; }
	@rm -f build-fuzz.log

web:
	@tools/build_web.sh

# The pages can come after the first setup (Node was installed since): then Meson has to look again.
build: deps web $(BUILD)/build.ninja
	@if [ -f web/dist/index.html ] && ! grep -q web_table.bin $(BUILD)/build.ninja; then meson setup --reconfigure $(BUILD) > /dev/null; fi
	@ninja -C $(BUILD)

deb: build
	@tools/build_deb.sh $(BUILD) $(BUILD)

run: build
	@exec $(BUILD)/src/parlance serve

test:
	@tools/deps.sh test
	@$(MAKE) --no-print-directory web $(BUILD)/build.ninja build-asan/build.ninja
	@ninja -C $(BUILD)
	@ninja -C build-asan
	@tools/run_tests.py $(BUILD) build-asan

check:
	@tools/deps.sh check
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@echo "check: format (make format mends it)"
	@find src tests bench -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run --Werror
	@tools/check_rooms.py
	@tools/docs_schema.py --check
	@ninja -C $(BUILD)
	@tools/check_symbols.py $(BUILD)
	@meson test -C $(BUILD) --no-rebuild --suite unit --suite fuzz --quiet

check-models:
	@tools/deps.sh check
	@tests/models/check.py

# The pages that show what the program prints.
docs: build
	@tools/docs_config.py $(BUILD)/src/parlance
	@tools/docs_schema.py

format:
	@find src tests bench -name '*.[ch]' -print0 | xargs -0 clang-format -i

soak: build
	@tools/deps.sh test
	@cd tests/flow/once && PARLANCE_BUILD=$(abspath $(BUILD)) CRASHES=$(CRASHES) node --test crash.test.mjs
	@cd tests/flow/once && PARLANCE_BUILD=$(abspath $(BUILD)) SEEDED_TIMES=5 SEEDED_ROUNDS=40 node --test seeded.test.mjs
	@cd tests/flow/once && PARLANCE_BUILD=$(abspath $(BUILD)) FAULTS=all node --test faults.test.mjs
	@SCHEDULES=20000 $(BUILD)/tests/unit/services/services_gateway_protocol_test

# Every scenario in the other shapes, one after the other to the end of all; FILES="accounts chat": those alone.
# tools/run_shapes.py --list says what shapes there are.
SHAPES ?= engines,split,split-mariadb-rabbitmq
FILES ?=
test-shapes: build
	@tools/deps.sh test
	@tools/run_shapes.py --build $(BUILD) --shapes "$(SHAPES)" $(FILES)

chaos: build
	@tools/deps.sh test
	@PARLANCE_BUILD=$(abspath $(BUILD)) CHAOS_SECONDS=$(CHAOS_SECONDS) $(if $(CHAOS_SEED),CHAOS_SEED=$(CHAOS_SEED)) node tests/chaos/chaos.mjs

fuzz:
	@tools/deps.sh fuzz
	@$(MAKE) --no-print-directory build-fuzz/build.ninja
	@tools/run_fuzzers.sh build-fuzz $(FUZZ_SECONDS)

# ROUNDS=, SECONDS=, CASES=, PEERS= shorten or choose: bench/README.md.
BENCHES = $(patsubst bench/bench_%.py,%,$(wildcard bench/bench_*.py))
bench:
	@tools/deps.sh bench
	@for name in $(BENCHES); do $(MAKE) --no-print-directory bench-$$name || exit 1; done

bench-%:
	@tools/deps.sh bench
	@$(MAKE) --no-print-directory web $(BUILD)/build.ninja
	@ninja -C $(BUILD)
	@ROUNDS="$(ROUNDS)" BENCH_SECONDS="$(SECONDS)" CASES="$(CASES)" PEERS="$(PEERS)" \
	  PARLANCE_BUILD=$(abspath $(BUILD)) python3 bench/bench_$*.py

clean:
	rm -rf $(BUILD) build-asan build-fuzz build*.log web/dist web/.cache
