-- The record: one row per span, wide, immutable, without message bodies. What it says of money is its bill, line by line.
--
-- Names of columns are those of ledgerline_proto: a dimension is the column and the label of every metric, a unit is the text of a
-- line, so that a new one needs no column. Units are disjoint, so a total is a sum.

CREATE TABLE IF NOT EXISTS spans
(
    tenant LowCardinality(String) COMMENT 'who owns the row; from the credential that sent it, never from the payload',
    start_time DateTime64(6, 'UTC') COMMENT 'first byte of the request, microseconds' CODEC(DoubleDelta, ZSTD(1)),
    end_time DateTime64(6, 'UTC') COMMENT 'last byte of the answer; the time spend, calls and errors count at' CODEC(DoubleDelta, ZSTD(1)),
    trace_id FixedString(16) COMMENT 'W3C trace id, raw bytes' CODEC(ZSTD(1)),
    span_id FixedString(8) COMMENT 'W3C span id, raw bytes' CODEC(ZSTD(1)),
    parent_span_id FixedString(8) COMMENT 'the caller''s span; all zero: none' CODEC(ZSTD(1)),
    is_call UInt8 COMMENT '1: a call to a model, counted in totals unless a correction takes it back; 0: not counted, unless a correction books it',
    uncounted LowCardinality(String) COMMENT 'why is_call = 0: not_a_call, wrapper (a call above a call), repeat (another span tells of the same call); empty where it is 1',
    observer LowCardinality(String) COMMENT 'the instrumentation that saw it: the name of its OpenTelemetry scope, ledgerline-agent for ours',
    observer_version LowCardinality(String) COMMENT 'the version of that scope, of our agents theirs',
    name LowCardinality(String) COMMENT 'span name; of GenAI spans operation and model',
    service LowCardinality(String) COMMENT 'dimension: service.name',
    environment LowCardinality(String) COMMENT 'dimension: deployment.environment.name',
    team LowCardinality(String) COMMENT 'dimension: the team that pays',
    feature LowCardinality(String) COMMENT 'dimension: the product feature',
    provider LowCardinality(String) COMMENT 'dimension: gen_ai.provider.name',
    model LowCardinality(String) COMMENT 'dimension: the model under its one name in the price book, on failures too',
    operation LowCardinality(String) COMMENT 'dimension: gen_ai.operation.name',
    status LowCardinality(String) COMMENT 'dimension: ok or error',
    error_type LowCardinality(String) COMMENT 'dimension: error.type; empty when ok',
    request_model LowCardinality(String) COMMENT 'the model asked for',
    response_model LowCardinality(String) COMMENT 'the model that answered; empty when it did not say',
    response_id String COMMENT 'the provider''s id of the answer' CODEC(ZSTD(1)),
    stream UInt8 COMMENT '1: the answer was streamed',
    finish_reasons Array(LowCardinality(String)) COMMENT 'one per choice, in the provider''s words',
    end_of_stream LowCardinality(String) COMMENT 'complete, provider_error, client_gone or relay_killed',
    http_status Nullable(UInt16) COMMENT 'HTTP status of the answer; NULL: there was none' CODEC(ZSTD(1)),
    `bill.model` Array(LowCardinality(String)) COMMENT 'of each line: whose price; the call''s model, or another that ran within the call' CODEC(ZSTD(1)),
    `bill.unit` Array(LowCardinality(String)) COMMENT 'what is counted: input_uncached, output_text, web_search',
    `bill.quantity` Array(Int64) COMMENT 'how much of it' CODEC(T64, ZSTD(1)),
    `bill.rule` Array(LowCardinality(String)) COMMENT 'the price that matched; empty where the bill is unpriced' CODEC(ZSTD(1)),
    `bill.amount` Array(Nullable(Decimal(18, 12))) COMMENT 'USD, exact; NULL: the bill is unpriced, never 0 for unknown' CODEC(T64, ZSTD(1)),
    usage_source LowCardinality(String) COMMENT 'who counted: provider, drained, counted, sender, estimated, or missing: then the bill has no lines and nobody knows what was used',
    cost Nullable(Decimal(18, 12)) ALIAS if(is_call = 1 AND unpriced_reason = '', CAST(arraySum(amount -> assumeNotNull(amount), bill.amount), 'Nullable(Decimal(18, 12))'), NULL) COMMENT 'USD, the sum of the lines, not stored; NULL: unpriced or not counted, never 0 for unknown',
    unpriced_reason LowCardinality(String) COMMENT 'why there is no price, also of what is not counted; empty when priced',
    not_billed LowCardinality(String) COMMENT 'why the provider bills nothing for it, where cost is a true 0 without lines; else empty',
    price_version LowCardinality(String) COMMENT 'version of the price book that was asked',
    reported_cost Nullable(Decimal(18, 12)) COMMENT 'USD the sender reported; kept beside ours, never in its place' CODEC(ZSTD(1)),
    conditions Map(LowCardinality(String), LowCardinality(String)) COMMENT 'what else decides the price: service_tier, speed, region',
    usage_template LowCardinality(String) COMMENT 'the provider''s usage object, JSON as it was sent, with a # for each number of usage_counts; empty: none was seen',
    usage_counts Array(Int64) COMMENT 'the whole numbers of it, in order; empty: usage_template is the text itself' CODEC(ZSTD(1)),
    duration_us Nullable(UInt64) COMMENT 'end minus start; NULL: the sender''s times are not those of a finished span' CODEC(ZSTD(1)),
    ttft_us Nullable(UInt64) COMMENT 'start to the first token; NULL: not a stream, or no token came' CODEC(ZSTD(1)),
    user_id String COMMENT 'end user; personal data, never a metric label' CODEC(ZSTD(1)),
    session_id String COMMENT 'conversation; personal data, never a metric label' CODEC(ZSTD(1)),
    attrs Map(LowCardinality(String), String) COMMENT 'attributes without a column that the allow-list keeps, lists and maps as JSON' CODEC(ZSTD(1)),
    batch_id UUID COMMENT 'the insert that brought the row; proves loss and duplication per request' CODEC(ZSTD(1)),
    ingested_at DateTime64(3, 'UTC') COMMENT 'when the collector took it; on a conflict of equal keys the later row stays' CODEC(DoubleDelta, ZSTD(1)),
    INDEX ix_trace_id trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
-- A repeat is known by its insert token, and by nothing else: as long as fewer than 100,000 parts were inserted since. The same
-- span under another token (a third-party sender that batches anew when it repeats) collapses here when parts merge, but the
-- rollups are made of what was inserted and have counted it again by then. Replacing keeps such a trace readable; it is no
-- second line for totals: a row of corrections is.
ENGINE = ReplacingMergeTree(ingested_at)
-- Time-outs drop whole days; 31 days of accepted past stay far below 100 partitions per insert.
PARTITION BY toDate(end_time)
-- Tenant first, so that one tenant's query never reads another's granules; then the minute, because every panel and
-- every rule asks for a window of end times; then the trace, so that its spans lie together. The hash and not the id
-- itself: 4 bytes in memory instead of 16.
PRIMARY KEY (tenant, toStartOfMinute(end_time), xxHash32(trace_id))
ORDER BY (tenant, toStartOfMinute(end_time), xxHash32(trace_id), span_id, end_time)
TTL toDateTime(end_time) + INTERVAL 90 DAY
-- An insert is one file and not 130, which is a tenth of its cost; merging makes a file of each column again.
SETTINGS min_bytes_for_wide_part = 67108864, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000;
