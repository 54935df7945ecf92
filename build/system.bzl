"""Libraries installed by Debian packages: headers in /usr/include, shared objects in the linker's path."""

def system_library(name, libs = [], visibility = ["//visibility:public"], **kwargs):
    """A library of the machine's. `libs` are names as after -l; unused ones leave no trace in the binary."""
    native.cc_library(
        name = name,
        linkopts = ["-Wl,--push-state,--as-needed"] + ["-l" + lib for lib in libs] + ["-Wl,--pop-state"] if libs else [],
        visibility = visibility,
        **kwargs
    )
