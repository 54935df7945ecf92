-- From a file to a file: what each item list holds, one line an item. Needs nothing; run it in the root of the repository:
--   millrace run examples/orders_to_file.sql --once && cat /tmp/millrace-items/*
CREATE TABLE orders (id bigint, customer text, total numeric, items jsonb)
  WITH (connector = 'file', path = 'examples/orders.json', format = 'json');

CREATE TABLE items (id bigint, customer text, item text)
  WITH (connector = 'file', path = '/tmp/millrace-items', format = 'csv');

INSERT INTO items
  SELECT id, customer, item FROM orders, jsonb_array_elements_text(items) AS item;
