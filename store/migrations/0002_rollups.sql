-- Calls by minute, hour and day: what panels, rules and the month's close read.
--
-- A bucket is open at its start and closed at its end, as a PromQL window is: the sum of the buckets in [t-w, t) is the
-- exact increase over (t-w, t]. Wrapper spans are left out (is_call = 1), so a total never counts a call twice.
-- Sums of integers and decimals are exact; only the sketches are approximate. A rollup outlives the spans it was made of.
-- Each target has its own deduplication window: without it a retried insert is counted once in spans and twice here. A call
-- that comes again in another request is counted again.

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
    calls SimpleAggregateFunction(sum, UInt64) COMMENT 'calls that ended' CODEC(T64, ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) COMMENT 'those with status error' CODEC(T64, ZSTD(1)),
    unpriced_calls SimpleAggregateFunction(sum, UInt64) COMMENT 'those whose cost is unknown and not in cost' CODEC(T64, ZSTD(1)),
    tokens_input_uncached SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt text neither read from nor written to a cache' CODEC(T64, ZSTD(1)),
    tokens_cache_read SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens read from the provider''s cache' CODEC(T64, ZSTD(1)),
    tokens_cache_write_5m SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 5 minutes, or a life not stated' CODEC(T64, ZSTD(1)),
    tokens_cache_write_30m SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 30 minutes' CODEC(T64, ZSTD(1)),
    tokens_cache_write_1h SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 1 hour' CODEC(T64, ZSTD(1)),
    tokens_cache_write_12h SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 12 hours' CODEC(T64, ZSTD(1)),
    tokens_input_audio SimpleAggregateFunction(sum, UInt64) COMMENT 'audio in the prompt' CODEC(T64, ZSTD(1)),
    tokens_input_image SimpleAggregateFunction(sum, UInt64) COMMENT 'images in the prompt, where counted apart' CODEC(T64, ZSTD(1)),
    tokens_tool_use_prompt SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens added by the provider''s own tools' CODEC(T64, ZSTD(1)),
    tokens_output_text SimpleAggregateFunction(sum, UInt64) COMMENT 'answer text, tool calls included' CODEC(T64, ZSTD(1)),
    tokens_output_reasoning SimpleAggregateFunction(sum, UInt64) COMMENT 'hidden reasoning' CODEC(T64, ZSTD(1)),
    tokens_output_audio SimpleAggregateFunction(sum, UInt64) COMMENT 'audio in the answer' CODEC(T64, ZSTD(1)),
    tokens_output_image SimpleAggregateFunction(sum, UInt64) COMMENT 'images in the answer, where counted apart' CODEC(T64, ZSTD(1)),
    cost SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'USD of the priced calls, exact' CODEC(ZSTD(1)),
    duration_us_sum SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of durations, microseconds' CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, UInt64) COMMENT 'calls in that sum: those whose duration is known' CODEC(T64, ZSTD(1)),
    ttft_us_sum SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of times to first token, microseconds' CODEC(T64, ZSTD(1)),
    ttft_count SimpleAggregateFunction(sum, UInt64) COMMENT 'calls in that sum: streams that gave a token' CODEC(T64, ZSTD(1)),
    duration_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) COMMENT 'sketch of durations, 1 percent relative error at any quantile' CODEC(ZSTD(1)),
    ttft_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) COMMENT 'sketch of times to first token, 1 percent relative error' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
-- Daily, like spans, so that time-outs drop whole parts.
PARTITION BY toDate(bucket)
-- A window of one tenant is one range of rows. The dimensions follow because rows that agree in all of them are one row.
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type)
TTL bucket + INTERVAL 35 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS calls_hour
(
    tenant LowCardinality(String) COMMENT 'who owns the row',
    bucket DateTime('UTC') COMMENT 'holds the calls that ended in (bucket, bucket + 1 hour]' CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String) COMMENT 'dimension, as in spans',
    environment LowCardinality(String) COMMENT 'dimension, as in spans',
    team LowCardinality(String) COMMENT 'dimension, as in spans',
    feature LowCardinality(String) COMMENT 'dimension, as in spans',
    provider LowCardinality(String) COMMENT 'dimension, as in spans',
    model LowCardinality(String) COMMENT 'dimension, as in spans',
    operation LowCardinality(String) COMMENT 'dimension, as in spans',
    status LowCardinality(String) COMMENT 'dimension, as in spans',
    error_type LowCardinality(String) COMMENT 'dimension, as in spans',
    calls SimpleAggregateFunction(sum, UInt64) COMMENT 'calls that ended' CODEC(T64, ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) COMMENT 'those with status error' CODEC(T64, ZSTD(1)),
    unpriced_calls SimpleAggregateFunction(sum, UInt64) COMMENT 'those whose cost is unknown and not in cost' CODEC(T64, ZSTD(1)),
    tokens_input_uncached SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt text neither read from nor written to a cache' CODEC(T64, ZSTD(1)),
    tokens_cache_read SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens read from the provider''s cache' CODEC(T64, ZSTD(1)),
    tokens_cache_write_5m SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 5 minutes, or a life not stated' CODEC(T64, ZSTD(1)),
    tokens_cache_write_30m SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 30 minutes' CODEC(T64, ZSTD(1)),
    tokens_cache_write_1h SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 1 hour' CODEC(T64, ZSTD(1)),
    tokens_cache_write_12h SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 12 hours' CODEC(T64, ZSTD(1)),
    tokens_input_audio SimpleAggregateFunction(sum, UInt64) COMMENT 'audio in the prompt' CODEC(T64, ZSTD(1)),
    tokens_input_image SimpleAggregateFunction(sum, UInt64) COMMENT 'images in the prompt, where counted apart' CODEC(T64, ZSTD(1)),
    tokens_tool_use_prompt SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens added by the provider''s own tools' CODEC(T64, ZSTD(1)),
    tokens_output_text SimpleAggregateFunction(sum, UInt64) COMMENT 'answer text, tool calls included' CODEC(T64, ZSTD(1)),
    tokens_output_reasoning SimpleAggregateFunction(sum, UInt64) COMMENT 'hidden reasoning' CODEC(T64, ZSTD(1)),
    tokens_output_audio SimpleAggregateFunction(sum, UInt64) COMMENT 'audio in the answer' CODEC(T64, ZSTD(1)),
    tokens_output_image SimpleAggregateFunction(sum, UInt64) COMMENT 'images in the answer, where counted apart' CODEC(T64, ZSTD(1)),
    cost SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'USD of the priced calls, exact' CODEC(ZSTD(1)),
    duration_us_sum SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of durations, microseconds' CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, UInt64) COMMENT 'calls in that sum: those whose duration is known' CODEC(T64, ZSTD(1)),
    ttft_us_sum SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of times to first token, microseconds' CODEC(T64, ZSTD(1)),
    ttft_count SimpleAggregateFunction(sum, UInt64) COMMENT 'calls in that sum: streams that gave a token' CODEC(T64, ZSTD(1)),
    duration_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) COMMENT 'sketch of durations, 1 percent relative error at any quantile' CODEC(ZSTD(1)),
    ttft_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) COMMENT 'sketch of times to first token, 1 percent relative error' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
-- Monthly: 400 daily partitions of a small table would be more files than data.
PARTITION BY toYYYYMM(bucket)
-- A window of one tenant is one range of rows. The dimensions follow because rows that agree in all of them are one row.
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type)
TTL bucket + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000;

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
    calls SimpleAggregateFunction(sum, UInt64) COMMENT 'calls that ended' CODEC(T64, ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) COMMENT 'those with status error' CODEC(T64, ZSTD(1)),
    unpriced_calls SimpleAggregateFunction(sum, UInt64) COMMENT 'those whose cost is unknown and not in cost' CODEC(T64, ZSTD(1)),
    tokens_input_uncached SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt text neither read from nor written to a cache' CODEC(T64, ZSTD(1)),
    tokens_cache_read SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens read from the provider''s cache' CODEC(T64, ZSTD(1)),
    tokens_cache_write_5m SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 5 minutes, or a life not stated' CODEC(T64, ZSTD(1)),
    tokens_cache_write_30m SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 30 minutes' CODEC(T64, ZSTD(1)),
    tokens_cache_write_1h SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 1 hour' CODEC(T64, ZSTD(1)),
    tokens_cache_write_12h SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens written to a cache that lives 12 hours' CODEC(T64, ZSTD(1)),
    tokens_input_audio SimpleAggregateFunction(sum, UInt64) COMMENT 'audio in the prompt' CODEC(T64, ZSTD(1)),
    tokens_input_image SimpleAggregateFunction(sum, UInt64) COMMENT 'images in the prompt, where counted apart' CODEC(T64, ZSTD(1)),
    tokens_tool_use_prompt SimpleAggregateFunction(sum, UInt64) COMMENT 'prompt tokens added by the provider''s own tools' CODEC(T64, ZSTD(1)),
    tokens_output_text SimpleAggregateFunction(sum, UInt64) COMMENT 'answer text, tool calls included' CODEC(T64, ZSTD(1)),
    tokens_output_reasoning SimpleAggregateFunction(sum, UInt64) COMMENT 'hidden reasoning' CODEC(T64, ZSTD(1)),
    tokens_output_audio SimpleAggregateFunction(sum, UInt64) COMMENT 'audio in the answer' CODEC(T64, ZSTD(1)),
    tokens_output_image SimpleAggregateFunction(sum, UInt64) COMMENT 'images in the answer, where counted apart' CODEC(T64, ZSTD(1)),
    cost SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'USD of the priced calls, exact' CODEC(ZSTD(1)),
    duration_us_sum SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of durations, microseconds' CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, UInt64) COMMENT 'calls in that sum: those whose duration is known' CODEC(T64, ZSTD(1)),
    ttft_us_sum SimpleAggregateFunction(sum, UInt64) COMMENT 'sum of times to first token, microseconds' CODEC(T64, ZSTD(1)),
    ttft_count SimpleAggregateFunction(sum, UInt64) COMMENT 'calls in that sum: streams that gave a token' CODEC(T64, ZSTD(1)),
    duration_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) COMMENT 'sketch of durations, 1 percent relative error at any quantile' CODEC(ZSTD(1)),
    ttft_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) COMMENT 'sketch of times to first token, 1 percent relative error' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
-- Yearly, kept for ever.
PARTITION BY toYear(bucket)
-- A window of one tenant is one range of rows. The dimensions follow because rows that agree in all of them are one row.
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type)
SETTINGS non_replicated_deduplication_window = 100000;

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_minute_from_spans TO calls_minute AS
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
    count() AS calls,
    countIf(status = 'error') AS errors,
    countIf(spans.cost IS NULL) AS unpriced_calls,
    sum(tokens_input_uncached) AS tokens_input_uncached,
    sum(tokens_cache_read) AS tokens_cache_read,
    sum(tokens_cache_write_5m) AS tokens_cache_write_5m,
    sum(tokens_cache_write_30m) AS tokens_cache_write_30m,
    sum(tokens_cache_write_1h) AS tokens_cache_write_1h,
    sum(tokens_cache_write_12h) AS tokens_cache_write_12h,
    sum(tokens_input_audio) AS tokens_input_audio,
    sum(tokens_input_image) AS tokens_input_image,
    sum(tokens_tool_use_prompt) AS tokens_tool_use_prompt,
    sum(tokens_output_text) AS tokens_output_text,
    sum(tokens_output_reasoning) AS tokens_output_reasoning,
    sum(tokens_output_audio) AS tokens_output_audio,
    sum(tokens_output_image) AS tokens_output_image,
    sum(ifNull(spans.cost, toDecimal64(0, 12))) AS cost,
    sum(ifNull(duration_us, 0)) AS duration_us_sum,
    count(duration_us) AS duration_count,
    sum(ifNull(ttft_us, 0)) AS ttft_us_sum,
    count(ttft_us) AS ttft_count,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(duration_us), duration_us IS NOT NULL) AS duration_us_quantiles,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(ttft_us), ttft_us IS NOT NULL) AS ttft_us_quantiles
FROM spans
WHERE is_call = 1
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type;

-- Hours come from minutes and days from hours: the rows are few by then, so the chain costs less than three views on spans.
CREATE MATERIALIZED VIEW IF NOT EXISTS calls_hour_from_calls_minute TO calls_hour AS
SELECT
    tenant,
    toStartOfHour(calls_minute.bucket) AS bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    sum(calls_minute.calls) AS calls,
    sum(calls_minute.errors) AS errors,
    sum(calls_minute.unpriced_calls) AS unpriced_calls,
    sum(calls_minute.tokens_input_uncached) AS tokens_input_uncached,
    sum(calls_minute.tokens_cache_read) AS tokens_cache_read,
    sum(calls_minute.tokens_cache_write_5m) AS tokens_cache_write_5m,
    sum(calls_minute.tokens_cache_write_30m) AS tokens_cache_write_30m,
    sum(calls_minute.tokens_cache_write_1h) AS tokens_cache_write_1h,
    sum(calls_minute.tokens_cache_write_12h) AS tokens_cache_write_12h,
    sum(calls_minute.tokens_input_audio) AS tokens_input_audio,
    sum(calls_minute.tokens_input_image) AS tokens_input_image,
    sum(calls_minute.tokens_tool_use_prompt) AS tokens_tool_use_prompt,
    sum(calls_minute.tokens_output_text) AS tokens_output_text,
    sum(calls_minute.tokens_output_reasoning) AS tokens_output_reasoning,
    sum(calls_minute.tokens_output_audio) AS tokens_output_audio,
    sum(calls_minute.tokens_output_image) AS tokens_output_image,
    sum(calls_minute.cost) AS cost,
    sum(calls_minute.duration_us_sum) AS duration_us_sum,
    sum(calls_minute.duration_count) AS duration_count,
    sum(calls_minute.ttft_us_sum) AS ttft_us_sum,
    sum(calls_minute.ttft_count) AS ttft_count,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(calls_minute.duration_us_quantiles) AS duration_us_quantiles,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(calls_minute.ttft_us_quantiles) AS ttft_us_quantiles
FROM calls_minute
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type;

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_day_from_calls_hour TO calls_day AS
SELECT
    tenant,
    toStartOfDay(calls_hour.bucket) AS bucket,
    service,
    environment,
    team,
    feature,
    provider,
    model,
    operation,
    status,
    error_type,
    sum(calls_hour.calls) AS calls,
    sum(calls_hour.errors) AS errors,
    sum(calls_hour.unpriced_calls) AS unpriced_calls,
    sum(calls_hour.tokens_input_uncached) AS tokens_input_uncached,
    sum(calls_hour.tokens_cache_read) AS tokens_cache_read,
    sum(calls_hour.tokens_cache_write_5m) AS tokens_cache_write_5m,
    sum(calls_hour.tokens_cache_write_30m) AS tokens_cache_write_30m,
    sum(calls_hour.tokens_cache_write_1h) AS tokens_cache_write_1h,
    sum(calls_hour.tokens_cache_write_12h) AS tokens_cache_write_12h,
    sum(calls_hour.tokens_input_audio) AS tokens_input_audio,
    sum(calls_hour.tokens_input_image) AS tokens_input_image,
    sum(calls_hour.tokens_tool_use_prompt) AS tokens_tool_use_prompt,
    sum(calls_hour.tokens_output_text) AS tokens_output_text,
    sum(calls_hour.tokens_output_reasoning) AS tokens_output_reasoning,
    sum(calls_hour.tokens_output_audio) AS tokens_output_audio,
    sum(calls_hour.tokens_output_image) AS tokens_output_image,
    sum(calls_hour.cost) AS cost,
    sum(calls_hour.duration_us_sum) AS duration_us_sum,
    sum(calls_hour.duration_count) AS duration_count,
    sum(calls_hour.ttft_us_sum) AS ttft_us_sum,
    sum(calls_hour.ttft_count) AS ttft_count,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(calls_hour.duration_us_quantiles) AS duration_us_quantiles,
    quantilesDDMergeState(0.01, 0.5, 0.9, 0.95, 0.99)(calls_hour.ttft_us_quantiles) AS ttft_us_quantiles
FROM calls_hour
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type;
