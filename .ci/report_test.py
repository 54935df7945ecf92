"""Tests of report.py: what would let a broken run look green."""

import unittest

import report

_GTEST = """<testsuites><testsuite name="A">
  <testcase name="Passes" status="run" result="completed" classname="A"/>
  <testcase name="Fails" status="run" result="completed" classname="A"><failure message="x"/></testcase>
  <testcase name="Skips" status="run" result="skipped" classname="A"><skipped message="y"/></testcase>
  <testcase name="DISABLED_Waits" status="notrun" result="suppressed" classname="A"/>
</testsuite></testsuites>"""
_PASSING = '<testsuites><testsuite name="t"><testcase name="t" status="run"></testcase></testsuite></testsuites>'


def _result(label, uri):
    return {
        "id": {"testResult": {"label": label}},
        "testResult": {"testActionOutput": [{"name": "test.log", "uri": "log"}, {"name": "test.xml", "uri": uri}]},
    }


def _summary(label, status):
    return {"id": {"testSummary": {"label": label}}, "testSummary": {"overallStatus": status}}


def _completed(label, **completed):
    return {"id": {"targetCompleted": {"label": label}}, "completed": completed}


def _cases(*events, xml=_PASSING):
    return report.cases_of_events("tests", events, lambda uri: xml)


class ReportTest(unittest.TestCase):
    def test_every_case_of_a_gtest_program_counts(self):
        cases = _cases(_result("//a:t", "x"), _summary("//a:t", "FAILED"), xml=_GTEST)
        self.assertEqual(report.report(cases)[-1], "1 passed, 1 failed, 2 skipped")
        self.assertIn("failed: //a:t A.Fails [tests]", report.report(cases))

    def test_a_program_without_cases_counts_as_one(self):
        cases = _cases(_result("//a:t", "x"), _summary("//a:t", "PASSED"), _completed("//a:t", success=True))
        self.assertEqual(report.report(cases), ["1 passed, 0 failed"])

    def test_a_program_that_crashes_after_its_last_case_fails(self):
        cases = _cases(_result("//a:t", "x"), _summary("//a:t", "FAILED"))
        self.assertEqual(report.report(cases), ["failed: //a:t [tests]", "1 passed, 1 failed"])

    def test_a_torn_xml_fails(self):
        cases = _cases(_result("//a:t", "x"), _summary("//a:t", "TIMEOUT"), xml="<testsuites><tests")
        self.assertEqual(report.report(cases)[-1], "0 passed, 1 failed")

    def test_a_flaky_test_fails(self):
        self.assertEqual(report.report(_cases(_summary("//a:t", "FLAKY")))[-1], "0 passed, 1 failed")

    def test_a_target_that_does_not_build_fails_once(self):
        cases = _cases(_completed("//a:t"), _summary("//a:t", "FAILED_TO_BUILD"), _completed("//a:lib"))
        self.assertEqual(report.report(cases)[-1], "0 passed, 2 failed")

    def test_an_aborted_target_fails(self):
        aborted = {"id": {"targetCompleted": {"label": "//a:t"}}, "aborted": {"reason": "ANALYSIS_FAILURE"}}
        self.assertEqual(report.report(_cases(aborted))[-1], "0 passed, 1 failed")


if __name__ == "__main__":
    unittest.main()
