# The front door. Thin: Meson builds, npm builds the web client, tools/ does the rest.
SHELL = /bin/bash
BUILD ?= build
MESON_FLAGS ?=

.PHONY: help deps build run test check bench clean
help:
	@echo "make deps    install what is missing"
	@echo "make build   compile into $(BUILD)/"
	@echo "make run     build and start at http://localhost:8800"
	@echo "make test    every test; prints 'N passed, N failed' at the end"
	@echo "make check   format, rooms, warnings, unit tests (under a minute)"
	@echo "make clean   remove what was built"

deps:
	@tools/deps.sh build

$(BUILD)/build.ninja:
	@meson setup $(BUILD) $(MESON_FLAGS) > /dev/null || { cat $(BUILD)/meson-logs/meson-log.txt; exit 1; }

build: deps $(BUILD)/build.ninja
	@if [ -f web/package.json ] && command -v npm > /dev/null; then (cd web && npm run --silent build); \
	  elif [ -f web/package.json ]; then echo "build: no npm, so without the web client"; fi
	@ninja -C $(BUILD)

run: build
	@if [ -x $(BUILD)/src/parlance ]; then exec $(BUILD)/src/parlance serve; \
	  else echo "run: there is no server yet, only its rooms (see CHANGELOG.md)"; exit 1; fi

build-asan/build.ninja:
	@meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false > /dev/null

test:
	@tools/deps.sh test
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja build-asan/build.ninja
	@if [ -f web/package.json ]; then (cd web && npm run --silent build); fi
	@ninja -C $(BUILD)
	@ninja -C build-asan
	@tools/run_tests.py $(BUILD) build-asan

check: $(BUILD)/build.ninja
	@git ls-files 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]' | xargs clang-format --dry-run --Werror
	@tools/check_rooms.py
	@ninja -C $(BUILD)
	@meson test -C $(BUILD) --no-rebuild --suite unit --suite fuzz -q

bench:
	@echo "bench: nothing to measure yet"; exit 1

clean:
	rm -rf $(BUILD) build-asan web/dist
