"""@rdkafka: librdkafka from source. Debian's 2.0.2 lacks fetch.queue.backoff.ms and is slower at transactions."""

_PACKAGE = "@confluentinc/kafka-javascript@1.10.1"  # carries the sources of 2.15.1
_TARBALL = "confluentinc-kafka-javascript-1.10.1.tgz"
_SHA256 = "ada7d703bb1d3237e2292bfabf438d663b6160c9f1ac2a2406b5dc4257c81b66"
_SOURCES = "package/deps/librdkafka"

# A request to a group's coordinator has a timeout that nobody looks at, and is gone on with only when some broker
# changes its state: after a broker was restarted rd_kafka_send_offsets_to_transaction may block for ever (upstream
# issue 5456, open in 2.15.1). So it looks every 200 ms, for the coordinator and at the time. The timer is armed
# before each look since a look may free it.
_COORDINATOR_TIMEOUT = [
    ("src/rdkafka_coord.h", "        rd_ts_t creq_ts_timeout; ", "        rd_kafka_timer_t creq_poll_tmr;\n        rd_ts_t creq_ts_timeout; ", 1),
    ("src/rdkafka_coord.c", "        TAILQ_INSERT_TAIL(&rk->rk_coord_reqs, creq, creq_link);\n", """\
        TAILQ_INSERT_TAIL(&rk->rk_coord_reqs, creq, creq_link);
        rd_kafka_coord_req_poll_start(&rk->rk_timers, creq);
""", 1),
    ("src/rdkafka_coord.c", "static void rd_kafka_coord_req_tmr_cb(rd_kafka_timers_t *rkts, void *arg) {\n", """\
static void rd_kafka_coord_req_poll_start(rd_kafka_timers_t *rkts, rd_kafka_coord_req_t *creq);
static void rd_kafka_coord_req_poll_cb(rd_kafka_timers_t *rkts, void *arg) {
        rd_kafka_coord_req_poll_start(rkts, arg);
        rd_kafka_coord_req_fsm(rkts->rkts_rk, arg);
}
static void rd_kafka_coord_req_poll_start(rd_kafka_timers_t *rkts, rd_kafka_coord_req_t *creq) {
        rd_kafka_timer_start_oneshot(rkts, &creq->creq_poll_tmr, rd_true, 200 * 1000, rd_kafka_coord_req_poll_cb, creq);
}
static void rd_kafka_coord_req_tmr_cb(rd_kafka_timers_t *rkts, void *arg) {
""", 1),
    ("src/rdkafka_coord.c", "                rd_kafka_timer_stop(&rk->rk_timers, &creq->creq_tmr,\n", """\
                rd_kafka_timer_stop(&rk->rk_timers, &creq->creq_poll_tmr, RD_DO_LOCK);
                rd_kafka_timer_stop(&rk->rk_timers, &creq->creq_tmr,
""", 1),
    ("src/rdkafka_coord.c", "        /* Check cache first */\n", """\
        if (rd_timeout_expired(rd_timeout_remains(creq->creq_ts_timeout))) {
                rd_kafka_coord_req_fail(rk, creq, RD_KAFKA_RESP_ERR__TIMED_OUT);
                return;
        }

        /* Check cache first */
""", 1),
]

# Reading a group's offsets, which consumers ask their own group for and all others a coordinator.
_GROUP_OFFSETS = [
    # One who is not in a group crashed when the coordinator had moved. It shall ask for the new one instead.
    ("src/rdkafka_request.c", "rd_kafka_cgrp_op(rkb->rkb_rk->rk_cgrp, NULL, RD_KAFKA_NO_REPLYQ,\n", """\
if (!rkb->rkb_rk->rk_cgrp)
                        rd_kafka_coord_cache_evict(&rkb->rkb_rk->rk_coord_cache, rkb);
                else
                        rd_kafka_cgrp_op(rkb->rkb_rk->rk_cgrp, NULL, RD_KAFKA_NO_REPLYQ,
""", 1),
    # A request that ran out of time before the coordinator was found was answered after it had been freed.
    ("src/rdkafka_coord.c", "                                rd_kafka_coord_req_fail(rk, creq, err);\n                        } else {\n", """\
                                if (err == RD_KAFKA_RESP_ERR__DESTROY)
                                        rd_kafka_coord_req_destroy(rk, creq, rd_true);
                                else
                                        rd_kafka_coord_req_fail(rk, creq, err);
                        } else {
""", 1),
]

# A broker that is starting up answers with topics and without any broker, and a client that believes it forgets all
# brokers, those of bootstrap.servers too, and never connects again (upstream issue 5301, open in 2.15.1).
_NO_BROKERS = [
    ("src/rdkafka_metadata.c", "        if (!has_learned_brokers) {\n", "        if (!has_learned_brokers || md->broker_cnt == 0) {\n", 1),
]

# Constants that no configuration reaches: (file, what it says, what it shall say, how often it must be found).
# Together they bring a 10 ms batch with a transaction from runaway to p99 < 40 ms, and init_transactions from
# 505 ms to about 70.
_PATCHES = [
    # Retry of AddPartitionsToTxn while the coordinator still ends the last transaction, in ms.
    ("src/rdkafka_txnmgr.c", "retry_backoff_ms = 20", "retry_backoff_ms = 2", 1),
    # The two timers that init_transactions waits for, in ms.
    ("src/rdkafka_idempotence.c", "500 /*500ms*/", "10 /*10ms*/", 1),
    ("src/rdkafka_txnmgr.c", "rd_kafka_txn_coord_timer_start(rk, 500)", "rd_kafka_txn_coord_timer_start(rk, 10)", 5),
] + _COORDINATOR_TIMEOUT + _GROUP_OFFSETS + _NO_BROKERS

# configure takes what it happens to find on the machine: these lines must be in config.h, the others must not.
_EXPECTED = [
    '#define RDKAFKA_VERSION_STR "2.15.1"',
    "#define HAVE_ATOMICS_32_ATOMIC 1",
    "#define HAVE_ATOMICS_64_ATOMIC 1",
    "#define WITH_LZ4_EXT 1",
    "#define WITH_SASL_OAUTHBEARER 1",
    "#define WITH_SASL_SCRAM 1",
    "#define WITH_SNAPPY 1",
    "#define WITH_SSL 1",
    "#define WITH_ZLIB 1",
    "#define WITH_ZSTD 1",
]
_UNEXPECTED = [
    "#define WITH_C11THREADS",
    "#define WITH_CURL",
    "#define WITH_OAUTHBEARER_OIDC",
    "#define WITH_SASL_CYRUS",
]

_BUILD = """
cc_library(
    name = "rdkafka",
    srcs = glob(
        ["config.h", "src/*.c", "src/*.h", "src/nanopb/*", "src/opentelemetry/*.c", "src/opentelemetry/*.h"],
        exclude = [
            # Cyrus, curl and Windows are not configured in; lz4 is the system's.
            "src/lz4*.c",
            "src/rdhttp.c",
            "src/rdkafka_sasl_cyrus.c",
            "src/rdkafka_sasl_oauthbearer_oidc.c",
            "src/rdkafka_sasl_win32.c",
        ],
    ),
    hdrs = ["include/librdkafka/rdkafka.h", "include/librdkafka/rdkafka_mock.h"],
    # It shifts negative numbers to the left, which gcc defines.
    copts = ["-Iexternal/rdkafka/src", "-O2", "-w", "-fno-sanitize=shift"],
    includes = ["include"],
    linkopts = ["-llz4", "-lzstd", "-lssl", "-lcrypto", "-lz", "-ldl", "-lpthread", "-lm"],
    linkstatic = True,
    visibility = ["@millrace//third_party:__pkg__"],
)
"""

def _rdkafka_repository_impl(repository_ctx):
    _fetch(repository_ctx)
    _patch(repository_ctx)
    _configure(repository_ctx)
    for header in ["rdkafka.h", "rdkafka_mock.h"]:
        repository_ctx.symlink("src/" + header, "include/librdkafka/" + header)
    repository_ctx.file("BUILD.bazel", _BUILD)

def _fetch(repository_ctx):
    # The cache in here, since the account may have no home directory that can be written.
    _run(repository_ctx, ["npm", "pack", "--loglevel=error", "--cache", "npm-cache", _PACKAGE])
    found = _run(repository_ctx, ["sha256sum", _TARBALL]).split(" ")[0]
    if found != _SHA256:
        fail("{} has sha256 {}, not {}".format(_TARBALL, found, _SHA256))
    repository_ctx.extract(_TARBALL, stripPrefix = _SOURCES)
    repository_ctx.delete("npm-cache")
    repository_ctx.delete(_TARBALL)

def _patch(repository_ctx):
    for file, old, new, times in _PATCHES:
        text = repository_ctx.read(file)
        if text.count(old) != times:
            fail("librdkafka's {} has '{}' {} times, not {}".format(file, old, text.count(old), times))
        repository_ctx.file(file, text.replace(old, new), executable = False, legacy_utf8 = False)

def _configure(repository_ctx):
    # Without C11 threads it uses pthreads, which is the same to glibc but what ThreadSanitizer understands.
    _run(repository_ctx, [
        "./configure",
        "--disable-c11threads",
        "--disable-curl",
        "--disable-gssapi",
        "--disable-sasl",
    ])
    lines = repository_ctx.read("config.h").split("\n")
    for wanted in _EXPECTED:
        if wanted not in lines:
            fail("librdkafka's configure did not arrive at '{}'; is a package of apt-packages.txt missing?".format(wanted))
    for line in lines:
        for unwanted in _UNEXPECTED:
            if line.startswith(unwanted):
                fail("librdkafka's configure switched on '{}'".format(line))

def _run(repository_ctx, arguments):
    result = repository_ctx.execute(arguments, timeout = 600)
    if result.return_code != 0:
        fail("{} failed ({}):\n{}{}".format(" ".join(arguments), result.return_code, result.stdout, result.stderr))
    return result.stdout

rdkafka_repository = repository_rule(implementation = _rdkafka_repository_impl)
