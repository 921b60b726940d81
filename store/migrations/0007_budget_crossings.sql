-- Which thresholds of budgets were reached in which periods, and which webhooks were told: written before anybody is told, so that an alert
-- begins once and is told once whatever ends in between.
CREATE TABLE IF NOT EXISTS budget_crossings
(
    tenant LowCardinality(String) COMMENT 'whose budget',
    budget String COMMENT 'its name' CODEC(ZSTD(1)),
    period String COMMENT 'the key of the period in the budget''s own zone: 2026-11, 2026-W48, 2026-Q4' CODEC(ZSTD(1)),
    threshold String COMMENT 'the part of the budget: 80%' CODEC(ZSTD(1)),
    amount Int128 COMMENT 'that part in pico-dollars: with another amount it is another threshold' CODEC(ZSTD(1)),
    receiver String COMMENT 'which webhook has heard of it; empty: it was reached' CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC') COMMENT 'when that was' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
-- Few: a row for each threshold and period, and one for each webhook; read whole when a collector starts.
ORDER BY (tenant, budget, period, threshold, amount, receiver)
SETTINGS non_replicated_deduplication_window = 100000;
