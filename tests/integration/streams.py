"""Inputs made from a seed, their word counts in plain Python, and the jobs that the tests run on them."""

import collections
import random

from tests.harness.processes import wait_until

_WORDS = [f"{a}{b}" for a in ("al", "be", "cor", "dun", "ez", "fi", "gro", "ha") for b in
          ("ma", "ne", "pi", "ro", "su", "ta", "ük", "水", "x'y", 'q"z')]


def make_lines(count, seed):
    """`count` lines of 1 to 12 words; the same for the same seed."""
    source = random.Random(seed)
    return [" ".join(source.choices(_WORDS, k=source.randint(1, 12))) for _ in range(count)]


def count_words(lines):
    """The reference: word -> count."""
    return dict(collections.Counter(word for line in lines for word in line.split(" ")))


def expect_counts(test, kafka, topic, lines, seconds=60):
    """The upsert topic of a word_count_job holds the reference's counts, now or soon."""
    expected = {word: str(count) for word, count in count_words(lines).items()}
    actual = {}

    def equal():
        nonlocal actual
        actual = kafka.latest_by_key(topic)
        return actual == expected
    try:
        wait_until(equal, seconds, "the counts equal the reference", interval=0.3)
    except AssertionError:
        test.assertEqual(actual, expected)  # shows the difference
        raise


def lines_table(bootstrap, topic):
    return f"""CREATE TABLE lines (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = '{topic}', format = 'raw');
"""


def word_count_job(bootstrap, topic, sink_topic, batch_duration="100 ms", having=""):
    """Running counts into an upsert topic: key = word, value = count."""
    return f"""SET batch_duration = '{batch_duration}';
{lines_table(bootstrap, topic)}
CREATE TABLE counts (word text PRIMARY KEY, count text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = '{sink_topic}', format = 'raw');
INSERT INTO counts
  SELECT word, count(*)::text FROM lines, regexp_split_to_table(value, '\\s+') AS word GROUP BY word {having};
"""


def filter_job(bootstrap, topic, sink_topic, batch_duration="100 ms"):
    """Lines with more than 20 characters, in upper case."""
    return f"""SET batch_duration = '{batch_duration}';
{lines_table(bootstrap, topic)}
CREATE TABLE shouted (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = '{sink_topic}', format = 'raw');
INSERT INTO shouted SELECT upper(value) FROM lines WHERE length(value) > 20;
"""


def filtered(lines):
    """The reference of filter_job."""
    return sorted(line.upper() for line in lines if len(line) > 20)


def print_job(bootstrap, topic, batch_duration="2 s"):
    """Running counts for a person."""
    return f"""SET batch_duration = '{batch_duration}';
{lines_table(bootstrap, topic)}
CREATE TABLE counts (word text, count bigint) WITH (connector = 'print');
INSERT INTO counts
  SELECT word, count(*) FROM lines, regexp_split_to_table(value, '\\s+') AS word GROUP BY word;
"""
