"""clickhouse-connect, the official Python client, against a server at argv[1]. Every line is what its documentation shows."""

import datetime
import decimal
import sys
import urllib.parse
import uuid

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

URL = urllib.parse.urlparse(sys.argv[1])


def connect(**options):
    return clickhouse_connect.get_client(
        host=URL.hostname, port=URL.port, username=URL.username, password=URL.password, **options
    )


def round_trip(client):
    client.command("DROP TABLE IF EXISTS calls")
    client.command(
        "CREATE TABLE calls (id UInt64, name String, at DateTime64(3, 'UTC'), cost Decimal(38, 9), tags Array(LowCardinality(String)),"
        " score Nullable(Float64), key UUID) ENGINE = MergeTree ORDER BY id"
    )
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    rows = [
        [
            number,
            f"line\nbreak\0\t{number}",
            start + datetime.timedelta(milliseconds=number),
            decimal.Decimal(number) / 8,
            ["a", str(number % 5)],
            None if number % 3 else number / 2,
            uuid.UUID(int=number),
        ]
        for number in range(20_000)
    ]
    names = ["id", "name", "at", "cost", "tags", "score", "key"]
    summary = client.insert("calls", rows, column_names=names)
    assert summary.written_rows == len(rows), summary.summary
    result = client.query("SELECT * FROM calls ORDER BY id")
    found = [[*row[:2], row[2].replace(tzinfo=datetime.timezone.utc), *row[3:]] for row in result.result_rows]
    assert found == rows
    assert result.summary["read_rows"] == "20000", result.summary
    assert client.command("SELECT count() FROM calls") == 20_000


def parameters_and_settings(client):
    found = client.query(
        "SELECT id FROM calls WHERE id IN {ids:Array(UInt64)} AND name != {name:String} ORDER BY id",
        parameters={"ids": [1, 2, 3], "name": "it's"},
        settings={"max_threads": 1},
    )
    assert found.result_rows == [(1,), (2,), (3,)]
    assert client.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 1234}).result_rows == [(1234,)]
    assert client.query("SELECT getSetting('max_block_size')").result_rows != [(1234,)]


def streams(client):
    total = 0
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(1000000)") as blocks:
        for block in blocks:
            total += sum(row[0] for row in block)
    assert total == 499_999_500_000
    raw = client.raw_query("SELECT number FROM numbers(3)", fmt="JSONEachRow")
    assert raw == b'{"number":0}\n{"number":1}\n{"number":2}\n', raw
    client.raw_insert("calls", column_names=["id", "name"], insert_block=b"900001,one\n900002,two\n", fmt="CSV")
    assert client.command("SELECT count() FROM calls WHERE id > 900000") == 2


def errors(client):
    try:
        client.query("SELECT * FROM nope")
        raise AssertionError("no error")
    except DatabaseError as error:
        assert "UNKNOWN_TABLE" in str(error) and "60" in str(error), error
    try:
        client.query("SELECT throwIf(number = 9000000) FROM numbers(10000000)")
        raise AssertionError("no error of a late row")
    except DatabaseError as error:
        assert "395" in str(error), error
    # Not held back, so that the error comes after a status of 200.
    try:
        sql = "SELECT number, throwIf(number = 9000000) FROM numbers(10000000)"
        with client.query_row_block_stream(sql, settings={"max_threads": 1, "wait_end_of_query": 0}) as blocks:
            for _ in blocks:
                pass
        raise AssertionError("no error in the stream")
    except StreamFailureError as error:
        assert "throwIf" in str(error), error
    assert client.command("SELECT 1") == 1


def session(client):
    client.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    client.insert("mine", [[1], [2]], column_names=["a"])
    assert client.command("SELECT sum(a) FROM mine") == 3


def main():
    for compress in (False, "lz4", "zstd", "gzip"):
        client = connect(compress=compress)
        assert client.ping()
        round_trip(client)
        parameters_and_settings(client)
        streams(client)
        errors(client)
        session(client)
        client.close()
    client = connect(database="system", autogenerate_session_id=False)
    assert client.command("SELECT currentDatabase()") == "system"
    client.close()
    print("ok")


main()
