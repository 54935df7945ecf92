"""C++ code from .proto files, by Debian's protoc."""

load("//build:visibility.bzl", "checked_visibility")

def mr_proto_library(name, srcs, deps = [], grpc = False, visibility = None):
    """Compiles .proto files that lie in the calling package.

    Makes `name`, a cc_library whose headers are included as "<package>/x.pb.h", and, with grpc = True, `name`_grpc
    with the services of the same files, included as "<package>/x.grpc.pb.h". Only packages that may use gRPC can
    depend on the latter. Protos import each other by path from the workspace root: import "proto/plan.proto".

    Args:
      name: of the messages' library.
      srcs: .proto files.
      deps: other mr_proto_library targets whose files these import.
      grpc: whether the files define services.
      visibility: as in mr_cc_library.
    """
    visibility = checked_visibility(visibility)
    native.filegroup(
        name = name + "_protos",
        srcs = srcs + [_absolute(dep) + "_protos" for dep in deps],
        visibility = visibility,
    )
    _protoc_library(
        name = name,
        srcs = srcs,
        protos = name + "_protos",
        suffix = ".pb",
        protoc_flags = "--cpp_out=$(GENDIR)",
        deps = deps + ["//third_party:protobuf"],
        visibility = visibility,
    )
    if grpc:
        _protoc_library(
            name = name + "_grpc",
            srcs = srcs,
            protos = name + "_protos",
            suffix = ".grpc.pb",
            protoc_flags = "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin --grpc_out=$(GENDIR)",
            deps = [":" + name, "//third_party:grpc"],
            visibility = ["//third_party:may_use_grpc"],
        )

def _absolute(label):
    """Returns `label` with its target spelled out, so that a suffix can be appended: //a/b becomes //a/b:b."""
    return label if ":" in label else label + ":" + label.split("/")[-1]

def _protoc_library(name, srcs, protos, suffix, protoc_flags, deps, visibility):
    stems = [src[:-len(".proto")] for src in srcs]
    sources = [stem + suffix + ".cc" for stem in stems]
    headers = [stem + suffix + ".h" for stem in stems]
    native.genrule(
        name = name + "_gen",
        srcs = [protos],
        outs = sources + headers,
        cmd = "protoc -I. -I/usr/include {flags} {files}".format(
            files = " ".join([native.package_name() + "/" + src for src in srcs]),
            flags = protoc_flags,
        ),
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        linkstatic = True,
        visibility = visibility,
        deps = deps,
    )
