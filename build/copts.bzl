"""Compiler flags for code of our own; what we take from others is compiled as it comes."""

MILLRACE_COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-missing-field-initializers",  # designated initializers leave fields out on purpose
]

# --define=failpoints=off: a build without the places where tests end or stop a process (common/base/failpoint.h).
FAILPOINT_COPTS = select({
    "//build:failpoints_off": ["-DMILLRACE_WITHOUT_FAILPOINTS"],
    "//conditions:default": [],
})

# --define=mutation=NAME: a build that lacks something exactly-once rests on (common/base/mutation.h).
MUTATIONS = ["fencing", "marker", "fsync_order", "split_order"]

MUTATION_COPTS = select(dict(
    [("//build:mutation_" + name, ["-DMILLRACE_MUTATION=\\\"" + name + "\\\""]) for name in MUTATIONS] +
    [("//conditions:default", [])],
))
