-- What was booked wrongly and how it is booked now: whole calls with a sign, append-only. Spans say what was seen and are never
-- changed; the ledger is spans and corrections together, so a view is one expression over both (of a span the sign is 1).

CREATE TABLE IF NOT EXISTS corrections
(
    tenant LowCardinality(String) COMMENT 'who owns the row',
    end_time DateTime64(6, 'UTC') COMMENT 'of the call: the correction counts when the call did' CODEC(DoubleDelta, ZSTD(1)),
    trace_id FixedString(16) COMMENT 'of the call' CODEC(ZSTD(1)),
    span_id FixedString(8) COMMENT 'of the call' CODEC(ZSTD(1)),
    sign Int8 COMMENT '-1 takes the call back as it was booked, 1 books it',
    reason LowCardinality(String) COMMENT 'why: repeat, wrapper, reprice',
    service LowCardinality(String) COMMENT 'dimension, as in spans',
    environment LowCardinality(String) COMMENT 'dimension, as in spans',
    team LowCardinality(String) COMMENT 'dimension, as in spans',
    feature LowCardinality(String) COMMENT 'dimension, as in spans',
    provider LowCardinality(String) COMMENT 'dimension, as in spans',
    model LowCardinality(String) COMMENT 'dimension, as in spans',
    operation LowCardinality(String) COMMENT 'dimension, as in spans',
    status LowCardinality(String) COMMENT 'dimension, as in spans',
    error_type LowCardinality(String) COMMENT 'dimension, as in spans',
    `bill.model` Array(LowCardinality(String)) COMMENT 'as in spans, of a row with sign -1 as it was booked',
    `bill.unit` Array(LowCardinality(String)) COMMENT 'as in spans',
    `bill.quantity` Array(Int64) COMMENT 'as in spans, without the sign' CODEC(T64, ZSTD(1)),
    `bill.rule` Array(LowCardinality(String)) COMMENT 'as in spans',
    `bill.amount` Array(Nullable(Decimal(18, 12))) COMMENT 'as in spans, without the sign' CODEC(ZSTD(1)),
    usage_source LowCardinality(String) COMMENT 'as in spans',
    cost Nullable(Decimal(18, 12)) ALIAS if(unpriced_reason = '', CAST(arraySum(amount -> assumeNotNull(amount), bill.amount), 'Nullable(Decimal(18, 12))'), NULL) COMMENT 'as in spans, without the sign',
    unpriced_reason LowCardinality(String) COMMENT 'as in spans',
    price_version LowCardinality(String) COMMENT 'as in spans',
    duration_us Nullable(UInt64) COMMENT 'as in spans' CODEC(ZSTD(1)),
    ttft_us Nullable(UInt64) COMMENT 'as in spans' CODEC(ZSTD(1)),
    batch_id UUID COMMENT 'the request that gave the reason' CODEC(ZSTD(1)),
    booked_at DateTime64(3, 'UTC') COMMENT 'when the collector booked it' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
-- Few, and kept for ever: a month is read whole at its close.
PARTITION BY toYYYYMM(end_time)
-- As spans, so that an edge reads the same range of both.
PRIMARY KEY (tenant, toStartOfMinute(end_time), xxHash32(trace_id))
ORDER BY (tenant, toStartOfMinute(end_time), xxHash32(trace_id), span_id, end_time)
SETTINGS non_replicated_deduplication_window = 100000;
