#!/usr/bin/env bash
# Fuzzes one decoder, or all one after another: tests/fuzz/run.sh TARGET|all [SECONDS] [libFuzzer options…]
# SECONDS are of CPU time, so that a machine with other work to do fuzzes as much as an idle one, only longer.
# What it finds is left in the working directory as crash-…, timeout-… or oom-…; the corpus it grows is kept outside of the
# repository and goes back there with: tests/fuzz/run.sh TARGET merge
set -euo pipefail
cd "$(git -C "$(dirname "$(readlink -f "$0")")" rev-parse --show-toplevel)"

target=${1:?usage: tests/fuzz/run.sh TARGET|all [SECONDS|merge] [libFuzzer options…]}
seconds=${2:-1200}
shift $(($# < 2 ? $# : 2))
: "${BAZEL:=bazel}"

if [ "$target" = all ]; then
  for folder in tests/fuzz/corpus/*/; do
    "$0" "$(basename "$folder")" "$seconds" "$@"
  done
  exit
fi

source .ci/setup.sh
install_packages fuzz
$BAZEL build --config=fuzz //tests/fuzz:fuzz
grown=${FUZZ_CORPUS:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace-fuzz}/$target
mkdir -p "$grown"
export FUZZ_TARGET=$target
# An abort, since libFuzzer keeps the input of one.
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:abort_on_error=1}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:allocator_may_return_null=1}
fuzz=${FUZZ_BINARY:-$($BAZEL info --config=fuzz bazel-bin)/tests/fuzz/fuzz}
if [ "$seconds" = merge ]; then
  exec "$fuzz" -merge=1 -max_len=2048 "tests/fuzz/corpus/$target" "$grown"
fi
export FUZZ_SEEDS=$grown
times=$(mktemp)
trap 'rm -f "$times"' EXIT
spent=0
while [ "$spent" -lt "$seconds" ]; do
  left=$((seconds - spent))
  "$fuzz" -max_total_time=$((left < 300 ? left : 300)) -max_len=4096 -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$target-" "$@" "$grown" "tests/fuzz/corpus/$target"
  # The second line is of ended children: 1m2.345s (user) 0m0.067s (system).
  times >"$times"
  spent=$(awk 'NR == 2 { gsub(/[ms]/, " "); print int($1 * 60 + $2 + $3 * 60 + $4) }' "$times")
  echo "$target: $spent of $seconds CPU-seconds without a finding"
done
