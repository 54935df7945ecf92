-- From one topic to another: keeps the large orders, adds a column, drops the rest. Orders that are no JSON are skipped and counted.
-- Needs: Kafka on localhost:9092 with topics `orders` and `large-orders`
--   millrace topics create orders --partitions 4
--   millrace topics create large-orders --partitions 4
--   echo '{"id": 1, "customer": "ann", "total": 120.50}' | millrace produce orders
--   millrace run examples/filter_topic.sql
SET batch_duration = '500 ms';

CREATE TABLE orders (id bigint, customer text, total numeric)
  WITH (connector = 'kafka', "bootstrap.servers" = 'localhost:9092', topic = 'orders', format = 'json',
        on_error = 'skip');

CREATE TABLE large_orders (id bigint, customer text, total numeric, rebate numeric)
  WITH (connector = 'kafka', "bootstrap.servers" = 'localhost:9092', topic = 'large-orders', format = 'json');

INSERT INTO large_orders
  SELECT id, upper(customer), total, round(total * 0.03, 2) FROM orders WHERE total > 100;
