#!/usr/bin/env bash
# clang-tidy on the C++ sources that differ from origin/main (from the last commit where there is no such branch or
# nothing differs from it), or on all of them with --all. Needs a finished build: generated headers are read.
# TIDY_TARGETS=//common/... limits it to the sources of those targets, for a tree that does not build as a whole.
set -euo pipefail

changed_files() {
  local base
  base=$(git merge-base HEAD origin/main 2>/dev/null) || base=
  if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
    base=$(git rev-parse --verify --quiet HEAD~1) || base=$(git hash-object -t tree /dev/null)
  fi
  git diff --name-only --diff-filter=d "$base" -- '*.cc' '*.h'
}

# A header is read through the source of the same name, or through its test.
sources_of() {
  local file
  while read -r file; do
    case "$file" in
      *.h) for source in "${file%.h}.cc" "${file%.h}_test.cc"; do
        if [ -e "$source" ]; then echo "$source" && break; fi
      done ;;
      *) echo "$file" ;;
    esac
  done | sort -u
}

database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT
if [ "${1:-}" = --all ]; then
  git ls-files '*.cc' >"$database/wanted"
else
  changed_files | sources_of >"$database/wanted"
fi
[ -s "$database/wanted" ] || { echo "no C++ source changed" && exit 0; }
bazel aquery --noshow_progress --ui_event_filters=-info --output=jsonproto "mnemonic('CppCompile', ${TIDY_TARGETS:-//...})" \
  >"$database/actions" || { echo "bazel aquery failed; clang-tidy needs a build that works" && exit 1; }
python3 .ci/compile_commands.py "$PWD" "$(bazel info execution_root 2>/dev/null)" \
  <"$database/actions" >"$database/compile_commands.json"
# Sources that no target names are not compiled, and clang-tidy could only guess how.
python3 .ci/compile_commands.py --only "$database/compile_commands.json" <"$database/wanted" >"$database/known"
echo "$(wc -l <"$database/known") files"
xargs --no-run-if-empty --arg-file="$database/known" --max-procs="$(nproc)" --max-args=1 \
  clang-tidy-19 --quiet -p "$database" 2> >(grep -v '^[0-9]* warnings\?.* generated\.$' >&2)
