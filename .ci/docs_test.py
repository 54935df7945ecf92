"""Tests of docs.py: what would let a document name something that is not there."""

import unittest

import docs

_FILES = {
    ".bazelrc": "build:asan --copt=-g\n",
    "WORKSPACE": 'kafka_repository(name = "kafka")\n',
    "common/failpoint.h": '//   MILLRACE_FAILPOINT("journal.gone");\n',
    "check": "  case $1 in\n    --full) ;;\n",
    "cli/main.cc": 'AddSubcommand(app, "jobs", "x"); AddJobAction(*jobs, context, "list"); add_option("--set", s);\n',
    "cli/BUILD.bazel": 'load("//b:c.bzl", "mr_cc_binary")\nmr_cc_binary(name = "millrace", srcs = ["main.cc"])\n',
    "common/config/settings.cc": '      {"parallelism", "a number"},\n      {"timezone", "a zone"},\n',
    "driver/main.cc": 'app->add_option("--directory", x); MILLRACE_FAILPOINT("journal.appended"); "MILLRACE_DRIVER"\n',
    "driver/job_state.cc": 'class JobState; MILLRACE_FAILPOINT("journal.synced"); "millrace_job_batches_total"\n',
    "driver/BUILD.bazel": '[mr_cc_test(name = one + "_test") for one in ["job_state", "journal"]]\n',
    "tests/chaos/soak.py": 'parser.add_argument("--minutes")\n',
    "tests/chaos/BUILD.bazel": 'python_tool(name = "soak", data = [":world"])\n',
}
_SETTINGS = "| setting |\n|---|\n| `parallelism` |\n| `timezone` |\n"


def _complaints(text, settings=_SETTINGS, files=None):
    documents = {"docs/sql.md": settings, "docs/a.md": f"# One `two`: three\n\n{text}\n"}
    tree = docs.Tree({**_FILES, **(files or {})}, documents)
    return [complaint.split(": ", 1)[1] for complaint in docs.Checker(tree).check()]


class DocsTest(unittest.TestCase):
    def expect(self, right, wrong):
        """That nothing is said of the one, and that each piece of the other is complained about."""
        self.assertEqual(_complaints(right), [])
        for text, missing in wrong.items():
            complaints = _complaints(text)
            self.assertEqual(len(complaints), 1, (text, complaints))
            self.assertIn(missing, complaints[0])

    def test_paths(self):
        self.expect("`cli/main.cc` `tests/chaos/` `cli/*.cc` `driver/job_state` `cli/NAME.cc` `main.cc` `./check`",
                    {"`gone/main.cc`": "gone/main.cc", "`cli/mian.cc`": "cli/mian.cc", "`run.cc`": "run.cc",
                     "`driver/jobs/`": "driver/jobs", "`tests/chaos/NAME.sh`": "NAME.sh",
                     "```sh\ncat cli/mian.cc\n```": "cli/mian.cc"})

    def test_links_and_their_anchors(self):
        self.expect("[a](sql.md) [b](#one-two-three) [c](../cli/main.cc) [d](https://x.org/none)",
                    {"[a](sqll.md)": "sqll.md", "[b](#one)": "#one", "[c](cli/main.cc)": "cli/main.cc"})

    def test_targets(self):
        self.expect("`//cli:millrace` `//driver:journal_test` `//tests/...` `//...` `@kafka//:jars` `//cli:main.cc`",
                    {"`//cli`": "//cli", "`//driver:state_test`": "//driver:state_test", "`//plan/...`": "//plan/...",
                     "    bazel test //driver:gone": "//driver:gone", "`@spark//:jars`": "@spark//:jars"})

    def test_tests_and_classes(self):
        self.expect("`job_state_test` `JobState`", {"`job_test`": "job_test", "`JobStates`": "JobStates"})

    def test_failpoints_and_their_short_form(self):
        self.expect("`journal.appended`, `.synced`, `journal.*`",
                    {"`journal.gone`": "journal.gone", "`journal.appended`,\n`.gone`": "journal.gone"})

    def test_settings(self):
        self.expect("`SET timezone = 'UTC'` `--set parallelism=1`",
                    {"`SET time_zone = 'UTC'`": "time_zone", "```sql\nSET paralelism = 1;\n```": "paralelism"})

    def test_the_table_of_settings_is_whole(self):
        self.assertIn("timezone", _complaints("", _SETTINGS.replace("| `timezone` |\n", ""))[0])
        self.assertIn("idle_timeout", _complaints("", _SETTINGS + "| `idle_timeout` |\n")[0])

    def test_options_belong_to_their_program(self):
        self.expect("`millrace jobs list --set timezone=UTC` `millrace-driver --directory d` `./check --full`\n"
                    "`--minutes` `bazel run //tests/chaos:soak -- --minutes 3` `bazel test --config=asan //...`",
                    {"`millrace jobs list --directory d`": "--directory", "`millrace-driver --set x`": "--set",
                     "`--hours`": "--hours", "`./check --quick`": "--quick", "`bazel test --config=usan //...`": "usan",
                     "`bazel run //tests/chaos:soak -- --directory d`": "--directory"})

    def test_commands(self):
        self.expect("`millrace jobs list`", {"`millrace job list`": "job", "`millrace jobs lists`": "lists"})

    def test_metrics_and_variables(self):
        self.expect("`millrace_job_batches_total` `MILLRACE_DRIVER=a:1 millrace jobs`",
                    {"`millrace_job_batches`": "millrace_job_batches", "`MILLRACE_DRIVERS`": "MILLRACE_DRIVERS"})

    def test_what_sources_say_of_documents(self):
        text = "## 3. Claims"
        self.assertEqual(_complaints(text, files={"a.h": "// docs/sql.md; docs/a.md §3, docs/a.md\n// §3\n"}), [])
        self.assertEqual(_complaints(text, files={"a.h": "// docs/a.md §4"}), ["docs/a.md has no section 4"])
        self.assertEqual(_complaints("", files={"a.h": "// docs/b.md"}), ["there is no docs/b.md"])

    def test_what_the_fuzzers_instrument(self):
        rc = "build:asan --per_file_copt=^external/.*@-O2\nbuild:fuzz --per_file_copt=^cli/.*,^plan/.*@-fsanitize\n"
        self.assertEqual(_complaints("", files={".bazelrc": rc}), ["no file is like ^plan/.*"])

    def test_lines_of_text_are_short_and_those_of_tables_need_not_be(self):
        long = "word " * 30
        self.expect(f"| {long} |\n\n    {long}\n\n```\n{long}\n```", {long: "longer than 120"})


if __name__ == "__main__":
    unittest.main()
