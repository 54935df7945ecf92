"""@pg_regex: PostgreSQL's regular expressions, from Debian's source package of the PostgreSQL that tests ask.

No library has them: libtcl carries what they descend from, which is neither bounded nor the same (docs/design.md).
"""

_PACKAGE = "postgresql-15"

# Any version of the package will do whose files are these.
_SHA256 = {
    "regc_color.c": "04141f1c53d22e5d2a623562ab24124e7bf828b2a0358c27175f0a207d5aefcc",
    "regc_cvec.c": "a2a4ae31cf5761338aa600ec3db34186684e61225c13208e6629ff747ef35258",
    "regc_lex.c": "454a1dcf99046cfd8a6e28b35c0953eef59e0961f904256658ce4bf606590e47",
    "regc_locale.c": "44e43f00d0d5fd2cfe532ef856407516ac18a89a4902770b78f11b13453d47ae",
    "regc_nfa.c": "9405fb15f7a16592d328ec5b778cbea792df1f7ff222bf5fe7e7f3538c5532c0",
    "regcomp.c": "bab70df2ab220fe2438aba846aa4777d5eef7b62ee54e8451781e45d6a214260",
    "rege_dfa.c": "c181c424de7cb785658cb712b69a7b8edc65d288e1caa2e9e96115da028c0931",
    "regerror.c": "8b3da46b03e68972a21a3e4d4190be346a46010102f352d41b43eb5fb715f54f",
    "regex/regcustom.h": "fd35f1ad30aa6a5cf57c61d8df446de36a2e5de6b400c78537f9c7820b302244",
    "regex/regerrs.h": "baaaf007c28cda4155ffc8f92db8bf1641cc5e0aafb10b7da252543a37958d90",
    "regex/regex.h": "8d7fa609171a7ca1f5a0d21981c2703f1f89afe061fcea6188caba08a49089e4",
    "regex/regguts.h": "1e61631b0ddd5f891ea98357900ac26fed709bbe6fad72f781476208a1241cd3",
    "regexec.c": "cc619879d8160d028c6f7e90c3582027f483ea2c92bfe002b0edcc45a6436368",
    "regfree.c": "2790f8e84c845a0f40cd495d00cb3e0989b48a80cfb8d948ccd5400ce3217a6b",
}

# In front of a piece of code (file, code, how often it is there): what to spend and where to look whether all is
# spent. The engine looks on its own account at each state it adds to an automaton, but not while it goes through
# text with the states it has.
_SPENDING = [
    # A character of the text.
    ("regex/regguts.h", "((c) <= MAX_SIMPLE_CHR ?", "(pgre_spend(1), (c) <= MAX_SIMPLE_CHR ?", 1),
    # Each scan of the text from some place on.
    ("rege_dfa.c", "\tint\t\t\ti;\n\n\t/* is previous one still there? */\n", """\
	int			i;

	pgre_spend(d->nssused / 8 + 1);
	if (CANCEL_REQUESTED(v->re))
	{
		ERR(REG_CANCEL);
		return NULL;
	}

	/* is previous one still there? */
""", 1),
    # Working out a set of states that is not known yet.
    ("rege_dfa.c", "\tFDEBUG((\"miss\\n\"));\n", "\tpgre_spend(d->nstates / 8 + d->nssused / 8);\n", 1),
    ("rege_dfa.c", "ca->co != COLORLESS; ca++)", "ca->co != COLORLESS; ca++, pgre_spend(1))", 2),
    # Comparing what a back reference refers to.
    ("regc_locale.c", "\treturn memcmp(VS(x), VS(y), len * sizeof(chr));", "\tpgre_spend(len / 8);\n\treturn memcmp(VS(x), VS(y), len * sizeof(chr));", 1),
    ("regc_locale.c", "\tfor (; len > 0; len--, x++, y++)", "\tpgre_spend(len);\n\tfor (; len > 0; len--, x++, y++)", 1),
]

# Headers of the server that the sources name; postgres.h stands for all of them.
_EMPTY_HEADERS = ["common/int.h", "mb/pg_wchar.h", "miscadmin.h"]

_SHIM = ["pg_regex.c", "pg_regex.h", "postgres.h", "regc_pg_locale.c"]

_BUILD = """
cc_library(
    name = "pg_regex",
    srcs = ["pg_regex.c", "regcomp.c", "regerror.c", "regexec.c", "regfree.c"] + glob(
        ["*.h", "*/*.h"],
        exclude = ["include/*.h"],
    ),
    hdrs = ["include/pg_regex.h"],
    copts = ["-Iexternal/pg_regex", "-Iexternal/pg_regex/include", "-O2", "-w"],
    includes = ["include"],
    linkopts = ["-lpthread"],
    linkstatic = True,
    # What regcomp.c and regexec.c include.
    textual_hdrs = glob(["regc_*.c", "rege_*.c"]),
    visibility = ["@millrace//third_party:__pkg__"],
)
"""

# Runs apt-get with lists of its own, which name the sources of what the machine's lists name: the machine's stay as
# they are, and no root is needed. The newest version is not always there, so each that is listed is tried.
_FETCH = """
set -eu
mkdir -p apt/lists/partial apt/cache/archives/partial apt/parts
cat /etc/apt/sources.list 2>/dev/null | sed -n 's/^deb /deb-src /p' > apt/parts/system.list
for file in /etc/apt/sources.list.d/*.list; do
  [ -e "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >> apt/parts/system.list
done
for file in /etc/apt/sources.list.d/*.sources; do
  [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" > "apt/parts/$(basename "$file")"
done
cat > apt/apt.conf <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$PWD/apt/parts";
Dir::State::lists "$PWD/apt/lists";
Dir::Cache "$PWD/apt/cache";
APT::Sandbox::User "";
Acquire::Languages "none";
END
export APT_CONFIG="$PWD/apt/apt.conf"
apt-get -qq update
for version in $(apt-cache showsrc {package} | sed -n 's/^Version: //p' | sort -ruV); do
  if apt-get -qq source --download-only "{package}=$version"; then
    mkdir sources
    tar -xf {package}_*.orig.tar.* -C sources --strip-components=1 --wildcards '*/src/backend/regex' '*/src/include/regex'
    exit 0
  fi
  rm -f {package}_*
done
echo "no version of {package} could be had" >&2
exit 1
"""

def _pg_regex_repository_impl(repository_ctx):
    _run(repository_ctx, ["bash", "-c", _FETCH.format(package = _PACKAGE)])
    for file, digest in _SHA256.items():
        source = ("sources/src/include/" if "/" in file else "sources/src/backend/regex/") + file
        found = _run(repository_ctx, ["sha256sum", source]).split(" ")[0]
        if found != digest:
            fail("{} of {} has sha256 {}, not {}".format(file, _PACKAGE, found, digest))
        repository_ctx.file(file, _spending(repository_ctx, file, source), executable = False, legacy_utf8 = False)
    for file in _EMPTY_HEADERS:
        repository_ctx.file(file, "", executable = False)
    for file in _SHIM:
        place = "include/" + file if file == "pg_regex.h" else file
        repository_ctx.symlink(Label("//third_party/pg_regex:shim/" + file), place)
    repository_ctx.file("BUILD.bazel", _BUILD)
    _run(repository_ctx, ["bash", "-c", "rm -rf apt sources {}_*".format(_PACKAGE)])

def _spending(repository_ctx, file, source):
    text = repository_ctx.read(source)
    for patched, old, new, times in _SPENDING:
        if patched == file:
            if text.count(old) != times:
                fail("{} has '{}' {} times, not {}".format(file, old, text.count(old), times))
            text = text.replace(old, new)
    return text

def _run(repository_ctx, arguments):
    result = repository_ctx.execute(arguments, timeout = 600)
    if result.return_code != 0:
        fail("{} failed ({}):\n{}{}".format(arguments[:2], result.return_code, result.stdout, result.stderr))
    return result.stdout

pg_regex_repository = repository_rule(implementation = _pg_regex_repository_impl)
