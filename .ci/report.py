"""Counts the test cases of one run of ./check and prints what did not pass.

  report.py DIRECTORY

The directory holds, for each step, `NAME.step` (the word passed or failed) and, for each run of Bazel, `NAME.events`
(its build event file) and `NAME.exit` (its exit code). Reading the event file rather than bazel-testlogs/ leaves out
what earlier runs left there and sees targets that did not build. Exits with 1 if anything failed or no test ran.
"""

import collections
import json
import pathlib
import sys
import urllib.parse
import xml.etree.ElementTree

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

# One test case, one step, or one target that failed as a whole. `run` is the step's or configuration's name.
Case = collections.namedtuple("Case", ["run", "name", "outcome"])


def cases_of_xml(run, target, text):
    """Returns the cases in a test.xml; none if it cannot be read (the program died while writing it)."""
    try:
        root = xml.etree.ElementTree.fromstring(text)
    except xml.etree.ElementTree.ParseError:
        return []
    cases = []
    for element in root.iter("testcase"):
        children = {child.tag for child in element}
        if children & {"failure", "error"}:
            outcome = FAILED
        elif "skipped" in children or element.get("status") == "notrun" or element.get("result") == "skipped":
            outcome = SKIPPED
        else:
            outcome = PASSED
        # GoogleTest names the suite in `classname`; Bazel's stand-in for other programs has the target alone.
        suite = element.get("classname")
        name = f"{target} {suite}.{element.get('name')}" if suite else target
        cases.append(Case(run, name, outcome))
    return cases


def cases_of_events(run, events, read_text):
    """Returns the cases of a Bazel run, given its build events; `read_text` maps a file:// URI to its content."""
    cases = []
    failed_targets = []
    for event in events:
        identity = event["id"]
        if "testResult" in identity:
            outputs = event.get("testResult", {}).get("testActionOutput", [])
            for uri in [output["uri"] for output in outputs if output.get("name") == "test.xml"]:
                cases += cases_of_xml(run, identity["testResult"]["label"], read_text(uri))
        elif "testSummary" in identity:
            # A flaky test is one that failed.
            if event.get("testSummary", {}).get("overallStatus") != "PASSED":
                failed_targets.append(identity["testSummary"]["label"])
        elif "targetCompleted" in identity:
            if not event.get("completed", {}).get("success"):
                failed_targets.append(identity["targetCompleted"]["label"])
    return cases + _whole_target_failures(run, cases, failed_targets)


def _whole_target_failures(run, cases, failed_targets):
    """Returns one failure for each failed target of which no case failed: it did not build, crashed, leaked or hung."""
    explained = {case.name.split(" ")[0] for case in cases if case.outcome == FAILED}
    return [Case(run, target, FAILED) for target in sorted(set(failed_targets) - explained)]


def cases_of_directory(directory):
    """Returns the cases of everything that ./check recorded."""
    cases = []
    for step in sorted(directory.glob("*.step")):
        cases.append(Case("check", step.stem, PASSED if step.read_text().strip() == PASSED else FAILED))
    for exit_code in sorted(directory.glob("*.exit")):
        run = exit_code.stem
        events = directory / (run + ".events")
        lines = events.read_text().splitlines() if events.exists() else []
        found = cases_of_events(run, [json.loads(line) for line in lines], _read_uri)
        code = exit_code.read_text().strip()
        if code != "0" and not any(case.outcome == FAILED for case in found):
            found.append(Case(run, f"bazel ended with exit code {code}", FAILED))
        if not found:
            found.append(Case(run, "no test ran", FAILED))
        cases += found
    return cases


def _read_uri(uri):
    path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(uri).path))
    return path.read_text(errors="replace") if path.exists() else ""


def report(cases):
    """Returns the lines to print; the last is the count."""
    lines = []
    for outcome in (SKIPPED, FAILED):
        lines += [f"{outcome}: {case.name} [{case.run}]" for case in cases if case.outcome == outcome]
    count = collections.Counter(case.outcome for case in cases)
    total = f"{count[PASSED]} passed, {count[FAILED]} failed"
    if count[SKIPPED]:
        total += f", {count[SKIPPED]} skipped"
    return lines + [total]


def main():
    cases = cases_of_directory(pathlib.Path(sys.argv[1]))
    print("\n".join(report(cases)))
    ran = any(case.outcome == PASSED and case.run != "check" for case in cases)
    sys.exit(0 if ran and not any(case.outcome == FAILED for case in cases) else 1)


if __name__ == "__main__":
    main()
