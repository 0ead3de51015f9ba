#!/bin/bash
# Builds and runs every libFuzzer target of a build directory for some seconds each, from its corpus. New finds go to
# BUILD/corpus/NAME; a crash is left there too. usage: run_fuzzers.sh BUILD SECONDS
set -eu
cd "$(dirname "$0")/.."
build=$1
seconds=$2
names=$(ninja -C "$build" -t targets all | sed -n 's|^tests/fuzz/fuzz_\([a-z0-9_]*\): .*LINKER.*|\1|p')
[ -n "$names" ] || { echo "fuzz: no targets in $build" >&2; exit 1; }
# shellcheck disable=SC2086
ninja -C "$build" $(printf 'tests/fuzz/fuzz_%s ' $names)
# A finding of UBSan ends the run, as one of ASan does.
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:abort_on_error=1:print_stacktrace=1}
failed=""
for name in $names; do
    mkdir -p "$build/corpus/$name"
    echo "fuzz: $name for $seconds s"
    "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=8192 -timeout=5 -print_final_stats=1 \
        -artifact_prefix="$build/corpus/$name-" "$build/corpus/$name" "tests/fuzz/corpus/$name" \
        >"$build/corpus/$name.log" 2>&1 || failed="$failed $name"
    grep -E '^(Done|stat::number_of_executed_units|SUMMARY)' "$build/corpus/$name.log" || true
done
if [ -n "$failed" ]; then
    echo "fuzz: failed:$failed (see $build/corpus/)" >&2
    exit 1
fi
echo "fuzz: nothing found"
