"""Runs cases with the real `anthropic` package: synchronous or not, streaming or not. See probe.py for input and output."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import probe


def make_sync(case: dict[str, Any], http: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(http_client=http, **options(case))


def make_async(case: dict[str, Any], http: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(http_client=http, **options(case))


def options(case: dict[str, Any]) -> dict[str, Any]:
    return {
        "base_url": case["base_url"],
        "api_key": case.get("api_key", "sk-ant-mock-test"),
        "max_retries": case.get("max_retries", 0),
    }


def arguments(case: dict[str, Any]) -> dict[str, Any]:
    prompt = case.get("prompt", "Post the invoice and say what remains open.")
    arguments: dict[str, Any] = {
        "model": case.get("model", "claude-haiku-4-5"),
        "max_tokens": case.get("max_tokens", 4096),
        "messages": [{"role": "user", "content": prompt}],
        "extra_headers": probe.request_headers(case),
    }
    if case.get("stream"):
        arguments["stream"] = True
    for name in ("service_tier", "tools", "thinking"):
        if case.get(name) is not None:
            arguments[name] = case[name]
    return arguments


def absorb_block(block: Any, seen: probe.Probe) -> None:
    seen.text(0, getattr(block, "text", None) or getattr(block, "thinking", None))
    if block.type in ("tool_use", "server_tool_use"):
        seen.text(0, json.dumps(block.input, ensure_ascii=False))


def absorb_whole(message: Any, seen: probe.Probe) -> None:
    seen.answer.update(id=message.id, model=message.model, usage=probe.dump(message.usage), events=1)
    for block in message.content:
        absorb_block(block, seen)
    seen.finish(0, message.stop_reason)


def absorb_event(event: Any, seen: probe.Probe) -> bool:
    """Takes in one event; false once the case wants to leave. Usage is cumulative: the last value that is there wins,
    and `usage_start` and `usage_delta` keep both as they came."""
    answer = seen.answer
    answer["events"] += 1
    if event.type == "message_start":
        answer.update(id=event.message.id, model=event.message.model)
        answer["usage_start"] = probe.dump(getattr(event.message, "usage", None))
        answer["usage"] = answer["usage_start"]
    elif event.type == "content_block_delta":
        delta = event.delta
        seen.text(0, getattr(delta, "text", None) or getattr(delta, "thinking", None))
        seen.text(0, getattr(delta, "partial_json", None))
    elif event.type == "message_delta":
        answer["usage_delta"] = probe.dump(getattr(event, "usage", None))
        if answer["usage_delta"] is not None:
            answer["usage"] = {**(answer["usage"] or {}), **answer["usage_delta"]}
        seen.finish(0, event.delta.stop_reason)
    limit = seen.case.get("abort_after")
    return limit is None or answer["events"] < limit


def call_sync(api: anthropic.Anthropic, case: dict[str, Any], seen: probe.Probe) -> None:
    answer = api.messages.create(**arguments(case))
    if not case.get("stream"):
        absorb_whole(answer, seen)
        return
    with answer:
        for event in answer:
            if not absorb_event(event, seen):
                break


async def call_async(api: anthropic.AsyncAnthropic, case: dict[str, Any], seen: probe.Probe) -> None:
    answer = await api.messages.create(**arguments(case))
    if not case.get("stream"):
        absorb_whole(answer, seen)
        return
    async with answer:
        async for event in answer:
            if not absorb_event(event, seen):
                break


if __name__ == "__main__":
    probe.main("anthropic", make_sync, make_async, call_sync, call_async)
