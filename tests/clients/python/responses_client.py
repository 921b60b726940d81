"""Runs cases against the Responses API with the real `openai` package. See probe.py for input and output.

A case with a `flow` makes several requests, as services do that work in the background or keep a conversation.
"""

from __future__ import annotations

from typing import Any

import openai
import probe
from openai_client import make_async, make_sync

POLLS_MAX = 10


def arguments(case: dict[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": case.get("model", "gpt-5.4-mini"),
        "input": case.get("prompt", "Post the invoice and say what remains open."),
        "extra_headers": probe.request_headers(case),
    }
    if case.get("stream"):
        arguments["stream"] = True
    for name in ("max_output_tokens", "service_tier", "tools"):
        if case.get(name) is not None:
            arguments[name] = case[name]
    return arguments


def absorb(response: Any, seen: probe.Probe) -> None:
    """Takes in a response object, whole or inside an event."""
    seen.answer.update(id=response.id, model=response.model, usage=probe.dump(response.usage))
    seen.answer["service_tier"] = response.service_tier
    details = response.incomplete_details
    seen.finish(0, details.reason if details is not None else response.status)


def absorb_whole(response: Any, seen: probe.Probe) -> None:
    seen.answer["events"] = 1
    for item in response.output:
        for part in getattr(item, "summary", None) or []:
            seen.text(0, part.text)
        for part in getattr(item, "content", None) or []:
            seen.text(0, part.refusal if part.type == "refusal" else part.text)
        if item.type == "function_call":
            seen.text(0, item.arguments)
    absorb(response, seen)


def absorb_event(event: Any, seen: probe.Probe) -> bool:
    """Takes in one event; false once the case wants to leave."""
    seen.answer["events"] += 1
    if event.type.endswith(".delta"):
        seen.text(0, event.delta)
    if getattr(event, "response", None) is not None:
        absorb(event.response, seen)
    limit = seen.case.get("abort_after")
    return limit is None or seen.answer["events"] < limit


def call_sync(api: openai.OpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    if case.get("flow"):
        FLOWS[case["flow"]](api, case, seen)
        return
    answer = api.responses.create(**arguments(case))
    if not case.get("stream"):
        absorb_whole(answer, seen)
        return
    with answer:
        for event in answer:
            if not absorb_event(event, seen):
                break


async def call_async(api: openai.AsyncOpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    answer = await api.responses.create(**arguments(case))
    if not case.get("stream"):
        absorb_whole(answer, seen)
        return
    async with answer:
        async for event in answer:
            if not absorb_event(event, seen):
                break


def poll(api: openai.OpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    """Works in the background and is asked for until it is done."""
    response = api.responses.create(**arguments(case), background=True)
    for _ in range(POLLS_MAX):
        if response.status not in ("queued", "in_progress"):
            break
        response = api.responses.retrieve(response.id)
    absorb_whole(response, seen)


def resume(api: openai.OpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    """Leaves a stream of a response in the background and takes it up again where it was left."""
    last = None
    with api.responses.create(**{**arguments(case), "stream": True}, background=True) as stream:
        for event in stream:
            absorb_event(event, seen)
            last = event.sequence_number
            if seen.answer["events"] == case["abort_after"]:
                break
    with api.responses.retrieve(seen.answer["id"], stream=True, starting_after=last) as stream:
        for event in stream:
            absorb_event(event, seen)


def cancel(api: openai.OpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    response = api.responses.create(**arguments(case), background=True)
    absorb(api.responses.cancel(response.id), seen)


def compact(api: openai.OpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    asked = {name: value for name, value in arguments(case).items() if name != "stream"}
    compacted = api.responses.compact(**asked)
    seen.answer.update(id=compacted.id, usage=probe.dump(compacted.usage), events=1)


def conversation(api: openai.OpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    """Two turns of a stored conversation, which is then read and deleted."""
    stored = api.conversations.create()
    for _ in range(2):
        absorb_whole(api.responses.create(**arguments(case), conversation=stored.id), seen)
    items = api.conversations.items.list(stored.id)
    seen.answer["events"] = len(items.data)
    api.conversations.delete(stored.id)


def chain(api: openai.OpenAI, case: dict[str, Any], seen: probe.Probe) -> None:
    """A response that continues another one; the first is then looked at and deleted, and the input counted."""
    first = api.responses.create(**arguments(case))
    absorb_whole(api.responses.create(**arguments(case), previous_response_id=first.id), seen)
    api.responses.input_items.list(first.id)
    api.responses.input_tokens.count(model="gpt-5.4-mini", input="How many tokens is this?")
    api.responses.delete(first.id)


FLOWS = {
    "poll": poll,
    "resume": resume,
    "cancel": cancel,
    "compact": compact,
    "conversation": conversation,
    "chain": chain,
}


if __name__ == "__main__":
    probe.main("openai", make_sync, make_async, call_sync, call_async)
