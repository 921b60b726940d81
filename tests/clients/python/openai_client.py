"""Runs cases with the real `openai` package: synchronous or not, streaming or not. See probe.py for input and output."""

from __future__ import annotations

from typing import Any

import openai
import probe


def make_sync(case: dict[str, Any], http: Any) -> openai.OpenAI:
    return openai.OpenAI(http_client=http, **options(case))


def make_async(case: dict[str, Any], http: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(http_client=http, **options(case))


def options(case: dict[str, Any]) -> dict[str, Any]:
    return {
        "base_url": case["base_url"].rstrip("/") + "/v1",
        "api_key": case.get("api_key", "sk-mock-test"),
        "max_retries": case.get("max_retries", 0),
    }


def arguments(case: dict[str, Any]) -> dict[str, Any]:
    prompt = case.get("prompt", "Post the invoice and say what remains open.")
    arguments: dict[str, Any] = {
        "model": case.get("model", "gpt-4.1-mini"),
        "messages": [{"role": "user", "content": prompt}],
        "extra_headers": probe.request_headers(case),
    }
    if case.get("stream"):
        arguments["stream"] = True
        if case.get("include_usage") is not None:
            arguments["stream_options"] = {"include_usage": case["include_usage"]}
    for name in ("n", "max_completion_tokens", "service_tier", "tools"):
        if case.get(name) is not None:
            arguments[name] = case[name]
    return arguments


def absorb_whole(completion: Any, seen: probe.Probe) -> None:
    seen.answer.update(id=completion.id, model=completion.model, usage=probe.dump(completion.usage), events=1)
    seen.answer["service_tier"] = completion.service_tier
    for choice in completion.choices:
        message = choice.message
        seen.text(choice.index, message.content or message.refusal)
        if message.audio is not None:
            seen.text(choice.index, message.audio.transcript)
        for tool in message.tool_calls or []:
            seen.text(choice.index, tool.function.arguments)
        seen.finish(choice.index, choice.finish_reason)


def absorb_chunk(chunk: Any, seen: probe.Probe) -> bool:
    """Takes in one chunk; false once the case wants to leave."""
    seen.answer["events"] += 1
    seen.answer.update(id=chunk.id, model=chunk.model, service_tier=chunk.service_tier)
    if chunk.usage is not None:
        seen.answer["usage"] = probe.dump(chunk.usage)
    for choice in chunk.choices:
        delta = choice.delta
        seen.text(choice.index, delta.content or delta.refusal)
        if delta.audio is not None:
            seen.text(choice.index, delta.audio.transcript)
        for tool in delta.tool_calls or []:
            seen.text(choice.index, tool.function.arguments if tool.function else None)
        seen.finish(choice.index, choice.finish_reason)
    limit = seen.case.get("abort_after")
    return limit is None or seen.answer["events"] < limit


def call_sync(api: openai.OpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    answer = api.chat.completions.create(**arguments(case))
    if not case.get("stream"):
        absorb_whole(answer, seen)
        return
    with answer:
        for chunk in answer:
            if not absorb_chunk(chunk, seen):
                break


async def call_async(api: openai.AsyncOpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    answer = await api.chat.completions.create(**arguments(case))
    if not case.get("stream"):
        absorb_whole(answer, seen)
        return
    async with answer:
        async for chunk in answer:
            if not absorb_chunk(chunk, seen):
                break


if __name__ == "__main__":
    probe.main("openai", make_sync, make_async, call_sync, call_async)
