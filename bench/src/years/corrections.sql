SELECT
    if(intDiv(kinds, 4294967296) % 10 = 0, 'globex', 'acme') AS tenant,
    ended AS end_time,
    toFixedString(reinterpretAsFixedString(toUInt128(id + 1)), 16) AS trace_id,
    reinterpretAsFixedString(id + 1) AS span_id,
    booked.1 AS sign,
    -- A collector completes the latest corrections of the other reasons when it starts, by the tokens of their inserts: these have none.
    'reprice' AS reason,
    concat('service-', toString(labels % 5)) AS service,
    if(labels % 2 = 0, 'production', 'staging') AS environment,
    concat('team-', toString(labels % 8)) AS team,
    concat('feature-', toString(labels % 12)) AS feature,
    'openai' AS provider,
    model_name AS model,
    'chat' AS operation,
    if(labels % 20 = 19, 'error', 'ok') AS status,
    if(labels % 20 = 19, 'rate_limit_exceeded', '') AS error_type,
    arrayMap(unit -> model_name, units) AS `bill.model`,
    units AS `bill.unit`,
    quantities AS `bill.quantity`,
    arrayMap(unit -> if(booked.3, '', concat('openai/', model_name)), units) AS `bill.rule`,
    amounts(booked.2, booked.3) AS `bill.amount`,
    multiIf(source = 0, 'estimated', source = 1, 'drained', 'provider') AS usage_source,
    if(booked.3, 'unknown_model', '') AS unpriced_reason,
    'years' AS price_version,
    took_us AS duration_us,
    if(intDiv(kinds, 281474976710656) % 2 = 0, intDiv(took_us, 5), NULL) AS ttft_us,
    fromUnixTimestamp64Milli(toInt64(intDiv(end_us, 1000)), 'UTC') AS booked_at
FROM numbers({count:UInt64})
-- A call is taken back as it was booked; one that is repriced is then booked at nine tenths of the price, and has one if it had none.
ARRAY JOIN if(fate = 0, [(-1, price, is_unpriced)], [(-1, price, is_unpriced), (1, intDiv(price, 10) * 9, false)]) AS booked
WHERE fate < 2
