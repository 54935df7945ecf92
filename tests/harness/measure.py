"""What reports say about machine, processes and figures, and how they compare two builds of the engine."""

import os
import pathlib
import platform
import re
import statistics


def machine():
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}"


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def spread(values, digits):
    """The median (minimum–maximum) of several runs; of one run its figure alone."""
    low, median, high = (f"{value:,.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{median} ({low}–{high})" if len(values) > 1 else median


def committed_transactions(broker, begin, end):
    """transactional.id -> how many of its transactions the broker has committed between two moments of time.time().

    What the broker's coordinator has journaled of them in __transaction_state, decoded by Kafka's own tool: exactly one
    record CompleteCommit for each. So any engine's transactions are counted alike, and without asking it.
    """
    files = [str(path) for path in sorted((broker.directory / "logs").glob("__transaction_state-*/*.log"))]
    if not files:
        return {}
    dump = broker.java("kafka.tools.DumpLogSegments", "--transaction-log-decoder", "--files", ",".join(files))
    if dump.code != 0:
        raise AssertionError(f"the log of transactions cannot be read: {dump}")
    counts = {}
    commit = r"CreateTime: (\d+) .*transactionalId=(\S+) payload:.*state=CompleteCommit,"
    for at_ms, identity in re.findall(commit, dump.out):
        if begin <= int(at_ms) / 1000 < end:
            counts[identity] = counts.get(identity, 0) + 1
    return counts


# ---- Comparing builds ----

BASELINE_HELP = ("directory with copies of another commit's bazel-bin/{cli/millrace,driver/millrace-driver,"
                 "executor/millrace-executor}, to be measured in turn with the ones built here")


def builds(baseline):
    """Name -> the directory of its programs as binary_path() takes it; `baseline` as the user gave it, or None."""
    if not baseline:
        return {"this": None}
    # `bazel run` has left the directory in which the user gave a relative path.
    started_in = pathlib.Path(os.environ.get("BUILD_WORKING_DIRECTORY", ".")).resolve()
    return {"this": None, "baseline": started_in / baseline}


def in_turn(cases, rounds):
    """(number of the round, case), each round in the other order than the one before."""
    for number in range(rounds):
        for case in list(cases)[::-1 if number % 2 else 1]:
            yield number, case


def print_comparison(results, digits):
    """A row for each figure of `digits`: of each build, and this one's ratio to the baseline, round by round.

    `results`: build -> [figure -> value, for each round]. `digits`: figure -> places after the point.
    """
    columns = [*results, *(["this / baseline"] if "baseline" in results else [])]
    print(f"| | {' | '.join(columns)} |")
    print("|---" * (1 + len(columns)) + "|")
    for figure, places in digits.items():
        values = {build: [run[figure] for run in runs] for build, runs in results.items()}
        cells = [spread(of_build, places) for of_build in values.values()]
        if "baseline" in results:
            cells.append(spread([ours / theirs for ours, theirs in zip(values["this"], values["baseline"])], 2)
                         if all(values["baseline"]) else "–")
        print(f"| {figure} | {' | '.join(cells)} |", flush=True)
