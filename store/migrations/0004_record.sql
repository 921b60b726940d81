-- The record in the form of the rollups, one row for each call and each line, for windows that end inside a minute. Spans and
-- corrections together are the ledger; whoever reads one of them alone reads less.

CREATE VIEW IF NOT EXISTS calls_record AS
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
    toInt64(1) AS calls,
    calls * toInt64(ifNull(duration_us, 0)) AS duration_us_sum,
    if(duration_us IS NULL, 0, calls) AS duration_count,
    calls * toInt64(ifNull(ttft_us, 0)) AS ttft_us_sum,
    if(ttft_us IS NULL, 0, calls) AS ttft_count,
    mapFilter((b, n) -> duration_us IS NOT NULL, map(toInt16(ceil(8 * log2(greatest(ifNull(duration_us, 0), 1) / 10000))), calls)) AS duration_buckets,
    mapFilter((b, n) -> ttft_us IS NOT NULL, map(toInt16(ceil(8 * log2(greatest(ifNull(ttft_us, 0), 1) / 10000))), calls)) AS ttft_buckets
FROM spans
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
    mapFilter((b, n) -> duration_us IS NOT NULL, map(toInt16(ceil(8 * log2(greatest(ifNull(duration_us, 0), 1) / 10000))), calls)) AS duration_buckets,
    mapFilter((b, n) -> ttft_us IS NOT NULL, map(toInt16(ceil(8 * log2(greatest(ifNull(ttft_us, 0), 1) / 10000))), calls)) AS ttft_buckets
FROM corrections;

CREATE VIEW IF NOT EXISTS spend_record AS
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
    toInt64(1) AS lines,
    lines * counted AS quantity,
    lines * ifNull(usd, toDecimal128(0, 12)) AS amount
FROM spans
ARRAY JOIN bill.model AS line_model, bill.unit AS unit, bill.quantity AS counted, bill.amount AS usd
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
FROM corrections
ARRAY JOIN bill.model AS line_model, bill.unit AS unit, bill.quantity AS counted, bill.amount AS usd;
