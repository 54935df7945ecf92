"""cc_library, cc_binary and cc_test with the project's flags and visibility. See README.md beside this file."""

load("//build:copts.bzl", "FAILPOINT_COPTS", "MILLRACE_COPTS", "MUTATION_COPTS")
load("//build:visibility.bzl", "checked_visibility")

def mr_cc_library(name, copts = [], visibility = None, **kwargs):
    native.cc_library(
        name = name,
        copts = MILLRACE_COPTS + FAILPOINT_COPTS + MUTATION_COPTS + copts,
        linkstatic = True,
        visibility = checked_visibility(visibility),
        **kwargs
    )

def mr_cc_binary(name, copts = [], deps = [], visibility = None, **kwargs):
    """A binary that people run: it comes with the project's allocator."""
    native.cc_binary(
        name = name,
        copts = MILLRACE_COPTS + FAILPOINT_COPTS + MUTATION_COPTS + copts,
        # First, so that malloc resolves to it before libc's.
        deps = ["//third_party:allocator"] + deps + ["//build/sanitizers"],
        visibility = checked_visibility(visibility),
        **kwargs
    )

def mr_cc_test(name, copts = [], deps = [], main = True, **kwargs):
    """A GoogleTest program. With main = False it brings its own main(), with or without GoogleTest."""
    native.cc_test(
        name = name,
        copts = MILLRACE_COPTS + FAILPOINT_COPTS + MUTATION_COPTS + copts,
        deps = deps + ["//build/sanitizers"] + (["//third_party:gtest_main"] if main else []),
        **kwargs
    )
