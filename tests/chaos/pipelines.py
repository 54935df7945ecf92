"""The queries that run under faults, by the names of their outputs. tests/chaos/checks.h says what each row must be."""

_SOURCE = """CREATE TABLE events (p bigint, n bigint, k text, g bigint, amount bigint, x double precision, at timestamptz)
  WITH (connector = 'kafka', "bootstrap.servers" = '{bootstrap}', topic = '{source}', format = 'json');
"""

_TO_KAFKA = """WITH (connector = 'kafka', "bootstrap.servers" = '{{bootstrap}}', topic = '{place}', format = 'json'{{kafka_options}})"""
_TO_FILES = """WITH (connector = 'file', path = '{place}', format = 'json'{{file_options}})"""

_ROWS = """CREATE TABLE {name} (p bigint, n bigint, k text, amount bigint, x double precision)
  {sink};
INSERT INTO {name} SELECT p, n, k, amount * 2, x FROM events WHERE amount % 10 <> 0;
"""

_WINDOW = "date_bin(interval '10 seconds', at, timestamptz '2000-01-01 00:00:00+00')"

_PARTS = """CREATE TABLE {name} (p bigint, g bigint, start bigint, count bigint, low bigint, high bigint, amount bigint)
  {sink};
INSERT INTO {name}
  SELECT p, g, extract(epoch FROM """ + _WINDOW + """)::bigint, count(*), min(n), max(n), sum(amount)::bigint
  FROM events GROUP BY p, g, """ + _WINDOW + """, batch_time();
"""

_RUNNING = """CREATE TABLE {name} (k text PRIMARY KEY, count bigint, amount bigint, x double precision)
  {sink};
INSERT INTO {name} SELECT k, count(*), sum(amount)::bigint, sum(x) FROM events GROUP BY k;
"""

_WINDOWS = """CREATE TABLE {name} (p bigint, g bigint, start bigint, count bigint, amount bigint, x double precision,
                      PRIMARY KEY (p, g, start))
  {sink};
INSERT INTO {name}
  SELECT p, g, extract(epoch FROM """ + _WINDOW + """)::bigint, count(*), sum(amount)::bigint, sum(x)
  FROM events GROUP BY p, g, """ + _WINDOW + """;
"""

_JOINED = """CREATE TABLE {name} (g bigint, bucket bigint, ids text, PRIMARY KEY (g, bucket))
  {sink};
INSERT INTO {name}
  SELECT g, n / 1000, string_agg(p::text || '.' || n::text, ' ') FROM events GROUP BY g, n / 1000;
"""

_HISTOGRAM = """CREATE TABLE {name} (touched bigint PRIMARY KEY, keys bigint)
  {sink};
INSERT INTO {name}
  SELECT touched, count(*) FROM (SELECT k, count(*) AS touched FROM events GROUP BY k) AS per_key GROUP BY touched;
"""

# Outputs whose batches are, most of them, many times of what their writers hold, so that rows leave memory before the commit.
_LITTLE_HELD = {"plain": "100 B", "parts_files": "100 B"}

# Output -> its part of the script, and whether it goes to files.
PIPELINES = {
    "plain": (_ROWS, False),
    "parts": (_PARTS, False),
    "running": (_RUNNING, False),
    "windows": (_WINDOWS, False),
    "joined": (_JOINED, False),
    "histogram": (_HISTOGRAM, False),
    "plain_files": (_ROWS, True),
    "parts_files": (_PARTS, True),
}


def script(outputs, source, bootstrap, settings=None, kafka_options=None, file_options=None):
    """The job that writes `outputs` (name -> topic or directory). `bootstrap` may be a reference to the environment."""
    def options(values):
        return "".join(f", \"{name}\" = '{value}'" for name, value in (values or {}).items())
    text = "".join(f"SET {name} = '{value}';\n" for name, value in (settings or {}).items())
    text += _SOURCE.format(bootstrap=bootstrap, source=source)
    for name, place in outputs.items():
        template, to_files = PIPELINES[name]
        sink = (_TO_FILES if to_files else _TO_KAFKA).format(place=place).format(
            bootstrap=bootstrap, kafka_options=options(kafka_options), file_options=options(file_options))
        if name in _LITTLE_HELD:
            sink = sink.removesuffix(")") + f", max_held = '{_LITTLE_HELD[name]}')"
        text += template.format(name=name, sink=sink)
    return text
