-- Inserts of corrections that nobody else could repeat: kept whole before they are sent, so that one that was cut off, by the end of a
-- command or of the store, is sent again with the same bytes and the same name, whatever has changed since.
CREATE TABLE IF NOT EXISTS sealed
(
    token String COMMENT 'the name of the insert' CODEC(ZSTD(1)),
    is_booked UInt8 COMMENT '0: it is about to be sent; 1: it has been stored',
    row_count UInt64 COMMENT 'rows in it' CODEC(ZSTD(1)),
    block String COMMENT 'its bytes, in Native format; empty once it is stored' CODEC(ZSTD(1)),
    at DateTime64(3, 'UTC') COMMENT 'when that was' CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
-- Few, looked through when a command starts.
ORDER BY token
TTL toDateTime(at) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 100000;
