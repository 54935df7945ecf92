"""Compiler flags for code of our own; what we take from others is compiled as it comes."""

MILLRACE_COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-missing-field-initializers",  # designated initializers leave fields out on purpose
]
