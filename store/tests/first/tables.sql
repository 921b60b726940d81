-- The tables of the first version (its commit 050b085), which the cost of an insert is measured against. Never changed.

CREATE TABLE IF NOT EXISTS spans
(
    tenant LowCardinality(String),
    start_time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    end_time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    trace_id FixedString(16) CODEC(ZSTD(1)),
    span_id FixedString(8) CODEC(ZSTD(1)),
    parent_span_id FixedString(8) CODEC(ZSTD(1)),
    is_call UInt8,
    name LowCardinality(String),
    service LowCardinality(String),
    environment LowCardinality(String),
    team LowCardinality(String),
    feature LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    operation LowCardinality(String),
    status LowCardinality(String),
    error_type LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    response_id String CODEC(ZSTD(1)),
    stream UInt8,
    finish_reasons Array(LowCardinality(String)),
    end_of_stream LowCardinality(String),
    http_status Nullable(UInt16) CODEC(ZSTD(1)),
    tokens_input_uncached UInt64 CODEC(T64, ZSTD(1)),
    tokens_cache_read UInt64 CODEC(T64, ZSTD(1)),
    tokens_cache_write_5m UInt64 CODEC(T64, ZSTD(1)),
    tokens_cache_write_30m UInt64 CODEC(T64, ZSTD(1)),
    tokens_cache_write_1h UInt64 CODEC(T64, ZSTD(1)),
    tokens_cache_write_12h UInt64 CODEC(T64, ZSTD(1)),
    tokens_input_audio UInt64 CODEC(T64, ZSTD(1)),
    tokens_input_image UInt64 CODEC(T64, ZSTD(1)),
    tokens_tool_use_prompt UInt64 CODEC(T64, ZSTD(1)),
    tokens_output_text UInt64 CODEC(T64, ZSTD(1)),
    tokens_output_reasoning UInt64 CODEC(T64, ZSTD(1)),
    tokens_output_audio UInt64 CODEC(T64, ZSTD(1)),
    tokens_output_image UInt64 CODEC(T64, ZSTD(1)),
    usage_source LowCardinality(String),
    cost Nullable(Decimal(18, 9)) CODEC(ZSTD(1)),
    unpriced_reason LowCardinality(String),
    price_version LowCardinality(String),
    price_rule LowCardinality(String),
    reported_cost Nullable(Decimal(18, 9)) CODEC(ZSTD(1)),
    service_tier LowCardinality(String),
    speed LowCardinality(String),
    inference_geo LowCardinality(String),
    web_search_requests Nullable(UInt64) CODEC(ZSTD(1)),
    duration_us UInt64 CODEC(T64, ZSTD(1)),
    ttft_us Nullable(UInt64) CODEC(ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    session_id String CODEC(ZSTD(1)),
    attrs Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    batch_id UUID CODEC(ZSTD(1)),
    ingested_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    INDEX ix_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(ingested_at)
PARTITION BY toDate(end_time)
PRIMARY KEY (tenant, toStartOfMinute(end_time), xxHash32(trace_id))
ORDER BY (tenant, toStartOfMinute(end_time), xxHash32(trace_id), span_id, end_time)
TTL toDateTime(end_time) + INTERVAL 90 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS calls_minute
(
    tenant LowCardinality(String),
    bucket DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    team LowCardinality(String),
    feature LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    operation LowCardinality(String),
    status LowCardinality(String),
    error_type LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    unpriced_calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_input_uncached SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_read SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_5m SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_30m SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_1h SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_12h SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_input_audio SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_input_image SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_tool_use_prompt SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_text SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_reasoning SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_audio SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_image SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)) CODEC(ZSTD(1)),
    duration_us_sum SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    ttft_us_sum SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    ttft_count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) CODEC(ZSTD(1)),
    ttft_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(bucket)
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type)
TTL bucket + INTERVAL 35 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS calls_hour
(
    tenant LowCardinality(String),
    bucket DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    team LowCardinality(String),
    feature LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    operation LowCardinality(String),
    status LowCardinality(String),
    error_type LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    unpriced_calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_input_uncached SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_read SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_5m SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_30m SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_1h SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_12h SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_input_audio SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_input_image SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_tool_use_prompt SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_text SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_reasoning SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_audio SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_image SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)) CODEC(ZSTD(1)),
    duration_us_sum SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    ttft_us_sum SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    ttft_count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) CODEC(ZSTD(1)),
    ttft_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(bucket)
PRIMARY KEY (tenant, bucket)
ORDER BY (tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type)
TTL bucket + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000;

CREATE TABLE IF NOT EXISTS calls_day
(
    tenant LowCardinality(String),
    bucket DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    service LowCardinality(String),
    environment LowCardinality(String),
    team LowCardinality(String),
    feature LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    operation LowCardinality(String),
    status LowCardinality(String),
    error_type LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    unpriced_calls SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_input_uncached SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_read SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_5m SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_30m SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_1h SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_cache_write_12h SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_input_audio SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_input_image SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_tool_use_prompt SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_text SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_reasoning SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_audio SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    tokens_output_image SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    cost SimpleAggregateFunction(sum, Decimal(38, 9)) CODEC(ZSTD(1)),
    duration_us_sum SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    ttft_us_sum SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    ttft_count SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) CODEC(ZSTD(1)),
    ttft_us_quantiles AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99), UInt64) CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(bucket)
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
    sum(ifNull(spans.cost, toDecimal64(0, 9))) AS cost,
    sum(duration_us) AS duration_us_sum,
    count() AS duration_count,
    sum(ifNull(ttft_us, 0)) AS ttft_us_sum,
    count(ttft_us) AS ttft_count,
    quantilesDDState(0.01, 0.5, 0.9, 0.95, 0.99)(duration_us) AS duration_us_quantiles,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.95, 0.99)(assumeNotNull(ttft_us), ttft_us IS NOT NULL) AS ttft_us_quantiles
FROM spans
WHERE is_call = 1
GROUP BY tenant, bucket, service, environment, team, feature, provider, model, operation, status, error_type;

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
