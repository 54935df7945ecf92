"""@kafka: a real Kafka broker for tests, as jars from Maven. Nothing that ships depends on it."""

def _kafka_repository_impl(repository_ctx):
    pom = repository_ctx.path(repository_ctx.attr._pom)
    digests = repository_ctx.path(repository_ctx.attr._digests)
    _run(repository_ctx, "fetching the Kafka broker with Maven", [
        "mvn",
        "--quiet",
        "--batch-mode",
        "--file",
        pom,
        # In here, since the account may have no home directory that can be written.
        "-Dmaven.repo.local=" + str(repository_ctx.path("m2")),
        "-DoutputDirectory=" + str(repository_ctx.path("jars")),
        "-DincludeScope=runtime",
        "dependency:copy-dependencies",
    ])
    repository_ctx.delete("m2")
    _run(repository_ctx, "checking the jars against third_party/kafka/jars.sha256", [
        "sh",
        "-c",
        # Every listed jar is there and right, and no other is.
        'cd jars && LC_ALL=C sha256sum --quiet --check "$1" && ls | wc -l | grep -qx "$(wc -l < "$1")"',
        "sh",
        digests,
    ])
    repository_ctx.file("BUILD.bazel", """
filegroup(
    name = "jars",
    srcs = glob(["jars/*.jar"]),
    visibility = ["@millrace//tests:__subpackages__", "@millrace//connectors/kafka:__subpackages__", "@millrace//third_party:__subpackages__"],
)
""")

def _run(repository_ctx, what, arguments):
    result = repository_ctx.execute(arguments, timeout = 900)
    if result.return_code != 0:
        fail("{} failed ({}):\n{}{}".format(what, result.return_code, result.stdout, result.stderr))

kafka_repository = repository_rule(
    implementation = _kafka_repository_impl,
    attrs = {
        "_digests": attr.label(default = "//third_party/kafka:jars.sha256", allow_single_file = True),
        "_pom": attr.label(default = "//third_party/kafka:pom.xml", allow_single_file = True),
    },
)
