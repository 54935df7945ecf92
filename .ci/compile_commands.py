"""Turns Bazel's action graph into a compile_commands.json for clang-tidy and editors.

  bazel aquery --output=jsonproto 'mnemonic("CppCompile", //...)' | compile_commands.py WORKSPACE EXECUTION_ROOT
  compile_commands.py --only compile_commands.json < files     # those of the files that it has a command for
"""

import json
import os
import sys

# Known to gcc only, or about outputs that clang-tidy does not write.
_DROPPED = {"-fno-canonical-system-headers", "-Wno-free-nonheap-object", "-pass-exit-codes", "-MD", "-Werror"}
_DROPPED_WITH_VALUE = {"-MF", "-o"}


def clang_arguments(arguments):
    """Returns the arguments of a gcc command that clang understands."""
    kept = []
    skip_next = False
    for argument in arguments:
        if skip_next:
            skip_next = False
        elif argument in _DROPPED_WITH_VALUE:
            skip_next = True
        elif argument not in _DROPPED and not argument.startswith("-frandom-seed"):
            kept.append(argument)
    return kept


def compile_commands(action_graph, workspace, execution_root):
    """Returns one entry per C++ source of the workspace; generated ones are left out."""
    entries = {}
    for action in action_graph.get("actions", []):
        arguments = action["arguments"]
        source = arguments[arguments.index("-c") + 1]
        if source.startswith("external/") or not os.path.exists(os.path.join(workspace, source)):
            continue
        file = os.path.join(workspace, source)
        command = [file if argument == source else argument for argument in clang_arguments(arguments)]
        entries[source] = {"file": file, "directory": execution_root, "arguments": command}
    return [entries[source] for source in sorted(entries)]


def main():
    if sys.argv[1] == "--only":
        with open(sys.argv[2]) as database:
            known = {entry["file"] for entry in json.load(database)}
        for line in sys.stdin:
            if os.path.abspath(line.strip()) in known:
                print(line.strip())
        return
    workspace, execution_root = sys.argv[1:]
    json.dump(compile_commands(json.load(sys.stdin), workspace, execution_root), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
