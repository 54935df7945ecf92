#!/usr/bin/env bash
# The mutation check: builds that lack one of the things exactly-once rests on (common/base/mutation.h), each of which must
# turn tests red. Passes if every mutation is noticed.
set -euo pipefail

# Mutation, and the tests that must notice it.
suites=(
  "fencing //tests/contract:kafka_claim_test //tests/contract:kafka_crash_test"
  "marker //tests/contract:kafka_claim_test //tests/contract:kafka_contract_test"
  "fsync_order //driver/journal:takeover_test"
  "split_order //executor/operators:stage_pipeline_test //executor/operators:keyed_state_test"
)

missed=0
for suite in "${suites[@]}"; do
  read -r mutation targets <<<"$suite"
  code=0
  # An output tree of its own, so that the normal build stays valid. Exit code 3: built, and tests failed.
  # shellcheck disable=SC2086 # several targets
  bazel test --define=mutation="$mutation" --platform_suffix="-$mutation" --noshow_progress --color=no \
    --ui_event_filters=-info,-debug,-stdout,-stderr --test_output=summary --keep_going $targets </dev/null || code=$?
  if [ "$code" -eq 3 ]; then
    echo "noticed: $mutation"
  else
    echo "NOT noticed: $mutation (bazel test ended with $code): nothing in $targets fails without it"
    missed=1
  fi
done
exit "$missed"
