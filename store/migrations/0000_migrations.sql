-- What has been applied. Run before anything else at every start.

CREATE TABLE IF NOT EXISTS migrations
(
    version UInt32 COMMENT 'number of the migration file',
    name String COMMENT 'its name',
    checksum String COMMENT 'xxh3-128 of its statements, comments left out, hexadecimal; other statements under the same number stop the collector',
    applied_at DateTime64(3, 'UTC') COMMENT 'when it had succeeded'
)
ENGINE = MergeTree
-- A handful of rows, read whole and in order.
ORDER BY version
SETTINGS non_replicated_deduplication_window = 10000;
