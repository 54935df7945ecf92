#!/usr/bin/env bash
# Names the C++ files that clang-format would change, and fails if there are any.
set -euo pipefail
mapfile -t files < <(git ls-files --cached '*.cc' '*.h' | while read -r file; do [ -e "$file" ] && echo "$file"; done)
[ "${#files[@]}" -gt 0 ] || exit 0
output=$(clang-format-19 --dry-run -Werror "${files[@]}" 2>&1) && exit 0
mapfile -t offenders < <(sed -n 's/^\([^: ]*\):[0-9]*:[0-9]*: error: .*/\1/p' <<<"$output" | sort -u)
[ "${#offenders[@]}" -gt 0 ] || { echo "$output" && exit 1; }
echo "Not formatted; run: clang-format-19 -i ${offenders[*]}"
exit 1
