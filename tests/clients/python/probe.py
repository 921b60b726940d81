"""What every client program shares: it reads cases from standard input, runs them and prints one JSON line per case.

The bytes are hashed below the SDK, at the transport, before any decoding: this is what the network delivered, whatever
the SDK makes of it. Nothing here retries, sleeps or hides an error.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
import traceback
from typing import Any, Callable

import httpx2

CHUNKS_MAX = 4000
TEXT_MAX = 2000


class Probe:
    """The observations of one case."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.started = time.perf_counter()
        self.attempts = 0
        self.exchanges: list[dict[str, Any]] = []
        self.sha256 = hashlib.sha256()
        self.bytes = 0
        self.chunks: list[list[float]] = []
        self.status: int | None = None
        self.headers: list[list[str]] = []
        self.http_version: str | None = None
        self.ended = False
        self.ttft_ms: float | None = None
        self.texts: dict[int, list[str]] = {}
        self.answer: dict[str, Any] = {"id": None, "model": None, "usage": None, "finish_reason": None, "events": 0}

    def elapsed_ms(self) -> float:
        return round((time.perf_counter() - self.started) * 1000, 3)

    def response(self, response: httpx2.Response) -> None:
        """A retry starts over: the last attempt is the one that is reported. A case with a flow reports them all."""
        self.close_exchange()
        self.attempts += 1
        self.sha256 = hashlib.sha256()
        self.bytes = 0
        self.chunks = []
        self.ended = False
        self.status = response.status_code
        self.http_version = response.extensions.get("http_version", b"").decode()
        self.headers = [[name.decode().lower(), value.decode("latin-1")] for name, value in response.headers.raw]

    def close_exchange(self) -> None:
        if self.attempts > 0:
            id = dict(self.headers).get("x-mock-call-id")
            self.exchanges.append({"id": id, "sha256": self.sha256.hexdigest(), "bytes": self.bytes})

    def data(self, data: bytes) -> None:
        self.sha256.update(data)
        self.bytes += len(data)
        if len(self.chunks) < CHUNKS_MAX:
            self.chunks.append([self.elapsed_ms(), len(data)])

    def text(self, choice: int, text: str | None) -> None:
        if not text:
            return
        if self.ttft_ms is None:
            self.ttft_ms = self.elapsed_ms()
        self.texts.setdefault(choice, []).append(text)

    def finish(self, choice: int, reason: str | None) -> None:
        if reason is not None and choice == 0:
            self.answer["finish_reason"] = reason

    def report(self, client: str, error: BaseException | None) -> dict[str, Any]:
        text = "".join(self.texts.get(0, []))
        self.close_exchange()
        line = {
            "client": client,
            "case": self.case.get("case"),
            "mode": self.case.get("mode", "sync"),
            "stream": bool(self.case.get("stream")),
            "scenario": self.case.get("scenario", "plain"),
            "sha256": self.sha256.hexdigest(),
            "bytes": self.bytes,
            "ended": self.ended,
            "chunks": self.chunks,
            "status": self.status,
            "http_version": self.http_version,
            "headers": self.headers,
            "attempts": self.attempts,
            "exchanges": self.exchanges,
            "text": text[:TEXT_MAX],
            "text_sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
            "text_chars": len(text),
            "choices": len(self.texts),
            "ttft_ms": self.ttft_ms,
            "total_ms": self.elapsed_ms(),
            "aborted": self.case.get("abort_after") is not None,
            "error": None,
            "error_message": None,
            "error_module": None,
            **self.answer,
        }
        if error is not None:
            line["error"] = type(error).__name__
            line["error_module"] = type(error).__module__.split(".")[0]
            line["error_message"] = str(error)[:500]
        return line


class RecordingStream(httpx2.SyncByteStream):
    """Hashes a body on its way to the SDK, and reads the rest when the SDK stops early without being told to."""

    def __init__(self, stream: Any, probe: Probe) -> None:
        self._stream = stream
        self._probe = probe
        self._iterator = iter(stream)

    def __iter__(self):
        for data in self._iterator:
            self._probe.data(data)
            yield data
        self._probe.ended = True

    def close(self) -> None:
        try:
            if self._probe.case.get("abort_after") is None and not self._probe.ended:
                for data in self._iterator:
                    self._probe.data(data)
                self._probe.ended = True
        except Exception:
            # The connection broke before the end; `ended` stays false and says so.
            pass
        finally:
            self._stream.close()


class AsyncRecordingStream(httpx2.AsyncByteStream):
    """The same for asynchronous clients."""

    def __init__(self, stream: Any, probe: Probe) -> None:
        self._stream = stream
        self._probe = probe
        self._iterator = stream.__aiter__()

    async def __aiter__(self):
        async for data in self._iterator:
            self._probe.data(data)
            yield data
        self._probe.ended = True

    async def aclose(self) -> None:
        try:
            if self._probe.case.get("abort_after") is None and not self._probe.ended:
                async for data in self._iterator:
                    self._probe.data(data)
                self._probe.ended = True
        except Exception:
            # As above.
            pass
        finally:
            await self._stream.aclose()


class RecordingTransport(httpx2.HTTPTransport):
    """A transport that tells the probe about every response."""

    probe: Probe

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        self.probe.response(response)
        response.stream = RecordingStream(response.stream, self.probe)
        return response


class AsyncRecordingTransport(httpx2.AsyncHTTPTransport):
    """The same for asynchronous clients."""

    probe: Probe

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        self.probe.response(response)
        response.stream = AsyncRecordingStream(response.stream, self.probe)
        return response


def request_headers(case: dict[str, Any]) -> dict[str, str]:
    """Identity, traceparent and whatever else the case asks for, with the scenario's own."""
    headers = dict(case.get("headers") or {})
    headers["x-mock-scenario"] = case.get("scenario", "plain")
    if case.get("params"):
        headers["x-mock-params"] = case["params"]
    return headers


def dump(model: Any) -> Any:
    """A pydantic model as JSON without the fields that were not on the wire."""
    return None if model is None else model.model_dump(mode="json", exclude_unset=True)


def main(
    client: str,
    make_sync: Callable[[dict[str, Any], Any], Any],
    make_async: Callable[[dict[str, Any], Any], Any],
    call_sync: Callable[[Any, dict[str, Any], Probe], None],
    call_async: Callable[[Any, dict[str, Any], Probe], Any],
) -> None:
    """Runs `{"base_url", "concurrency", "cases": [...]}` from standard input.

    Synchronous cases run one after the other, asynchronous ones up to `concurrency` at a time. Each case has a client and
    a connection of its own, so that one case cannot spoil the next.
    """
    job = json.load(sys.stdin)
    for case in job["cases"]:
        if case.get("mode", "sync") == "sync":
            print_line(run_sync(client, job, case, make_sync, call_sync))
    pending = [case for case in job["cases"] if case.get("mode", "sync") == "async"]
    if pending:
        asyncio.run(run_all_async(client, job, pending, make_async, call_async))


def run_sync(client, job, case, make, call) -> dict[str, Any]:
    # Loopback and cleartext: without certificates to load, a client costs a tenth.
    transport = RecordingTransport(verify=False)
    probe = transport.probe = Probe(case)
    error = None
    try:
        with make({**job, **case}, httpx2.Client(transport=transport, timeout=case.get("timeout_s", 60))) as api:
            probe.started = time.perf_counter()
            call(api, case, probe)
    except Exception as raised:
        error = raised
        explain(case)
    return probe.report(client, error)


async def run_all_async(client, job, cases, make, call) -> None:
    gate = asyncio.Semaphore(job.get("concurrency", 1))

    async def one(case):
        async with gate:
            print_line(await run_async(client, job, case, make, call))

    await asyncio.gather(*(one(case) for case in cases))


async def run_async(client, job, case, make, call) -> dict[str, Any]:
    transport = AsyncRecordingTransport(verify=False)
    probe = transport.probe = Probe(case)
    error = None
    try:
        http = httpx2.AsyncClient(transport=transport, timeout=case.get("timeout_s", 60))
        async with make({**job, **case}, http) as api:
            probe.started = time.perf_counter()
            await call(api, case, probe)
    except Exception as raised:
        error = raised
        explain(case)
    return probe.report(client, error)


def explain(case: dict[str, Any]) -> None:
    if case.get("verbose"):
        traceback.print_exc(file=sys.stderr)


def print_line(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)
