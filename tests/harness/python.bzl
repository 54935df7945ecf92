"""python_test: a Python 3 unittest file as a Bazel test, with one case per test in test.xml (harness/cases.py)."""

# What the tests start.
PROCESSES = [
    "//cli:millrace",
    "//driver:millrace-driver",
    "//executor:millrace-executor",
]

def python_test(name, src, data = [], tags = [], **kwargs):
    native.sh_test(
        name = name,
        srcs = ["//tests/harness:run_python.sh"],
        args = ["$(rootpath %s)" % src],
        data = [src, "//tests/harness:python"] + data,
        tags = tags,
        **kwargs
    )

def python_tool(name, src, data = [], **kwargs):
    """A Python 3 program to be run with `bazel run`; it may import from tests/."""
    native.sh_binary(
        name = name,
        testonly = True,
        srcs = ["//tests/harness:run_python.sh"],
        args = ["$(rootpath %s)" % src],
        data = [src, "//tests/harness:python"] + data,
        **kwargs
    )
