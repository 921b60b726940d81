-- Calls and spend by minute, quarter of an hour and day: what panels, rules and the month's close read.
--
-- A bucket is open at its start and closed at its end, as a PromQL window is: the sum of the buckets in [t-w, t) is the exact
-- increase over (t-w, t]. Wrapper spans are left out (is_call = 1), so a total never counts a call twice. Every sum is of signed
-- integers or decimals and exact: a correction takes away what a span has added. A rollup outlives the spans it was made of.
-- Each target has its own deduplication window: without it a retried insert is counted once in spans and twice here.
--
-- Of times there are sums and exponential buckets: bucket b ends at 10 ms * 2^(b/8), 9 percent above the one below, so that 0.01, 0.02,
-- 0.04 ... 81.92 s are edges and a count below one of them is exact. A time of 0 is in the bucket of 1 microsecond, the lowest.
CREATE TABLE IF NOT EXISTS calls_minute
(
    tenant LowCardinality(String) COMMENT 'who owns the row',
    bucket DateTime('UTC') COMMENT 'holds the calls that ended in (bucket, bucket + 1 minute]' CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String) COMMENT 'dimension, as in spans',
    environment LowCardinality(String) COMMENT 'dimension, as in spans',
    team LowCardinality(String) COMMENT 'dimension, as in spans',
    feature LowCardinality(String) COMMENT 'dimension, as in spans',
    provider LowCardinality(String) COMMENT 'dimension, as in spans',
    model LowCardinality(String) COMMENT 'dimension, as in spans',
    operation LowCardinality(String) COMMENT 'dimension, as in spans',
    status LowCardinality(String) COMMENT 'dimension, as in spans',
    error_type LowCardinality(String) COMMENT 'dimension, as in spans',
    unpriced_reason LowCardinality(String) COMMENT 'why their cost is unknown; empty: priced',
    calls SimpleAggregateFunction(sum, Int64) COMMENT 'calls that ended' CODEC(T64, ZSTD(1)),
    duration_us_sum SimpleAggregateFunction(sum, Int64) COMMENT 'sum of durations, microseconds' CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: those whose duration is known' CODEC(T64, ZSTD(1)),
    ttft_us_sum SimpleAggregateFunction(sum, Int64) COMMENT 'sum of times to first token, microseconds' CODEC(T64, ZSTD(1)),
    ttft_count SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: streams that gave a token' CODEC(T64, ZSTD(1)),
    duration_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'durations by bucket: b counts those in (10 ms * 2^((b-1)/8), 10 ms * 2^(b/8)]' CODEC(ZSTD(1)),
    ttft_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'times to first token, likewise' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
-- Daily, like spans, so that time-outs drop whole parts.
PARTITION BY toDate(bucket)
-- A window of one tenant is one range of rows. The dimensions follow because rows that agree in all of them are one row.
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unpriced_reason)
TTL bucket + INTERVAL 35 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS calls_quarter
(
    tenant LowCardinality(String) COMMENT 'who owns the row',
    bucket DateTime('UTC') COMMENT 'holds the calls that ended in (bucket, bucket + 15 minutes]' CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String) COMMENT 'dimension, as in spans',
    environment LowCardinality(String) COMMENT 'dimension, as in spans',
    team LowCardinality(String) COMMENT 'dimension, as in spans',
    feature LowCardinality(String) COMMENT 'dimension, as in spans',
    provider LowCardinality(String) COMMENT 'dimension, as in spans',
    model LowCardinality(String) COMMENT 'dimension, as in spans',
    operation LowCardinality(String) COMMENT 'dimension, as in spans',
    status LowCardinality(String) COMMENT 'dimension, as in spans',
    error_type LowCardinality(String) COMMENT 'dimension, as in spans',
    unpriced_reason LowCardinality(String) COMMENT 'why their cost is unknown; empty: priced',
    calls SimpleAggregateFunction(sum, Int64) COMMENT 'calls that ended' CODEC(T64, ZSTD(1)),
    duration_us_sum SimpleAggregateFunction(sum, Int64) COMMENT 'sum of durations, microseconds' CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: those whose duration is known' CODEC(T64, ZSTD(1)),
    ttft_us_sum SimpleAggregateFunction(sum, Int64) COMMENT 'sum of times to first token, microseconds' CODEC(T64, ZSTD(1)),
    ttft_count SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: streams that gave a token' CODEC(T64, ZSTD(1)),
    duration_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'durations by bucket: b counts those in (10 ms * 2^((b-1)/8), 10 ms * 2^(b/8)]' CODEC(ZSTD(1)),
    ttft_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'times to first token, likewise' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
-- Monthly, kept for ever: a quarter of an hour is the edge of every time zone's day.
PARTITION BY toYYYYMM(bucket)
-- A window of one tenant is one range of rows. The dimensions follow because rows that agree in all of them are one row.
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unpriced_reason)
-- Days of other time zones read some quarters of an hour of each day: granules and blocks as small as that leave out the others.
SETTINGS index_granularity = 1024, min_compress_block_size = 16384, non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS calls_day
(
    tenant LowCardinality(String) COMMENT 'who owns the row',
    bucket DateTime('UTC') COMMENT 'holds the calls that ended in (bucket, bucket + 1 day (UTC)]' CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String) COMMENT 'dimension, as in spans',
    environment LowCardinality(String) COMMENT 'dimension, as in spans',
    team LowCardinality(String) COMMENT 'dimension, as in spans',
    feature LowCardinality(String) COMMENT 'dimension, as in spans',
    provider LowCardinality(String) COMMENT 'dimension, as in spans',
    model LowCardinality(String) COMMENT 'dimension, as in spans',
    operation LowCardinality(String) COMMENT 'dimension, as in spans',
    status LowCardinality(String) COMMENT 'dimension, as in spans',
    error_type LowCardinality(String) COMMENT 'dimension, as in spans',
    unpriced_reason LowCardinality(String) COMMENT 'why their cost is unknown; empty: priced',
    calls SimpleAggregateFunction(sum, Int64) COMMENT 'calls that ended' CODEC(T64, ZSTD(1)),
    duration_us_sum SimpleAggregateFunction(sum, Int64) COMMENT 'sum of durations, microseconds' CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: those whose duration is known' CODEC(T64, ZSTD(1)),
    ttft_us_sum SimpleAggregateFunction(sum, Int64) COMMENT 'sum of times to first token, microseconds' CODEC(T64, ZSTD(1)),
    ttft_count SimpleAggregateFunction(sum, Int64) COMMENT 'calls in that sum: streams that gave a token' CODEC(T64, ZSTD(1)),
    duration_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'durations by bucket: b counts those in (10 ms * 2^((b-1)/8), 10 ms * 2^(b/8)]' CODEC(ZSTD(1)),
    ttft_buckets SimpleAggregateFunction(sumMap, Map(Int16, Int64)) COMMENT 'times to first token, likewise' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
-- Yearly, kept for ever.
PARTITION BY toYear(bucket)
-- A window of one tenant is one range of rows. The dimensions follow because rows that agree in all of them are one row.
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unpriced_reason)
SETTINGS non_replicated_deduplication_window = 100000;

-- The lines of bills. A line is of its own model, which may be another than the call's.
-- Amounts are not under ZSTD: it saves a quarter of this column, and undoing it is a third of what a sum over it costs.
CREATE TABLE IF NOT EXISTS spend_minute
(
    tenant LowCardinality(String) COMMENT 'who owns the row',
    bucket DateTime('UTC') COMMENT 'holds the lines of the calls that ended in (bucket, bucket + 1 minute]' CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String) COMMENT 'dimension, as in spans',
    environment LowCardinality(String) COMMENT 'dimension, as in spans',
    team LowCardinality(String) COMMENT 'dimension, as in spans',
    feature LowCardinality(String) COMMENT 'dimension, as in spans',
    provider LowCardinality(String) COMMENT 'dimension, as in spans',
    model LowCardinality(String) COMMENT 'dimension, but of the line: the call''s, or another that ran within the call',
    operation LowCardinality(String) COMMENT 'dimension, as in spans',
    status LowCardinality(String) COMMENT 'dimension, as in spans',
    error_type LowCardinality(String) COMMENT 'dimension, as in spans',
    unit LowCardinality(String) COMMENT 'what is counted',
    usage_source LowCardinality(String) COMMENT 'who counted',
    unpriced_reason LowCardinality(String) COMMENT 'why amount is unknown and 0; empty: priced',
    quantity SimpleAggregateFunction(sum, Int64) COMMENT 'how much of the unit' CODEC(T64, ZSTD(1)),
    amount SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'USD, exact; 0 where unpriced_reason says that nobody knows' CODEC(LZ4),
    lines SimpleAggregateFunction(sum, Int64) COMMENT 'lines of bills' CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
-- Daily, like spans, so that time-outs drop whole parts.
PARTITION BY toDate(bucket)
-- A window of one tenant is one range of rows. The dimensions follow because rows that agree in all of them are one row.
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unit, usage_source, unpriced_reason)
TTL bucket + INTERVAL 35 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS spend_quarter
(
    tenant LowCardinality(String) COMMENT 'who owns the row',
    bucket DateTime('UTC') COMMENT 'holds the lines of the calls that ended in (bucket, bucket + 15 minutes]' CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String) COMMENT 'dimension, as in spans',
    environment LowCardinality(String) COMMENT 'dimension, as in spans',
    team LowCardinality(String) COMMENT 'dimension, as in spans',
    feature LowCardinality(String) COMMENT 'dimension, as in spans',
    provider LowCardinality(String) COMMENT 'dimension, as in spans',
    model LowCardinality(String) COMMENT 'dimension, but of the line: the call''s, or another that ran within the call',
    operation LowCardinality(String) COMMENT 'dimension, as in spans',
    status LowCardinality(String) COMMENT 'dimension, as in spans',
    error_type LowCardinality(String) COMMENT 'dimension, as in spans',
    unit LowCardinality(String) COMMENT 'what is counted',
    usage_source LowCardinality(String) COMMENT 'who counted',
    unpriced_reason LowCardinality(String) COMMENT 'why amount is unknown and 0; empty: priced',
    quantity SimpleAggregateFunction(sum, Int64) COMMENT 'how much of the unit' CODEC(T64, ZSTD(1)),
    amount SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'USD, exact; 0 where unpriced_reason says that nobody knows' CODEC(LZ4),
    lines SimpleAggregateFunction(sum, Int64) COMMENT 'lines of bills' CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
-- Monthly, kept for ever: a quarter of an hour is the edge of every time zone's day.
PARTITION BY toYYYYMM(bucket)
-- A window of one tenant is one range of rows. The dimensions follow because rows that agree in all of them are one row.
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unit, usage_source, unpriced_reason)
-- Days of other time zones read some quarters of an hour of each day: granules and blocks as small as that leave out the others.
SETTINGS index_granularity = 1024, min_compress_block_size = 16384, non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS spend_day
(
    tenant LowCardinality(String) COMMENT 'who owns the row',
    bucket DateTime('UTC') COMMENT 'holds the lines of the calls that ended in (bucket, bucket + 1 day (UTC)]' CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String) COMMENT 'dimension, as in spans',
    environment LowCardinality(String) COMMENT 'dimension, as in spans',
    team LowCardinality(String) COMMENT 'dimension, as in spans',
    feature LowCardinality(String) COMMENT 'dimension, as in spans',
    provider LowCardinality(String) COMMENT 'dimension, as in spans',
    model LowCardinality(String) COMMENT 'dimension, but of the line: the call''s, or another that ran within the call',
    operation LowCardinality(String) COMMENT 'dimension, as in spans',
    status LowCardinality(String) COMMENT 'dimension, as in spans',
    error_type LowCardinality(String) COMMENT 'dimension, as in spans',
    unit LowCardinality(String) COMMENT 'what is counted',
    usage_source LowCardinality(String) COMMENT 'who counted',
    unpriced_reason LowCardinality(String) COMMENT 'why amount is unknown and 0; empty: priced',
    quantity SimpleAggregateFunction(sum, Int64) COMMENT 'how much of the unit' CODEC(T64, ZSTD(1)),
    amount SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'USD, exact; 0 where unpriced_reason says that nobody knows' CODEC(LZ4),
    lines SimpleAggregateFunction(sum, Int64) COMMENT 'lines of bills' CODEC(T64, ZSTD(1))
)
ENGINE = AggregatingMergeTree
-- Yearly, kept for ever.
PARTITION BY toYear(bucket)
-- A window of one tenant is one range of rows. The dimensions follow because rows that agree in all of them are one row.
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unit, usage_source, unpriced_reason)
SETTINGS non_replicated_deduplication_window = 100000;

-- What is booked: the calls of an insert that agree in everything but their numbers, as one row. Not kept: the ledger's two sources
-- are grouped here once, for calls and spend alike, which costs a third less than a view of each source for each of the two.
CREATE TABLE IF NOT EXISTS bookings
(
    tenant LowCardinality(String) COMMENT 'who owns the row',
    bucket DateTime('UTC') COMMENT 'holds the calls that ended in (bucket, bucket + 1 minute]',
    service LowCardinality(String) COMMENT 'dimension, as in spans',
    environment LowCardinality(String) COMMENT 'dimension, as in spans',
    team LowCardinality(String) COMMENT 'dimension, as in spans',
    feature LowCardinality(String) COMMENT 'dimension, as in spans',
    provider LowCardinality(String) COMMENT 'dimension, as in spans',
    model LowCardinality(String) COMMENT 'dimension, as in spans',
    operation LowCardinality(String) COMMENT 'dimension, as in spans',
    status LowCardinality(String) COMMENT 'dimension, as in spans',
    error_type LowCardinality(String) COMMENT 'dimension, as in spans',
    usage_source LowCardinality(String) COMMENT 'who counted',
    unpriced_reason LowCardinality(String) COMMENT 'why their cost is unknown; empty: priced',
    models Array(LowCardinality(String)) COMMENT 'of each line of the bill',
    units Array(LowCardinality(String)) COMMENT 'of each line',
    sign Int8 COMMENT '-1: takes all of this back; 1: books it',
    calls Int64 COMMENT 'how many they are',
    quantities Array(Int64) COMMENT 'of each line, summed over the calls',
    amounts Array(Decimal(38, 12)) COMMENT 'of each line, USD, summed over the calls; 0 where unpriced_reason says that nobody knows',
    duration_us_sum Int64 COMMENT 'sum of durations, microseconds',
    ttft_us_sum Int64 COMMENT 'sum of times to first token, microseconds',
    durations Array(Int16) COMMENT 'the bucket of each known duration',
    ttfts Array(Int16) COMMENT 'the bucket of each known time to first token'
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS bookings_from_spans TO bookings AS
SELECT
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
FROM spans
WHERE is_call = 1
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, usage_source, unpriced_reason, models, units, sign;

CREATE MATERIALIZED VIEW IF NOT EXISTS bookings_from_corrections TO bookings AS
SELECT
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
FROM corrections
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, usage_source, unpriced_reason, models, units, sign;

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_minute_from_bookings TO calls_minute AS
SELECT
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
    mapFromArrays(arrayDistinct(durations), arrayMap(b -> sign * countEqual(durations, b), arrayDistinct(durations))) AS duration_buckets,
    mapFromArrays(arrayDistinct(ttfts), arrayMap(b -> sign * countEqual(ttfts, b), arrayDistinct(ttfts))) AS ttft_buckets
FROM bookings AS booked;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_minute_from_bookings TO spend_minute AS
SELECT
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
FROM bookings AS booked
ARRAY JOIN models AS line_model, units AS unit, quantities AS of_line, amounts AS usd;

-- Quarters come from minutes and days from quarters: the rows are few by then, so the chain costs less than views on spans.
CREATE MATERIALIZED VIEW IF NOT EXISTS calls_quarter_from_calls_minute TO calls_quarter AS
SELECT
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
FROM calls_minute AS finer
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unpriced_reason;

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_day_from_calls_quarter TO calls_day AS
SELECT
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
FROM calls_quarter AS finer
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unpriced_reason;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_quarter_from_spend_minute TO spend_quarter AS
SELECT
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
FROM spend_minute AS finer
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unit, usage_source, unpriced_reason;

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_day_from_spend_quarter TO spend_day AS
SELECT
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
FROM spend_quarter AS finer
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type, unit, usage_source, unpriced_reason;
