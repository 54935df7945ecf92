-- Keeps the running count of every word that came more than once in a topic: key = word, value = {"word": …, "count": …}, one
-- record per word and batch. Compact that topic and it is a table.
-- Needs: Kafka on localhost:9092 with topics `test` and `word-counts`
--   millrace topics create test --partitions 4
--   millrace topics create word-counts --partitions 4 --config cleanup.policy=compact
--   millrace run examples/counts_to_topic.sql
SET batch_duration = '1 s';

CREATE TABLE lines (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = 'localhost:9092', topic = 'test', format = 'raw');

CREATE TABLE word_counts (word text PRIMARY KEY, count bigint)
  WITH (connector = 'kafka', "bootstrap.servers" = 'localhost:9092', topic = 'word-counts', format = 'json',
        "key.format" = 'raw');

INSERT INTO word_counts
  SELECT word, count(*) FROM lines, regexp_split_to_table(value, '\s+') AS word
  GROUP BY word HAVING count(*) > 1;
