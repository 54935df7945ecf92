-- Counts the words of a topic and prints the new count of every word that came, each 2 s.
-- Needs: Kafka on localhost:9092 with a topic `test`
--   millrace topics create test --partitions 4
--   echo "to be or not to be" | millrace produce test
--   millrace run examples/word_count.sql
SET batch_duration = '2 s';

CREATE TABLE lines (value text)
  WITH (connector = 'kafka', "bootstrap.servers" = 'localhost:9092', topic = 'test', format = 'raw');

CREATE TABLE counts (word text, count bigint)
  WITH (connector = 'print');

INSERT INTO counts
  SELECT word, count(*) FROM lines, regexp_split_to_table(value, '\s+') AS word GROUP BY word;
