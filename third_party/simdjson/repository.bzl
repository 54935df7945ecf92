"""@simdjson: simdjson from source. Debian's 3.0.1 reads long numbers wrong (0.33333333333333333333 as 0)."""

_PACKAGE = "pysimdjson"  # carries the two source files of 3.12.3
_VERSION = "7.0.2"
_ARCHIVE = "pysimdjson-7.0.2.tar.gz"
_SHA256 = "44cf276e48912a3b9c7ca362c14da8420a7ac15a9f1a16ec95becff86db3904a"
_SOURCES = "pysimdjson-7.0.2/simdjson"

# pip asks whatever it downloads for its metadata, which runs the package's own build. This stands where pip looks for
# the build backend, so that nothing of the package is run or built.
_BACKEND = """
import os

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    name = "{name}-{version}.dist-info"
    os.makedirs(os.path.join(directory, name))
    with open(os.path.join(directory, name, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return name
"""

_BUILD = """
cc_library(
    name = "simdjson",
    srcs = ["simdjson.cpp"],
    hdrs = ["include/simdjson.h"],
    copts = ["-O2", "-w"],
    includes = ["include"],
    linkstatic = True,
    visibility = ["@millrace//third_party:__pkg__"],
)
"""

def _simdjson_repository_impl(repository_ctx):
    _fetch(repository_ctx)
    _check_version(repository_ctx)
    repository_ctx.symlink("simdjson.h", "include/simdjson.h")
    repository_ctx.file("BUILD.bazel", _BUILD)

def _fetch(repository_ctx):
    repository_ctx.file("backend/setuptools/__init__.py", "")
    repository_ctx.file("backend/setuptools/build_meta.py", _BACKEND.format(name = _PACKAGE, version = _VERSION))

    # With a digest pip looks at nothing of the archive before it has checked it.
    repository_ctx.file("requirements.txt", "{}=={} --hash=sha256:{}\n".format(_PACKAGE, _VERSION, _SHA256))
    command = [
        "pip3",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary=:all:",
        "--no-build-isolation",
        # The account may have no home directory that can be written.
        "--no-cache-dir",
        "--requirement=requirements.txt",
    ]
    result = repository_ctx.execute(
        command,
        timeout = 600,
        environment = {"PYTHONPATH": str(repository_ctx.path("backend"))},
    )
    if result.return_code != 0:
        fail("{} failed ({}):\n{}{}".format(" ".join(command), result.return_code, result.stdout, result.stderr))
    repository_ctx.extract(_ARCHIVE, stripPrefix = _SOURCES)
    for used in ["backend", "requirements.txt", _ARCHIVE]:
        repository_ctx.delete(used)

def _check_version(repository_ctx):
    expected = '#define SIMDJSON_VERSION "3.12.3"'
    if expected not in repository_ctx.read("simdjson.h"):
        fail("{} {} does not say '{}'".format(_PACKAGE, _VERSION, expected))

simdjson_repository = repository_rule(implementation = _simdjson_repository_impl)
