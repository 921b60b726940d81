"""clickhouse-connect's asynchronous client: parallel queries and inserts against a server at argv[1]."""

import asyncio
import sys
import urllib.parse

import clickhouse_connect

URL = urllib.parse.urlparse(sys.argv[1])


async def main():
    client = await clickhouse_connect.get_async_client(
        host=URL.hostname,
        port=URL.port,
        username=URL.username,
        password=URL.password,
        autogenerate_session_id=False,
    )
    await client.command("DROP TABLE IF EXISTS parallel")
    await client.command("CREATE TABLE parallel (a UInt64) ENGINE = MergeTree ORDER BY a")
    rows = [[number] for number in range(1000)]
    await asyncio.gather(*(client.insert("parallel", rows, column_names=["a"]) for _ in range(16)))
    results = await asyncio.gather(*(client.query("SELECT sum(a) FROM parallel WHERE a < {n:UInt64}", parameters={"n": n}) for n in range(32)))
    for n, result in enumerate(results):
        assert result.result_rows == [(16 * sum(range(n)),)], (n, result.result_rows)
    await client.close()
    print("ok")


asyncio.run(main())
