"""The dependency rule: proto <- common <- {plan, connectors} <- sql <- {driver, executor} <- client <- cli <- tests.

The executor is not to the right of plan and sql: it knows the plan's messages and nothing of how a plan comes about.
The groups are in BUILD.bazel beside this file. The macros in cc.bzl and proto.bzl give every target the visibility of
its top directory, so that an include in the wrong direction is a build error and a BUILD file has nothing to write
about it.
"""

_LAYERS = [
    "proto",
    "common",
    "plan",
    "connectors",
    "sql",
    "driver",
    "executor",
    "client",
    "cli",
    "tests",
]

def layer_visibility():
    """Returns the default visibility of a target in the package being loaded."""
    top = native.package_name().split("/")[0]
    if top not in _LAYERS:
        return ["//visibility:private"]
    return ["//build:layer_" + top]

def checked_visibility(visibility):
    """Returns `visibility`, or the layer's if None; a target may hide more than its layer, never less."""
    if visibility == None:
        return layer_visibility()
    for label in visibility:
        if label == "//visibility:public":
            fail("//visibility:public would undo the dependency rule; leave visibility out (build/README.md)")
    return visibility
