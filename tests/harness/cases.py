"""Runs the tests of a module and writes them to $XML_OUTPUT_FILE, one case each, so that ./check can count them."""

import os
import sys
import time
import unittest
import xml.etree.ElementTree as ElementTree


class _RecordingResult(unittest.TextTestResult):
    """Also keeps what happened to each test, and how long it took."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.records = {}  # test id -> [seconds, tag or None, text]
        self._begun = {}

    def startTest(self, test):
        super().startTest(test)
        self._begun[test.id()] = time.monotonic()
        self.records[test.id()] = [0.0, None, ""]

    def stopTest(self, test):
        super().stopTest(test)
        self.records[test.id()][0] = time.monotonic() - self._begun[test.id()]

    def _mark(self, test, tag, text):
        record = self.records.setdefault(test.id(), [0.0, None, ""])
        if record[1] is None or record[1] == "skipped":
            record[1], record[2] = tag, text

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._mark(test, "failure", self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self._mark(test, "error", self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._mark(test, "failure", f"{subtest}: {self._exc_info_to_string(err, test)}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._mark(test, "skipped", reason)

    def write_xml(self, path):
        suites = ElementTree.Element("testsuites")
        suite = ElementTree.SubElement(suites, "testsuite", name=os.environ.get("TEST_TARGET", "tests"))
        for identity, (seconds, tag, text) in self.records.items():
            parts = identity.split(".")
            case = ElementTree.SubElement(
                suite, "testcase", classname=".".join(parts[-2:-1]), name=parts[-1], time=f"{seconds:.3f}")
            if tag is not None:
                ElementTree.SubElement(case, tag, message=text.strip().split("\n")[-1][:500]).text = text
        ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def main():
    """In place of unittest.main(). Arguments after the file name choose tests, as with unittest."""
    program = unittest.main(
        module="__main__", exit=False, verbosity=2,
        testRunner=unittest.TextTestRunner(resultclass=_RecordingResult, stream=sys.stdout, verbosity=2))
    path = os.environ.get("XML_OUTPUT_FILE")
    if path:
        program.result.write_xml(path)
    if program.result.testsRun == 0:
        print("no test ran")
        sys.exit(1)
    sys.exit(0 if program.result.wasSuccessful() else 1)
