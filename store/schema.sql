-- Made by the test the_committed_schema_is_what_the_migrations_make; do not edit.

CREATE TABLE ledgerline.bookings
(
    `tenant` LowCardinality(String) COMMENT 'who owns the row',
    `bucket` DateTime('UTC') COMMENT 'holds the calls that ended in (bucket, bucket + 1 minute]',
    `service` LowCardinality(String) COMMENT 'dimension, as in spans',
    `environment` LowCardinality(String) COMMENT 'dimension, as in spans',
    `team` LowCardinality(String) COMMENT 'dimension, as in spans',
    `feature` LowCardinality(String) COMMENT 'dimension, as in spans',
    `provider` LowCardinality(String) COMMENT 'dimension, as in spans',
    `model` LowCardinality(String) COMMENT 'dimension, as in spans',
    `operation` LowCardinality(String) COMMENT 'dimension, as in spans',
    `status` LowCardinality(String) COMMENT 'dimension, as in spans',
    `error_type` LowCardinality(String) COMMENT 'dimension, as in spans',
    `usage_source` LowCardinality(String) COMMENT 'who counted',
    `unpriced_reason` LowCardinality(String) COMMENT 'why their cost is unknown; empty: priced',
    `models` Array(LowCardinality(String)) COMMENT 'of each line of the bill',
    `units` Array(LowCardinality(String)) COMMENT 'of each line',
    `sign` Int8 COMMENT '-1: takes all of this back; 1: books it',
    `calls` Int64 COMMENT 'how many they are',
    `quantities` Array(Int64) COMMENT 'of each line, summed over the calls',
    `amounts` Array(Decimal(38, 12)) COMMENT 'of each line, USD, summed over the calls; 0 where unpriced_reason says that nobody knows',
    `duration_us_sum` Int64 COMMENT 'sum of durations, microseconds',
    `ttft_us_sum` Int64 COMMENT 'sum of times to first token, microseconds',
    `durations` Array(Int16) COMMENT 'the bucket of each known duration',
    `ttfts` Array(Int16) COMMENT 'the bucket of each known time to first token'
)
ENGINE = `Null`;

CREATE MATERIALIZED VIEW ledgerline.bookings_from_corrections TO ledgerline.bookings
(
    `tenant` LowCardinality(String),
    `bucket` DateTime('UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `usage_source` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `models` Array(LowCardinality(String)),
    `units` Array(LowCardinality(String)),
    `sign` Int8,
    `calls` UInt64,
    `quantities` Array(Int64),
    `amounts` Array(Decimal(38, 12)),
    `duration_us_sum` Int64,
    `ttft_us_sum` Int64,
    `durations` Array(Int16),
    `ttfts` Array(Int16)
)
AS SELECT
    tenant,
    toStartOfMinute(subtractMicroseconds(end_time, 1)) AS bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    usage_source,
    unpriced_reason,
    bill.model AS models,
    bill.unit AS units,
    sign,
    count() AS calls,
    sumForEach(bill.quantity) AS quantities,
    sumForEach(arrayMap(amount -> ifNull(amount, toDecimal64(0, 12)), bill.amount)) AS amounts,
    sum(toInt64(ifNull(duration_us, 0))) AS duration_us_sum,
    sum(toInt64(ifNull(ttft_us, 0))) AS ttft_us_sum,
    groupArrayIf(toInt16(ceil(8 * log2(greatest(assumeNotNull(duration_us), 1) / 10000))), duration_us IS NOT NULL) AS durations,
    groupArrayIf(toInt16(ceil(8 * log2(greatest(assumeNotNull(ttft_us), 1) / 10000))), ttft_us IS NOT NULL) AS ttfts
FROM ledgerline.corrections
GROUP BY
    tenant,
    bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    usage_source,
    unpriced_reason,
    models,
    units,
    sign;

CREATE MATERIALIZED VIEW ledgerline.bookings_from_spans TO ledgerline.bookings
(
    `tenant` LowCardinality(String),
    `bucket` DateTime('UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `usage_source` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `models` Array(LowCardinality(String)),
    `units` Array(LowCardinality(String)),
    `sign` Int8,
    `calls` UInt64,
    `quantities` Array(Int64),
    `amounts` Array(Decimal(38, 12)),
    `duration_us_sum` Int64,
    `ttft_us_sum` Int64,
    `durations` Array(Int16),
    `ttfts` Array(Int16)
)
AS SELECT
    tenant,
    toStartOfMinute(subtractMicroseconds(end_time, 1)) AS bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    usage_source,
    unpriced_reason,
    bill.model AS models,
    bill.unit AS units,
    toInt8(1) AS sign,
    count() AS calls,
    sumForEach(bill.quantity) AS quantities,
    sumForEach(arrayMap(amount -> ifNull(amount, toDecimal64(0, 12)), bill.amount)) AS amounts,
    sum(toInt64(ifNull(duration_us, 0))) AS duration_us_sum,
    sum(toInt64(ifNull(ttft_us, 0))) AS ttft_us_sum,
    groupArrayIf(toInt16(ceil(8 * log2(greatest(assumeNotNull(duration_us), 1) / 10000))), duration_us IS NOT NULL) AS durations,
    groupArrayIf(toInt16(ceil(8 * log2(greatest(assumeNotNull(ttft_us), 1) / 10000))), ttft_us IS NOT NULL) AS ttfts
FROM ledgerline.spans
WHERE is_call = 1
GROUP BY
    tenant,
    bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    usage_source,
    unpriced_reason,
    models,
    units,
    sign;

CREATE TABLE ledgerline.budget_crossings
(
    `tenant` LowCardinality(String) COMMENT 'whose budget',
    `budget` String COMMENT 'its name' CODEC(ZSTD(1)),
    `period` String COMMENT 'the key of the period in the budget\'s own zone: 2026-11, 2026-W48, 2026-Q4' CODEC(ZSTD(1)),
    `threshold` String COMMENT 'the part of the budget: 80%' CODEC(ZSTD(1)),
    `amount` Int128 COMMENT 'that part in pico-dollars: with another amount it is another threshold' CODEC(ZSTD(1)),
    `receiver` String COMMENT 'which webhook has heard of it; empty: it was reached' CODEC(ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'when that was' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (tenant, budget, period, threshold, amount, receiver)
SETTINGS non_replicated_deduplication_window = 100000, index_granularity = 8192;

CREATE TABLE ledgerline.calls_day
(
    `tenant` LowCardinality(String) COMMENT 'who owns the row',
    `bucket` DateTime('UTC') COMMENT 'holds the calls that ended in (bucket, bucket + 1 day (UTC)]' CODEC(DoubleDelta, ZSTD(1)),
    `service` LowCardinality(String) COMMENT 'dimension, as in spans',
    `environment` LowCardinality(String) COMMENT 'dimension, as in spans',
    `team` LowCardinality(String) COMMENT 'dimension, as in spans',
    `feature` LowCardinality(String) COMMENT 'dimension, as in spans',
    `provider` LowCardinality(String) COMMENT 'dimension, as in spans',
    `model` LowCardinality(String) COMMENT 'dimension, as in spans',
    `operation` LowCardinality(String) COMMENT 'dimension, as in spans',
    `status` LowCardinality(String) COMMENT 'dimension, as in spans',
    `error_type` LowCardinality(String) COMMENT 'dimension, as in spans',
    `unpriced_reason` LowCardinality(String) COMMENT 'why their cost is unknown; empty: priced',
    `calls` SimpleAggregateFunction(sum, Int64) COMMENT 'calls that ended' CODEC(T64, ZSTD(1)),
    `duration_us_sum` SimpleAggregateFunction(sum, Int64) COMMENT 'sum of durations, microseconds' CODEC(T64, ZSTD(1)),
    `duration_count` SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: those whose duration is known' CODEC(T64, ZSTD(1)),
    `ttft_us_sum` SimpleAggregateFunction(sum, Int64) COMMENT 'sum of times to first token, microseconds' CODEC(T64, ZSTD(1)),
    `ttft_count` SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: streams that gave a token' CODEC(T64, ZSTD(1)),
    `duration_buckets` SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'durations by bucket: b counts those in (10 ms * 2^((b-1)/8), 10 ms * 2^(b/8)]' CODEC(ZSTD(1)),
    `ttft_buckets` SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'times to first token, likewise' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unpriced_reason)
SETTINGS non_replicated_deduplication_window = 100000, index_granularity = 8192;

CREATE MATERIALIZED VIEW ledgerline.calls_day_from_calls_quarter TO ledgerline.calls_day
(
    `tenant` LowCardinality(String),
    `bucket` DateTime('UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `calls` Int64,
    `duration_us_sum` Int64,
    `duration_count` Int64,
    `ttft_us_sum` Int64,
    `ttft_count` Int64,
    `duration_buckets` Map(Int16, Int64),
    `ttft_buckets` Map(Int16, Int64)
)
AS SELECT
    tenant,
    toStartOfDay(finer.bucket) AS bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unpriced_reason,
    sum(finer.calls) AS calls,
    sum(finer.duration_us_sum) AS duration_us_sum,
    sum(finer.duration_count) AS duration_count,
    sum(finer.ttft_us_sum) AS ttft_us_sum,
    sum(finer.ttft_count) AS ttft_count,
    sumMap(finer.duration_buckets) AS duration_buckets,
    sumMap(finer.ttft_buckets) AS ttft_buckets
FROM ledgerline.calls_quarter AS finer
GROUP BY
    tenant,
    bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unpriced_reason;

CREATE TABLE ledgerline.calls_minute
(
    `tenant` LowCardinality(String) COMMENT 'who owns the row',
    `bucket` DateTime('UTC') COMMENT 'holds the calls that ended in (bucket, bucket + 1 minute]' CODEC(DoubleDelta, ZSTD(1)),
    `service` LowCardinality(String) COMMENT 'dimension, as in spans',
    `environment` LowCardinality(String) COMMENT 'dimension, as in spans',
    `team` LowCardinality(String) COMMENT 'dimension, as in spans',
    `feature` LowCardinality(String) COMMENT 'dimension, as in spans',
    `provider` LowCardinality(String) COMMENT 'dimension, as in spans',
    `model` LowCardinality(String) COMMENT 'dimension, as in spans',
    `operation` LowCardinality(String) COMMENT 'dimension, as in spans',
    `status` LowCardinality(String) COMMENT 'dimension, as in spans',
    `error_type` LowCardinality(String) COMMENT 'dimension, as in spans',
    `unpriced_reason` LowCardinality(String) COMMENT 'why their cost is unknown; empty: priced',
    `calls` SimpleAggregateFunction(sum, Int64) COMMENT 'calls that ended' CODEC(T64, ZSTD(1)),
    `duration_us_sum` SimpleAggregateFunction(sum, Int64) COMMENT 'sum of durations, microseconds' CODEC(T64, ZSTD(1)),
    `duration_count` SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: those whose duration is known' CODEC(T64, ZSTD(1)),
    `ttft_us_sum` SimpleAggregateFunction(sum, Int64) COMMENT 'sum of times to first token, microseconds' CODEC(T64, ZSTD(1)),
    `ttft_count` SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: streams that gave a token' CODEC(T64, ZSTD(1)),
    `duration_buckets` SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'durations by bucket: b counts those in (10 ms * 2^((b-1)/8), 10 ms * 2^(b/8)]' CODEC(ZSTD(1)),
    `ttft_buckets` SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'times to first token, likewise' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(bucket)
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unpriced_reason)
TTL bucket + toIntervalDay(35)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000, index_granularity = 8192;

CREATE MATERIALIZED VIEW ledgerline.calls_minute_from_bookings TO ledgerline.calls_minute
(
    `tenant` LowCardinality(String),
    `bucket` DateTime('UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `calls` Int64,
    `duration_us_sum` Int64,
    `duration_count` Int64,
    `ttft_us_sum` Int64,
    `ttft_count` Int64,
    `duration_buckets` Map(Int16, Int64),
    `ttft_buckets` Map(Int16, Int64)
)
AS SELECT
    tenant,
    bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unpriced_reason,
    sign * booked.calls AS calls,
    sign * booked.duration_us_sum AS duration_us_sum,
    sign * toInt64(length(durations)) AS duration_count,
    sign * booked.ttft_us_sum AS ttft_us_sum,
    sign * toInt64(length(ttfts)) AS ttft_count,
    mapFromArrays(arrayDistinct(durations), arrayMap(b -> (sign * countEqual(durations, b)), arrayDistinct(durations))) AS duration_buckets,
    mapFromArrays(arrayDistinct(ttfts), arrayMap(b -> (sign * countEqual(ttfts, b)), arrayDistinct(ttfts))) AS ttft_buckets
FROM ledgerline.bookings AS booked;

CREATE TABLE ledgerline.calls_quarter
(
    `tenant` LowCardinality(String) COMMENT 'who owns the row',
    `bucket` DateTime('UTC') COMMENT 'holds the calls that ended in (bucket, bucket + 15 minutes]' CODEC(DoubleDelta, ZSTD(1)),
    `service` LowCardinality(String) COMMENT 'dimension, as in spans',
    `environment` LowCardinality(String) COMMENT 'dimension, as in spans',
    `team` LowCardinality(String) COMMENT 'dimension, as in spans',
    `feature` LowCardinality(String) COMMENT 'dimension, as in spans',
    `provider` LowCardinality(String) COMMENT 'dimension, as in spans',
    `model` LowCardinality(String) COMMENT 'dimension, as in spans',
    `operation` LowCardinality(String) COMMENT 'dimension, as in spans',
    `status` LowCardinality(String) COMMENT 'dimension, as in spans',
    `error_type` LowCardinality(String) COMMENT 'dimension, as in spans',
    `unpriced_reason` LowCardinality(String) COMMENT 'why their cost is unknown; empty: priced',
    `calls` SimpleAggregateFunction(sum, Int64) COMMENT 'calls that ended' CODEC(T64, ZSTD(1)),
    `duration_us_sum` SimpleAggregateFunction(sum, Int64) COMMENT 'sum of durations, microseconds' CODEC(T64, ZSTD(1)),
    `duration_count` SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: those whose duration is known' CODEC(T64, ZSTD(1)),
    `ttft_us_sum` SimpleAggregateFunction(sum, Int64) COMMENT 'sum of times to first token, microseconds' CODEC(T64, ZSTD(1)),
    `ttft_count` SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: streams that gave a token' CODEC(T64, ZSTD(1)),
    `duration_buckets` SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'durations by bucket: b counts those in (10 ms * 2^((b-1)/8), 10 ms * 2^(b/8)]' CODEC(ZSTD(1)),
    `ttft_buckets` SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'times to first token, likewise' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(bucket)
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unpriced_reason)
SETTINGS index_granularity = 1024, min_compress_block_size = 16384, non_replicated_deduplication_window = 100000;

CREATE MATERIALIZED VIEW ledgerline.calls_quarter_from_calls_minute TO ledgerline.calls_quarter
(
    `tenant` LowCardinality(String),
    `bucket` DateTime('UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `calls` Int64,
    `duration_us_sum` Int64,
    `duration_count` Int64,
    `ttft_us_sum` Int64,
    `ttft_count` Int64,
    `duration_buckets` Map(Int16, Int64),
    `ttft_buckets` Map(Int16, Int64)
)
AS SELECT
    tenant,
    toStartOfFifteenMinutes(finer.bucket) AS bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unpriced_reason,
    sum(finer.calls) AS calls,
    sum(finer.duration_us_sum) AS duration_us_sum,
    sum(finer.duration_count) AS duration_count,
    sum(finer.ttft_us_sum) AS ttft_us_sum,
    sum(finer.ttft_count) AS ttft_count,
    sumMap(finer.duration_buckets) AS duration_buckets,
    sumMap(finer.ttft_buckets) AS ttft_buckets
FROM ledgerline.calls_minute AS finer
GROUP BY
    tenant,
    bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unpriced_reason;

CREATE VIEW ledgerline.calls_record
(
    `tenant` LowCardinality(String),
    `end_time` DateTime64(6, 'UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `calls` Int64,
    `duration_us_sum` Int64,
    `duration_count` Int64,
    `ttft_us_sum` Int64,
    `ttft_count` Int64,
    `duration_buckets` Map(Int16, Int64),
    `ttft_buckets` Map(Int16, Int64)
)
AS SELECT
    tenant,
    end_time,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unpriced_reason,
    toInt64(1) AS calls,
    calls * toInt64(ifNull(duration_us, 0)) AS duration_us_sum,
    if(duration_us IS NULL, 0, calls) AS duration_count,
    calls * toInt64(ifNull(ttft_us, 0)) AS ttft_us_sum,
    if(ttft_us IS NULL, 0, calls) AS ttft_count,
    mapFilter((b, n) -> (duration_us IS NOT NULL), map(toInt16(ceil(8 * log2(greatest(ifNull(duration_us, 0), 1) / 10000))), calls)) AS duration_buckets,
    mapFilter((b, n) -> (ttft_us IS NOT NULL), map(toInt16(ceil(8 * log2(greatest(ifNull(ttft_us, 0), 1) / 10000))), calls)) AS ttft_buckets
FROM ledgerline.spans
WHERE is_call = 1
UNION ALL
SELECT
    tenant,
    end_time,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unpriced_reason,
    toInt64(sign) AS calls,
    calls * toInt64(ifNull(duration_us, 0)) AS duration_us_sum,
    if(duration_us IS NULL, 0, calls) AS duration_count,
    calls * toInt64(ifNull(ttft_us, 0)) AS ttft_us_sum,
    if(ttft_us IS NULL, 0, calls) AS ttft_count,
    mapFilter((b, n) -> (duration_us IS NOT NULL), map(toInt16(ceil(8 * log2(greatest(ifNull(duration_us, 0), 1) / 10000))), calls)) AS duration_buckets,
    mapFilter((b, n) -> (ttft_us IS NOT NULL), map(toInt16(ceil(8 * log2(greatest(ifNull(ttft_us, 0), 1) / 10000))), calls)) AS ttft_buckets
FROM ledgerline.corrections;

CREATE TABLE ledgerline.corrections
(
    `tenant` LowCardinality(String) COMMENT 'who owns the row',
    `end_time` DateTime64(6, 'UTC') COMMENT 'of the call: the correction counts when the call did' CODEC(DoubleDelta, ZSTD(1)),
    `trace_id` FixedString(16) COMMENT 'of the call' CODEC(ZSTD(1)),
    `span_id` FixedString(8) COMMENT 'of the call' CODEC(ZSTD(1)),
    `sign` Int8 COMMENT '-1 takes the call back as it was booked, 1 books it',
    `reason` LowCardinality(String) COMMENT 'why: repeat, wrapper, reprice',
    `service` LowCardinality(String) COMMENT 'dimension, as in spans',
    `environment` LowCardinality(String) COMMENT 'dimension, as in spans',
    `team` LowCardinality(String) COMMENT 'dimension, as in spans',
    `feature` LowCardinality(String) COMMENT 'dimension, as in spans',
    `provider` LowCardinality(String) COMMENT 'dimension, as in spans',
    `model` LowCardinality(String) COMMENT 'dimension, as in spans',
    `operation` LowCardinality(String) COMMENT 'dimension, as in spans',
    `status` LowCardinality(String) COMMENT 'dimension, as in spans',
    `error_type` LowCardinality(String) COMMENT 'dimension, as in spans',
    `bill.model` Array(LowCardinality(String)) COMMENT 'as in spans, of a row with sign -1 as it was booked',
    `bill.unit` Array(LowCardinality(String)) COMMENT 'as in spans',
    `bill.quantity` Array(Int64) COMMENT 'as in spans, without the sign' CODEC(T64, ZSTD(1)),
    `bill.rule` Array(LowCardinality(String)) COMMENT 'as in spans',
    `bill.amount` Array(Nullable(Decimal(18, 12))) COMMENT 'as in spans, without the sign' CODEC(ZSTD(1)),
    `usage_source` LowCardinality(String) COMMENT 'as in spans',
    `cost` Nullable(Decimal(18, 12)) ALIAS if(unpriced_reason = '', CAST(arraySum(amount -> assumeNotNull(amount), bill.amount), 'Nullable(Decimal(18, 12))'), NULL) COMMENT 'as in spans, without the sign',
    `unpriced_reason` LowCardinality(String) COMMENT 'as in spans',
    `price_version` LowCardinality(String) COMMENT 'as in spans',
    `duration_us` Nullable(UInt64) COMMENT 'as in spans' CODEC(ZSTD(1)),
    `ttft_us` Nullable(UInt64) COMMENT 'as in spans' CODEC(ZSTD(1)),
    `batch_id` UUID COMMENT 'the request that gave the reason' CODEC(ZSTD(1)),
    `booked_at` DateTime64(3, 'UTC') COMMENT 'when the collector booked it' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(end_time)
PRIMARY KEY (tenant, toStartOfMinute(end_time), xxHash32(trace_id))
ORDER BY (tenant, toStartOfMinute(end_time), xxHash32(trace_id), span_id, end_time)
SETTINGS non_replicated_deduplication_window = 100000, index_granularity = 8192;

CREATE TABLE ledgerline.migrations
(
    `version` UInt32 COMMENT 'number of the migration file',
    `name` String COMMENT 'its name',
    `checksum` String COMMENT 'xxh3-128 of its statements, comments left out, hexadecimal; other statements under the same number stop the collector',
    `applied_at` DateTime64(3, 'UTC') COMMENT 'when it had succeeded'
)
ENGINE = MergeTree
ORDER BY version
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 8192;

CREATE TABLE ledgerline.quarantine
(
    `tenant` LowCardinality(String) COMMENT 'who sent it',
    `received_at` DateTime64(3, 'UTC') COMMENT 'when the collector took it' CODEC(DoubleDelta, ZSTD(1)),
    `batch_id` UUID COMMENT 'the insert it belonged to' CODEC(ZSTD(1)),
    `reason` LowCardinality(String) COMMENT 'why it is not in spans, for people and for grouping',
    `detail` String COMMENT 'what exactly was wrong: the store\'s own words, or the value found' CODEC(ZSTD(1)),
    `trace_id` String COMMENT 'trace id as sent, hexadecimal, whatever its length' CODEC(ZSTD(1)),
    `span_id` String COMMENT 'span id as sent, hexadecimal, whatever its length' CODEC(ZSTD(1)),
    `payload` String COMMENT 'what may be kept of the span, as JSON, cut at 64 KiB' CODEC(ZSTD(3))
)
ENGINE = MergeTree
PARTITION BY toDate(received_at)
ORDER BY (tenant, received_at)
TTL toDateTime(received_at) + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000, index_granularity = 8192;

CREATE TABLE ledgerline.sealed
(
    `token` String COMMENT 'the name of the insert' CODEC(ZSTD(1)),
    `is_booked` UInt8 COMMENT '0: it is about to be sent; 1: it has been stored',
    `row_count` UInt64 COMMENT 'rows in it' CODEC(ZSTD(1)),
    `block` String COMMENT 'its bytes, in Native format; empty once it is stored' CODEC(ZSTD(1)),
    `at` DateTime64(3, 'UTC') COMMENT 'when that was' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
ORDER BY token
TTL toDateTime(at) + toIntervalDay(7)
SETTINGS non_replicated_deduplication_window = 100000, index_granularity = 8192;

CREATE TABLE ledgerline.spans
(
    `tenant` LowCardinality(String) COMMENT 'who owns the row; from the credential that sent it, never from the payload',
    `start_time` DateTime64(6, 'UTC') COMMENT 'first byte of the request, microseconds' CODEC(DoubleDelta, ZSTD(1)),
    `end_time` DateTime64(6, 'UTC') COMMENT 'last byte of the answer; the time spend, calls and errors count at' CODEC(DoubleDelta, ZSTD(1)),
    `trace_id` FixedString(16) COMMENT 'W3C trace id, raw bytes' CODEC(ZSTD(1)),
    `span_id` FixedString(8) COMMENT 'W3C span id, raw bytes' CODEC(ZSTD(1)),
    `parent_span_id` FixedString(8) COMMENT 'the caller\'s span; all zero: none' CODEC(ZSTD(1)),
    `is_call` UInt8 COMMENT '1: a call to a model, counted in totals unless a correction takes it back; 0: not counted, unless a correction books it',
    `uncounted` LowCardinality(String) COMMENT 'why is_call = 0: not_a_call, wrapper (a call above a call), repeat (another span tells of the same call); empty where it is 1',
    `observer` LowCardinality(String) COMMENT 'the instrumentation that saw it: the name of its OpenTelemetry scope, ledgerline-agent for ours',
    `observer_version` LowCardinality(String) COMMENT 'the version of that scope, of our agents theirs',
    `name` LowCardinality(String) COMMENT 'span name; of GenAI spans operation and model',
    `service` LowCardinality(String) COMMENT 'dimension: service.name',
    `environment` LowCardinality(String) COMMENT 'dimension: deployment.environment.name',
    `team` LowCardinality(String) COMMENT 'dimension: the team that pays',
    `feature` LowCardinality(String) COMMENT 'dimension: the product feature',
    `provider` LowCardinality(String) COMMENT 'dimension: gen_ai.provider.name',
    `model` LowCardinality(String) COMMENT 'dimension: the model under its one name in the price book, on failures too',
    `operation` LowCardinality(String) COMMENT 'dimension: gen_ai.operation.name',
    `status` LowCardinality(String) COMMENT 'dimension: ok or error',
    `error_type` LowCardinality(String) COMMENT 'dimension: error.type; empty when ok',
    `request_model` LowCardinality(String) COMMENT 'the model asked for',
    `response_model` LowCardinality(String) COMMENT 'the model that answered; empty when it did not say',
    `response_id` String COMMENT 'the provider\'s id of the answer' CODEC(ZSTD(1)),
    `stream` UInt8 COMMENT '1: the answer was streamed',
    `finish_reasons` Array(LowCardinality(String)) COMMENT 'one per choice, in the provider\'s words',
    `end_of_stream` LowCardinality(String) COMMENT 'complete, provider_error, client_gone or relay_killed',
    `http_status` Nullable(UInt16) COMMENT 'HTTP status of the answer; NULL: there was none' CODEC(ZSTD(1)),
    `bill.model` Array(LowCardinality(String)) COMMENT 'of each line: whose price; the call\'s model, or another that ran within the call' CODEC(ZSTD(1)),
    `bill.unit` Array(LowCardinality(String)) COMMENT 'what is counted: input_uncached, output_text, web_search',
    `bill.quantity` Array(Int64) COMMENT 'how much of it' CODEC(T64, ZSTD(1)),
    `bill.rule` Array(LowCardinality(String)) COMMENT 'the price that matched; empty where the bill is unpriced' CODEC(ZSTD(1)),
    `bill.amount` Array(Nullable(Decimal(18, 12))) COMMENT 'USD, exact; NULL: the bill is unpriced, never 0 for unknown' CODEC(T64, ZSTD(1)),
    `usage_source` LowCardinality(String) COMMENT 'who counted: provider, drained, counted, sender, estimated, or missing: then the bill has no lines and nobody knows what was used',
    `cost` Nullable(Decimal(18, 12)) ALIAS if((is_call = 1) AND (unpriced_reason = ''), CAST(arraySum(amount -> assumeNotNull(amount), bill.amount), 'Nullable(Decimal(18, 12))'), NULL) COMMENT 'USD, the sum of the lines, not stored; NULL: unpriced or not counted, never 0 for unknown',
    `unpriced_reason` LowCardinality(String) COMMENT 'why there is no price, also of what is not counted; empty when priced',
    `not_billed` LowCardinality(String) COMMENT 'why the provider bills nothing for it, where cost is a true 0 without lines; else empty',
    `price_version` LowCardinality(String) COMMENT 'version of the price book that was asked',
    `reported_cost` Nullable(Decimal(18, 12)) COMMENT 'USD the sender reported; kept beside ours, never in its place' CODEC(ZSTD(1)),
    `conditions` Map(LowCardinality(String), LowCardinality(String)) COMMENT 'what else decides the price: service_tier, speed, region',
    `usage_template` LowCardinality(String) COMMENT 'the provider\'s usage object, JSON as it was sent, with a # for each number of usage_counts; empty: none was seen',
    `usage_counts` Array(Int64) COMMENT 'the whole numbers of it, in order; empty: usage_template is the text itself' CODEC(ZSTD(1)),
    `duration_us` Nullable(UInt64) COMMENT 'end minus start; NULL: the sender\'s times are not those of a finished span' CODEC(ZSTD(1)),
    `ttft_us` Nullable(UInt64) COMMENT 'start to the first token; NULL: not a stream, or no token came' CODEC(ZSTD(1)),
    `user_id` String COMMENT 'end user; personal data, never a metric label' CODEC(ZSTD(1)),
    `session_id` String COMMENT 'conversation; personal data, never a metric label' CODEC(ZSTD(1)),
    `attrs` Map(LowCardinality(String), String) COMMENT 'attributes without a column that the allow-list keeps, lists and maps as JSON' CODEC(ZSTD(1)),
    `batch_id` UUID COMMENT 'the insert that brought the row; proves loss and duplication per request' CODEC(ZSTD(1)),
    `ingested_at` DateTime64(3, 'UTC') COMMENT 'when the collector took it; on a conflict of equal keys the later row stays' CODEC(DoubleDelta, ZSTD(1)),
    INDEX ix_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toDate(end_time)
PRIMARY KEY (tenant, toStartOfMinute(end_time), xxHash32(trace_id))
ORDER BY (tenant, toStartOfMinute(end_time), xxHash32(trace_id), span_id, end_time)
TTL toDateTime(end_time) + toIntervalDay(90)
SETTINGS min_bytes_for_wide_part = 67108864, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000, index_granularity = 8192;

CREATE TABLE ledgerline.spend_day
(
    `tenant` LowCardinality(String) COMMENT 'who owns the row',
    `bucket` DateTime('UTC') COMMENT 'holds the lines of the calls that ended in (bucket, bucket + 1 day (UTC)]' CODEC(DoubleDelta, ZSTD(1)),
    `service` LowCardinality(String) COMMENT 'dimension, as in spans',
    `environment` LowCardinality(String) COMMENT 'dimension, as in spans',
    `team` LowCardinality(String) COMMENT 'dimension, as in spans',
    `feature` LowCardinality(String) COMMENT 'dimension, as in spans',
    `provider` LowCardinality(String) COMMENT 'dimension, as in spans',
    `model` LowCardinality(String) COMMENT 'dimension, but of the line: the call\'s, or another that ran within the call',
    `operation` LowCardinality(String) COMMENT 'dimension, as in spans',
    `status` LowCardinality(String) COMMENT 'dimension, as in spans',
    `error_type` LowCardinality(String) COMMENT 'dimension, as in spans',
    `unit` LowCardinality(String) COMMENT 'what is counted',
    `usage_source` LowCardinality(String) COMMENT 'who counted',
    `unpriced_reason` LowCardinality(String) COMMENT 'why amount is unknown and 0; empty: priced',
    `quantity` SimpleAggregateFunction(sum, Int64) COMMENT 'how much of the unit' CODEC(T64, ZSTD(1)),
    `amount` SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'USD, exact; 0 where unpriced_reason says that nobody knows' CODEC(LZ4),
    `lines` SimpleAggregateFunction(sum, Int64) COMMENT 'lines of bills' CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unit, usage_source, unpriced_reason)
SETTINGS non_replicated_deduplication_window = 100000, index_granularity = 8192;

CREATE MATERIALIZED VIEW ledgerline.spend_day_from_spend_quarter TO ledgerline.spend_day
(
    `tenant` LowCardinality(String),
    `bucket` DateTime('UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `unit` LowCardinality(String),
    `usage_source` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `quantity` Int64,
    `amount` Decimal(38, 12),
    `lines` Int64
)
AS SELECT
    tenant,
    toStartOfDay(finer.bucket) AS bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unit,
    usage_source,
    unpriced_reason,
    sum(finer.quantity) AS quantity,
    sum(finer.amount) AS amount,
    sum(finer.lines) AS lines
FROM ledgerline.spend_quarter AS finer
GROUP BY
    tenant,
    bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unit,
    usage_source,
    unpriced_reason;

CREATE TABLE ledgerline.spend_minute
(
    `tenant` LowCardinality(String) COMMENT 'who owns the row',
    `bucket` DateTime('UTC') COMMENT 'holds the lines of the calls that ended in (bucket, bucket + 1 minute]' CODEC(DoubleDelta, ZSTD(1)),
    `service` LowCardinality(String) COMMENT 'dimension, as in spans',
    `environment` LowCardinality(String) COMMENT 'dimension, as in spans',
    `team` LowCardinality(String) COMMENT 'dimension, as in spans',
    `feature` LowCardinality(String) COMMENT 'dimension, as in spans',
    `provider` LowCardinality(String) COMMENT 'dimension, as in spans',
    `model` LowCardinality(String) COMMENT 'dimension, but of the line: the call\'s, or another that ran within the call',
    `operation` LowCardinality(String) COMMENT 'dimension, as in spans',
    `status` LowCardinality(String) COMMENT 'dimension, as in spans',
    `error_type` LowCardinality(String) COMMENT 'dimension, as in spans',
    `unit` LowCardinality(String) COMMENT 'what is counted',
    `usage_source` LowCardinality(String) COMMENT 'who counted',
    `unpriced_reason` LowCardinality(String) COMMENT 'why amount is unknown and 0; empty: priced',
    `quantity` SimpleAggregateFunction(sum, Int64) COMMENT 'how much of the unit' CODEC(T64, ZSTD(1)),
    `amount` SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'USD, exact; 0 where unpriced_reason says that nobody knows' CODEC(LZ4),
    `lines` SimpleAggregateFunction(sum, Int64) COMMENT 'lines of bills' CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(bucket)
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unit, usage_source, unpriced_reason)
TTL bucket + toIntervalDay(35)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000, index_granularity = 8192;

CREATE MATERIALIZED VIEW ledgerline.spend_minute_from_bookings TO ledgerline.spend_minute
(
    `tenant` LowCardinality(String),
    `bucket` DateTime('UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `unit` LowCardinality(String),
    `usage_source` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `quantity` Int64,
    `amount` Decimal(38, 12),
    `lines` Int64
)
AS SELECT
    tenant,
    bucket,
    service,
    environment,
    team,
    feature,
    provider,
    line_model AS model,
    operation,
    status,
    error_type,
    unit,
    usage_source,
    unpriced_reason,
    sign * of_line AS quantity,
    sign * usd AS amount,
    sign * calls AS lines
FROM ledgerline.bookings AS booked
ARRAY JOIN
    models AS line_model,
    units AS unit,
    quantities AS of_line,
    amounts AS usd;

CREATE TABLE ledgerline.spend_quarter
(
    `tenant` LowCardinality(String) COMMENT 'who owns the row',
    `bucket` DateTime('UTC') COMMENT 'holds the lines of the calls that ended in (bucket, bucket + 15 minutes]' CODEC(DoubleDelta, ZSTD(1)),
    `service` LowCardinality(String) COMMENT 'dimension, as in spans',
    `environment` LowCardinality(String) COMMENT 'dimension, as in spans',
    `team` LowCardinality(String) COMMENT 'dimension, as in spans',
    `feature` LowCardinality(String) COMMENT 'dimension, as in spans',
    `provider` LowCardinality(String) COMMENT 'dimension, as in spans',
    `model` LowCardinality(String) COMMENT 'dimension, but of the line: the call\'s, or another that ran within the call',
    `operation` LowCardinality(String) COMMENT 'dimension, as in spans',
    `status` LowCardinality(String) COMMENT 'dimension, as in spans',
    `error_type` LowCardinality(String) COMMENT 'dimension, as in spans',
    `unit` LowCardinality(String) COMMENT 'what is counted',
    `usage_source` LowCardinality(String) COMMENT 'who counted',
    `unpriced_reason` LowCardinality(String) COMMENT 'why amount is unknown and 0; empty: priced',
    `quantity` SimpleAggregateFunction(sum, Int64) COMMENT 'how much of the unit' CODEC(T64, ZSTD(1)),
    `amount` SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'USD, exact; 0 where unpriced_reason says that nobody knows' CODEC(LZ4),
    `lines` SimpleAggregateFunction(sum, Int64) COMMENT 'lines of bills' CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(bucket)
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unit, usage_source, unpriced_reason)
SETTINGS index_granularity = 1024, min_compress_block_size = 16384, non_replicated_deduplication_window = 100000;

CREATE MATERIALIZED VIEW ledgerline.spend_quarter_from_spend_minute TO ledgerline.spend_quarter
(
    `tenant` LowCardinality(String),
    `bucket` DateTime('UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `unit` LowCardinality(String),
    `usage_source` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `quantity` Int64,
    `amount` Decimal(38, 12),
    `lines` Int64
)
AS SELECT
    tenant,
    toStartOfFifteenMinutes(finer.bucket) AS bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unit,
    usage_source,
    unpriced_reason,
    sum(finer.quantity) AS quantity,
    sum(finer.amount) AS amount,
    sum(finer.lines) AS lines
FROM ledgerline.spend_minute AS finer
GROUP BY
    tenant,
    bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    unit,
    usage_source,
    unpriced_reason;

CREATE VIEW ledgerline.spend_record
(
    `tenant` LowCardinality(String),
    `end_time` DateTime64(6, 'UTC'),
    `service` LowCardinality(String),
    `environment` LowCardinality(String),
    `team` LowCardinality(String),
    `feature` LowCardinality(String),
    `provider` LowCardinality(String),
    `model` LowCardinality(String),
    `operation` LowCardinality(String),
    `status` LowCardinality(String),
    `error_type` LowCardinality(String),
    `unit` LowCardinality(String),
    `usage_source` LowCardinality(String),
    `unpriced_reason` LowCardinality(String),
    `lines` Int64,
    `quantity` Int64,
    `amount` Decimal(38, 12)
)
AS SELECT
    tenant,
    end_time,
    service,
    environment,
    team,
    feature,
    provider,
    line_model AS model,
    operation,
    status,
    error_type,
    unit,
    usage_source,
    unpriced_reason,
    toInt64(1) AS lines,
    lines * counted AS quantity,
    lines * ifNull(usd, toDecimal128(0, 12)) AS amount
FROM ledgerline.spans
ARRAY JOIN
    bill.model AS line_model,
    bill.unit AS unit,
    bill.quantity AS counted,
    bill.amount AS usd
WHERE is_call = 1
UNION ALL
SELECT
    tenant,
    end_time,
    service,
    environment,
    team,
    feature,
    provider,
    line_model AS model,
    operation,
    status,
    error_type,
    unit,
    usage_source,
    unpriced_reason,
    toInt64(sign) AS lines,
    lines * counted AS quantity,
    lines * ifNull(usd, toDecimal128(0, 12)) AS amount
FROM ledgerline.corrections
ARRAY JOIN
    bill.model AS line_model,
    bill.unit AS unit,
    bill.quantity AS counted,
    bill.amount AS usd;
