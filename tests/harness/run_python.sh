#!/usr/bin/env bash
# Runs a Python file as a Bazel test or tool: Bazel 4's own py_test wants a `python` in PATH, which Debian does not have.
set -euo pipefail
export PYTHONPATH="$PWD" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
exec python3 "$@"
