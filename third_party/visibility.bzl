"""The dependency rule: proto <- common <- {connectors, plan} <- {driver, executor} <- cli <- tests.

The executor may not use plan/: it knows the plan's message only.

The macros in cc.bzl and proto.bzl give every target the visibility of its top directory, so that an
include in the wrong direction is a build error and a BUILD file has nothing to write about it.
"""

_LAYERS = [
    "proto",
    "common",
    "connectors",
    "plan",
    "driver",
    "executor",
    "cli",
    "tests",
]

def layer_visibility():
    """Returns the default visibility of a target in the package being loaded."""
    top = native.package_name().split("/")[0]
    if top not in _LAYERS:
        return ["//visibility:private"]
    return ["//third_party:layer_" + top]

def checked_visibility(visibility):
    """Returns `visibility`, or the layer's if None; a target may hide more than its layer, never less."""
    if visibility == None:
        return layer_visibility()
    for label in visibility:
        if label == "//visibility:public":
            fail("//visibility:public would undo the dependency rule; leave visibility out (third_party/README.md)")
    return visibility
