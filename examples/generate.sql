-- Rows from nothing, into nothing: what the engine itself can do on this machine. Needs nothing.
--   millrace run examples/generate.sql
SET batch_duration = '1 s';

CREATE TABLE numbers (n bigint)
  WITH (connector = 'generator', rows_per_second = '100000');

CREATE TABLE dropped (bucket bigint, count bigint, total numeric)
  WITH (connector = 'blackhole');

INSERT INTO dropped
  SELECT n % 1000, count(*), sum(n) FROM numbers GROUP BY n % 1000;
