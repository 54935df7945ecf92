"""Checks that what the documents name is there, so that whoever moves or removes something hears of it.

  python3 .ci/docs.py      # names the places where it is not; exit code 1 if there are any

Every *.md file of the repository is read. Checked are links and their anchors, and in code (`…`, fenced and indented
blocks): paths, names of source files and tests, Bazel labels, job settings, failpoints, commands and options of our
programs, metrics, environment variables, and names of classes and messages. Capital letters stand for anything:
`NAME_test.cc` is right if some file is called like that. The table of settings in docs/sql.md must have exactly those
that there are. Lines of text must end before column 120. Of sources, it checks which documents and sections their
comments name, and of .bazelrc, that the files which the fuzzers' build instruments are there. Nothing is built: sources
and BUILD files are read.
"""

import ast
import collections
import fnmatch
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

COLUMNS = 120
OTHER_SUFFIXES = (".c", ".open", ".tmp")
SOURCE_SUFFIXES = (".bzl", ".cc", ".h", ".md", ".proto", ".py", ".sh", ".slt")
# Programs of others that the documents call with options; of Bazel's, those that we use.
FOREIGN_PROGRAMS = ("apt-get", "clang-format-19", "git")
BAZEL_OPTIONS = {"--config", "--define", "--output", "--runs_per_test", "--test_arg", "--test_filter", "--test_output",
                 "--test_tag_filters"}
# A piece of code in a document: its line, its text, the paragraph it stands in, or None for a line of a block.
Span = collections.namedtuple("Span", ["line", "text", "paragraph"])


# ---- What there is ----


class Unknown(list):
    """What a BUILD file loads and is none of our business: an empty list that can be called."""

    def __call__(self, *args, **kwargs):
        return Unknown()


def targets_of_build(path, text, lists=None):
    """The names of the targets that a BUILD file makes. Starlark is close enough to Python to be run.

    `lists`: the values of lists that it loads and makes targets of; others are taken for empty."""
    names = set()

    def record(*args, **kwargs):
        name = kwargs.get("name", args[0] if args and isinstance(args[0], str) else None)
        if name:
            names.update([name, name + "_grpc"] if kwargs.get("grpc") else [name])
        return Unknown()

    tree = ast.parse(text, path)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    scope = {call.func.id: record for call in calls}
    loads = [call for call in calls if call.func.id == "load"]
    scope.update({argument.value: Unknown() for call in loads for argument in call.args[1:]
                  if argument.value not in scope})
    scope.update({name: Unknown() for name in ("load", "glob", "select", "package", "exports_files")}, **(lists or {}))
    exec(compile(tree, path, "exec"), scope)  # pylint: disable=exec-used
    return names


def strings_of(pattern, text):
    return set(re.findall(pattern, text))


class Tree:
    """The repository, as far as documents speak of it. `files`: {path: text}, without the documents."""

    def __init__(self, files, documents):
        self.files, self.documents = files, documents
        self.paths = set(files) | set(documents)
        self.directories = {str(parent) for path in self.paths for parent in pathlib.PurePosixPath(path).parents}
        self.tops = {path.split("/")[0] for path in self.paths if "/" in path}
        self.names = {path.rsplit("/", 1)[-1] for path in self.paths}
        sources = "\n".join(text for path, text in files.items() if path.endswith(SOURCE_SUFFIXES))
        self.words = set(re.findall(r"\w+", "\n".join(files.values())))
        self.macros = strings_of(r"(?m)^def (\w+)", sources)
        self.targets = self._targets()
        self.repositories = strings_of(r'name = "(\w+)"', files.get("WORKSPACE", ""))
        self.failpoints = strings_of(r'(?m)^(?!\s*//).*MILLRACE_FAILPOINT\("([a-z_.]+)"\)', sources)
        self.components = {name.split(".")[0] for name in self.failpoints}
        self.settings = strings_of(r'(?m)^ +\{"([a-z_]+)", ', files.get("common/config/settings.cc", ""))
        self.metrics = strings_of(r'"(millrace_[a-z_]+)"', sources)
        self.variables = strings_of(r"\bMILLRACE_[A-Z_]+", sources)
        self.configs = strings_of(r"(?m)^(?:build|test):(\w+)", files.get(".bazelrc", ""))
        self.commands = strings_of(r'Add(?:Subcommand|\w*Action)\([^";]*"([a-z]+)"', sources)
        self.options = {program: self._options(paths) for program, paths in {
            "millrace": [path for path in files if path.startswith("cli/")],
            "millrace-driver": ["driver/main.cc"],
            "millrace-executor": ["executor/main.cc"],
            "check": ["check"],
        }.items()}
        self.all_options = self._options(files)

    def _targets(self):
        mutations = re.search(r"MUTATIONS = \[.*?\]", self.files.get("build/copts.bzl", ""))
        lists = {"MUTATIONS": re.findall(r'"(\w+)"', mutations[0])} if mutations else {}
        return {path.rpartition("/")[0]: targets_of_build(path, text, lists) for path, text in self.files.items()
                if path.rsplit("/", 1)[-1] in ("BUILD.bazel", "BUILD")}

    def _options(self, paths):
        found = set()
        for path in paths:
            text = self.files.get(path, "")
            if path.endswith((".cc", ".h")):
                found |= strings_of(r'add_(?:option|flag)\w*(?:<[^>]*>)?\(\s*"(--[\w-]+)', text)
            elif path.endswith(".py"):
                found |= strings_of(r'add_argument\(\s*"(--[\w-]+)', text)
            else:
                found |= strings_of(r"(--[\w-]+)(?=\)| \]| \|)", text)  # of a case or a test in a shell script
        return found | {"--help"}

    def options_of_target(self, label):
        """Those of what `bazel run` starts."""
        package, _, name = label.removeprefix("//").partition(":")
        name = name or package.rsplit("/", 1)[-1]
        return self._options([path for path in self.files if path.startswith(f"{package}/")
                              and path.endswith((f"/{name}.py", f"/{name}.cc"))])

    def has_path(self, path):
        path = path.rstrip("/")
        if path in self.paths or path in self.directories:
            return True
        folder, _, name = path.rpartition("/")
        generated = re.sub(r"(\.grpc)?\.pb\.h$", ".proto", path)
        if generated in self.paths or f'"{name}"' in self.files.get(f"{folder}/BUILD.bazel", ""):
            return True
        pattern = as_pattern(path)
        return any(fnmatch.fnmatchcase(one, end)
                   for one in self.paths | self.directories for end in (pattern, pattern + ".*"))

    def has_name(self, name):
        pattern = as_pattern(name)
        return any(fnmatch.fnmatchcase(one, pattern) for one in self.names)

    def has_label(self, label):
        if label.startswith("@"):
            return label[1:].split("/")[0] in self.repositories
        package, _, name = label[2:].partition(":")
        if package.endswith("..."):
            package = package[:-3].rstrip("/")
            return any(f"{one}/".startswith(f"{package}/") for one in self.targets) or not package
        if package not in self.targets:
            return False
        name = name or package.rsplit("/", 1)[-1]
        return name in self.targets[package] or f"{package}/{name}" in self.paths

    def has_test(self, name):
        return any(name in targets for targets in self.targets.values()) or name in self.macros or any(
            f"{name}{suffix}" in self.names for suffix in (".cc", ".py"))


def as_pattern(text):
    """`NAME_test.cc`, `<format>`, `…`: stand for anything."""
    return re.sub(r"<\w+>|…|(?<![A-Za-z])(?!BUILD|README)[A-Z]{4,}(?![A-Za-z])", "*", text)


# ---- What a document says ----


def is_indented_code(lines, i):
    """Whether a line belongs to a block that stands behind an empty line, four columns in."""
    before = lines[i - 1] if i > 0 else ""
    return lines[i].startswith("    ") and (not before.strip() or before.startswith("    "))


def blocks_and_prose(text):
    """(lines of code blocks by number, all other lines in their places)."""
    blocks, prose, fenced = {}, [], False
    lines = text.split("\n")
    for i, line in enumerate(lines):
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        if not fence and (fenced or is_indented_code(lines, i)):
            blocks[i + 1] = line.strip()
            line = ""
        prose.append("" if fence else line)
    return blocks, prose


def prose_of(text):
    return blocks_and_prose(text)[1]


def spans_of(text):
    """The code of a document: Span for each line of a block, and for each `…`, which may go on in the next line."""
    blocks, prose = blocks_and_prose(text)
    spans = [Span(number, line, None) for number, line in blocks.items()]
    whole = "\n".join(prose)
    for match in re.finditer(r"(?<!`)`([^`]+)`(?!`)", whole):
        if "\n\n" not in match[1]:
            line = whole.count("\n", 0, match.start()) + 1
            spans.append(Span(line, re.sub(r"\s+", " ", match[1]), whole.count("\n\n", 0, match.start())))
    return sorted(spans, key=lambda span: span.line)


def anchors_of(text):
    """The anchors of a document's headings, as GitHub makes them."""
    found, fenced = set(), False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        if re.match(r"#+ ", line) and not fenced:
            title = re.sub(r"[`*]", "", line.lstrip("#").strip()).lower()
            found.add(re.sub(r"[^\w\- ]", "", title).replace(" ", "-"))
    return found


class Checker:
    """Finds what a document names and the tree lacks."""

    def __init__(self, tree):
        self._tree = tree
        self._complaints = []

    def check(self):
        for path in sorted(self._tree.documents):
            self._document(path, self._tree.documents[path])
        self._table_of_settings("docs/sql.md")
        for path in sorted(set(self._tree.files) - {".ci/docs_test.py"}):  # which names what is not there
            self._source(path, self._tree.files[path])
        self._instrumented(".bazelrc")
        return self._complaints

    def _say(self, path, line, message):
        self._complaints.append(f"{path}:{line}: {message}")

    def _document(self, path, text):
        self._links(path, text)
        for number, line in enumerate(prose_of(text), 1):
            if len(line) > COLUMNS and not line.startswith("|"):
                self._say(path, number, f"a line of text is longer than {COLUMNS} columns")
        component, paragraph = "", None
        for span in spans_of(text):
            component = self._failpoint(path, span, component if span.paragraph == paragraph else "")
            paragraph = span.paragraph
            self._code(path, span)

    def _links(self, path, text):
        for match in re.finditer(r"\]\(([^)\s]+)\)", text):
            line = text.count("\n", 0, match.start()) + 1
            target, _, anchor = match[1].partition("#")
            if re.match(r"\w+:", target):
                continue
            parts = []
            for part in [*path.split("/")[:-1], *target.split("/")] if target else path.split("/"):
                parts = parts[:-1] if part == ".." else parts + [part] * (part not in ("", "."))
            place = "/".join(parts)
            if not self._tree.has_path(place):
                self._say(path, line, f"there is no {match[1]}")
            elif anchor and place in self._tree.documents and anchor not in anchors_of(self._tree.documents[place]):
                self._say(path, line, f"{place} has no heading #{anchor}")

    def _failpoint(self, path, span, component):
        """Returns the component that a short form behind this one belongs to: `journal.appended`, `.synced`."""
        match = re.fullmatch(r"([a-z_]*)\.([a-z_]+|\*)", span.text)
        if span.paragraph is None or not match or f".{match[2]}" in OTHER_SUFFIXES + SOURCE_SUFFIXES:
            return component
        component = match[1] or component
        name = f"{component}.{match[2]}"
        if component in self._tree.components and match[2] != "*" and name not in self._tree.failpoints:
            self._say(path, span.line, f"there is no failpoint {name}")
        return component

    def _code(self, path, span):
        text = re.sub(r"\s# .*|^# .*", "", span.text)
        for label in re.findall(r"(?<![\w:/])(?:@\w+)?//[\w./:-]*\w(?:/\.\.\.)?|(?<![\w:/])//\.\.\.", text):
            if not label.startswith("//visibility") and not self._tree.has_label(label):
                self._say(path, span.line, f"there is no target {label}")
        for word in re.findall(r"[^\s\"'(),;=]+", text):
            self._word(path, span, word.rstrip(".:"))
        for name in re.findall(r"(?:\bSET |--set )([a-z_]+)\s*=", text):
            if name not in self._tree.settings | {"name"}:
                self._say(path, span.line, f"there is no setting {name}")
        for name in re.findall(r"\bmillrace_[a-z_]+", text):
            if name not in self._tree.metrics and not name.endswith("_"):
                self._say(path, span.line, f"there is no metric {name}")
        for name in re.findall(r"\bMILLRACE_[A-Z_]+", text):
            if name not in self._tree.variables:
                self._say(path, span.line, f"there is no {name} in the sources")
        for command in re.split(r"\||&&|;|(?<=\s)&(?=\s)", text):
            self._command(path, span, command.split())

    def _word(self, path, span, word):
        word = word.removeprefix("./")
        if word.startswith(("/", "-", "$", "bazel-")) or "//" in word:
            return
        # In text, what looks like a path is one, so that it is also missed when its whole top directory is gone.
        looks_like_path = span.paragraph is not None and re.fullmatch(r"\.?[a-z][\w.-]*/[^:]*", word)
        if looks_like_path or word.split("/")[0] in self._tree.tops and "/" in word:
            place = re.sub(r"(/\.\.\.|/\*\*)$", "", word)
            if not self._tree.has_path(place) and not self._tree.has_path(f"{path.rpartition('/')[0]}/{place}"):
                self._say(path, span.line, f"there is no {word}")
        elif span.paragraph is None:
            return  # a block may show what does not exist yet
        elif "/" not in word and word.endswith(SOURCE_SUFFIXES) and not word.startswith("."):
            if not self._tree.has_name(word):
                self._say(path, span.line, f"there is no file {word}")
        elif re.fullmatch(r"[a-z]\w*_test", word):
            if not self._tree.has_test(word):
                self._say(path, span.line, f"there is no test {word}")
        elif re.fullmatch(r"(?:[A-Z]+[a-z0-9]+){2,}", word):
            if word not in self._tree.words:
                self._say(path, span.line, f"there is no {word} in the sources")

    def _command(self, path, span, words):
        """A command line, or a lone option."""
        words = [word.lstrip("[").rstrip("]") for word in words if not re.fullmatch(r"[A-Z_]+=\S*", word)]
        if not words or words[0] in FOREIGN_PROGRAMS:
            return
        program = words[0].removeprefix("./")
        if program == "bazel":
            self._configs(path, span, words)
            known = BAZEL_OPTIONS
            if words[1:2] == ["run"] and words[2:]:
                known = known | self._tree.options_of_target(words[2])
        elif program in self._tree.options:
            known = self._tree.options[program]
            self._subcommands(path, span, words)
        elif program.startswith("--") or self._tree.has_path(program):
            known = self._tree.all_options | BAZEL_OPTIONS
        else:
            return  # not a command
        for option in re.findall(r"(?<!\S)--[\w-]*\w", " ".join(words)):
            if option not in known:
                self._say(path, span.line, f"there is no option {option} here: {span.text}")

    def _subcommands(self, path, span, words):
        groups = ("jobs", "topics")
        for word in words[1:3 if words[1:] and words[1] in groups else 2] if words[0] == "millrace" else []:
            if re.fullmatch(r"[a-z]+", word) and word not in self._tree.commands:
                self._say(path, span.line, f"millrace has no command {word}")

    def _configs(self, path, span, words):
        for word in words:
            name = word.removeprefix("--config=")
            if name != word and name not in self._tree.configs:
                self._say(path, span.line, f".bazelrc has no configuration {name}")

    def _table_of_settings(self, path):
        text = self._tree.documents.get(path, "")
        table = re.search(r"\| setting \|.*?\n\n", text + "\n\n", re.DOTALL)
        named = set(re.findall(r"(?m)^\| `([a-z_]+)` \|", table[0])) if table else set()
        for name in sorted(self._tree.settings ^ named):
            what = "lacks the setting" if name in self._tree.settings else "has a setting that there is not:"
            self._say(path, text.count("\n", 0, table.start()) + 1 if table else 1, f"the table {what} {name}")

    def _source(self, path, text):
        """What a comment says of a document: (docs/exactly-once.md §3)."""
        for match in re.finditer(r"\b(docs/[\w-]+\.md)(?:[\s/#]*§(\d+))?", text):
            line = text.count("\n", 0, match.start()) + 1
            document = self._tree.documents.get(match[1])
            if document is None:
                self._say(path, line, f"there is no {match[1]}")
            elif match[2] and not re.search(rf"(?m)^## {match[2]}\. ", document):
                self._say(path, line, f"{match[1]} has no section {match[2]}")

    def _instrumented(self, path):
        """The files that the fuzzers' build instruments; of a pattern that fits none, nobody else would hear."""
        for patterns in re.findall(r"(?m)^build:fuzz --per_file_copt=([^@\s]*)", self._tree.files.get(path, "")):
            for pattern in patterns.split(","):
                if not any(re.search(pattern, one) for one in self._tree.files):
                    self._say(path, 1, f"no file is like {pattern}")


def read_tree():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True,
                            capture_output=True, check=True).stdout.splitlines()
    files, documents = {}, {}
    for path in listed:
        if (ROOT / path).is_file():
            text = (ROOT / path).read_text(encoding="utf-8", errors="replace")
            (documents if path.endswith(".md") else files)[path] = text
    return Tree(files, documents)


def main():
    complaints = Checker(read_tree()).check()
    print("\n".join(complaints) if complaints else "documents: all that they name is there")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
