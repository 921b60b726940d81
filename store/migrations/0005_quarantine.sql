-- Spans that were refused one by one, with the reason: never dropped without a trace, never in a total.

CREATE TABLE IF NOT EXISTS quarantine
(
    tenant LowCardinality(String) COMMENT 'who sent it',
    received_at DateTime64(3, 'UTC') COMMENT 'when the collector took it' CODEC(DoubleDelta, ZSTD(1)),
    batch_id UUID COMMENT 'the insert it belonged to' CODEC(ZSTD(1)),
    reason LowCardinality(String) COMMENT 'why it is not in spans, for people and for grouping',
    detail String COMMENT 'what exactly was wrong: the store''s own words, or the value found' CODEC(ZSTD(1)),
    trace_id String COMMENT 'trace id as sent, hexadecimal, whatever its length' CODEC(ZSTD(1)),
    span_id String COMMENT 'span id as sent, hexadecimal, whatever its length' CODEC(ZSTD(1)),
    payload String COMMENT 'what may be kept of the span, as JSON, cut at 64 KiB' CODEC(ZSTD(3))
)
ENGINE = MergeTree
PARTITION BY toDate(received_at)
-- Read by people, newest day first, one tenant at a time.
ORDER BY (tenant, received_at)
TTL toDateTime(received_at) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000;
