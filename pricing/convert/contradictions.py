"""Where the files kept by hand and the generated ones say different things of one model, unit and time.

usage: contradictions.py BY_HAND GENERATED
Prints them and writes GENERATED/contradictions.md. Those kept by hand count; each difference is one of them to check.
"""

import sys
from datetime import timedelta
from pathlib import Path

import book
import units

CONDITIONS = ["service_tier", "speed", "region", "search_context", "route", "deployment", "quality", "size"]

# Differences that were looked into, by provider and model, with what decides them. One that is no difference any more is an error.
DECIDED = {
    ("anthropic", "claude-sonnet-4-0"): "the step is right for the time of the long-context beta, until 2026-04-30: LiteLLM states it for "
    "this model to this day at Bedrock (6, 22.5, 0.6 and 7.5 above 200,000); the catalogue has dropped it. No longer prompt is taken since.",
    ("openai", "gpt-4o-mini-search-preview"): "the model searches on every call, for 0.025 a request, which is billed as `request`; LiteLLM "
    "states 0.025 for every size of context. 10 per thousand is the fee of the search tool, which this model does not have.",
}


def settings(models):
    """Ways of being served that either file prices apart: one word at a time, at each step of the prompt."""
    clauses = [clause for model in models for clause in model.clauses()]
    words = {(name, word) for clause in clauses for name, named in clause.words.items() for word in named}
    prompts = sorted({0} | {clause.prompt for clause in clauses})
    minutes = {0} | {
        int(clock[:2]) * 60 + int(clock[3:]) for clause in clauses if clause.window for clock in clause.window.split("-")
    }
    return [
        book.Setting((word,) if word else (), prompt, minute % 1440)
        for word in [None, *sorted(word for word in words if word[1] != "standard")]
        for prompt in prompts
        for minute in sorted(minutes)
    ]


def day(at):
    if at in (book.EARLIEST, book.LATEST):
        return "-"
    return str(at.date()) if at.time() == book.EARLIEST.time() else at.isoformat()


def amount(unit, price):
    """The price as a file would state it."""
    if price is None:
        return "-"
    key = units.UNITS[unit][0] if unit in units.UNITS else "each"
    number = price * units.PER[key]
    return f"{float(number):.10g} {key}"


def describe(setting):
    parts = [f"{name} {word}" for name, word in setting.words]
    parts += [f"prompt above {setting.prompt - 1}"] if setting.prompt else []
    parts += [f"from {setting.minute // 60:02d}:{setting.minute % 60:02d}"] if setting.minute else []
    return ", ".join(parts) or "standard"


def differences(hand, generated):
    """(model, unit, setting, from, until, by hand, generated) of each pair of models."""
    for name, model in sorted(hand.models.items()):
        twin = generated.find(name)
        if twin is None:
            continue
        edges = sorted(model.edges() | twin.edges() | {book.EARLIEST, book.LATEST})
        rows = {}
        for start, end in zip(edges, edges[1:]):
            at = start + timedelta(seconds=1)
            for setting in settings([model, twin]):
                ours, theirs = hand.prices(model, setting, at), generated.prices(twin, setting, at)
                if ours is None or theirs is None:
                    continue
                for unit in sorted(set(ours) & set(theirs)):
                    # Hidden reasoning is output; its line would repeat that of output.
                    of_output = unit == "output_reasoning" and all(p[unit] == p.get("output_text") for p in (ours, theirs))
                    if ours[unit] != theirs[unit] and not of_output:
                        stretch = rows.setdefault((unit, setting, ours[unit], theirs[unit]), [])
                        if stretch and stretch[-1][1] == start:
                            stretch[-1] = (stretch[-1][0], end)
                        else:
                            stretch.append((start, end))
        seen = set()
        for (unit, setting, one, two), stretches in rows.items():
            for start, end in stretches:
                # A step or a minute that changes nothing repeats what is said already.
                said = (unit, setting.words, one, two, start, end)
                if said not in seen:
                    seen.add(said)
                    yield name, unit, setting, start, end, one, two


def gaps(hand, generated):
    """Units that the generated file prices and the one kept by hand does not, by model, at the newest time."""
    for name, model in sorted(hand.models.items()):
        twin = generated.find(name)
        if twin is None:
            continue
        at = book.LATEST - timedelta(seconds=1)
        ours, theirs = (file.prices(one, book.Setting(), at) or {} for file, one in ((hand, model), (generated, twin)))
        missing = sorted(set(theirs) - set(ours))
        if missing:
            yield name, missing


def report(by_hand, generated):
    lines = [
        "# Where the files kept by hand and the generated ones differ",
        "",
        "Written by `make prices`. The files kept by hand count; each line is a price to check at its source.",
    ]
    for path in sorted(by_hand.glob("*.yaml")):
        twin = generated / path.name
        if not twin.exists():
            continue
        hand, other = book.File(path, CONDITIONS), book.File(twin, CONDITIONS)
        if not hand.models and not hand.inherits:
            continue
        # A generated file of the provider's own is asked before what it inherits, also where that is kept by hand.
        for parent in hand.inherits:
            hand.models = {**book.File(by_hand / f"{parent}.yaml", CONDITIONS).models, **hand.models}
        rows = list(differences(hand, other))
        lines += ["", f"## {hand.provider}: {len(rows)} prices", ""]
        if rows:
            lines += ["| model | unit | served | from | until | by hand | generated |", "|---|---|---|---|---|---|---|"]
        for name, unit, setting, start, end, one, two in rows:
            cells = [name, unit, describe(setting), day(start), day(end), amount(unit, one), amount(unit, two)]
            lines.append("| " + " | ".join(cells) + " |")
        decided = {name: DECIDED[hand.provider, name] for name in {row[0] for row in rows} if (hand.provider, name) in DECIDED}
        if decided:
            lines += ["", "Decided for the file kept by hand:", ""]
            lines += [f"- {name}: {reason}" for name, reason in sorted(decided.items())]
        for provider, name in DECIDED:
            if provider == hand.provider and name not in decided:
                raise SystemExit(f"contradictions.py: {provider}/{name} is decided and differs no more; remove it from DECIDED")
        missing = list(gaps(hand, other))
        if missing:
            lines += ["", "Priced by the generated file only:", ""]
            lines += [f"- {name}: {', '.join(found)}" for name, found in missing]
        alone = [name for name in sorted(other.models) if hand.find(name) is None]
        if alone:
            lines += ["", f"Models of the generated file only ({len(alone)}): {', '.join(alone)}."]
    return "\n".join(lines) + "\n"


def main(by_hand, generated):
    text = report(Path(by_hand), Path(generated))
    (Path(generated) / "contradictions.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
