"""Test data: 5,000 random calls with the amount that the catalogue's own calculator bills, and what every name stands for.

usage: points.py FOLDER
Writes points.txt and names.txt into FOLDER. pricing/tests/points.rs reads both and holds the price book against them.
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path

from genai_prices import data, types

import catalogue
import convert
import names
import prices
import same_names
import units

SEED = 20261127
POINTS = 5000
PICOS = 10**12
NEWEST = datetime(2026, 11, 27, tzinfo=UTC)
REASONS = {"service_tier": "unknown_service_tier", "speed": "unknown_speed"}


def models():
    """(provider here, their provider, model, table); what has conditions more often."""
    found = []
    for provider in data.providers:
        for model in convert.kept(provider):
            table = prices.Table(provider, model)
            entry = (convert.ours(provider).name, provider, model, table)
            special = prices.contexts(model) or prices.thresholds(model) or len(prices.windows(model)) > 1
            found += [entry] * (12 if special else 1)
    for heir, (parent, _) in catalogue.HEIRS.items():
        found += [(heir, *entry[1:]) for entry in found if entry[0] == parent]
    azure = same_names.PROVIDERS["azure"]
    for entry in [entry for entry in found if entry[0] == "openai"]:
        if same_names.theirs(azure, entry[2].id) == ("openai", names.key(entry[1], entry[2])):
            found.append(("azure.ai.openai", *entry[1:]))
    return found


def when(chance, model):
    """A moment, often next to one at which a price changes."""
    start = chance.choice(prices.starts(model))
    moment = prices.moment(start) if start else datetime(2024, 1, 1, tzinfo=UTC)
    kind = chance.random()
    if kind < 0.3:
        moment += timedelta(seconds=chance.choice([-1, 0, 1]))
    else:
        moment += timedelta(seconds=chance.randrange(max(0, int((NEWEST - moment).total_seconds())) + 86400))
    minutes = prices.windows(model)
    if len(minutes) > 1 and chance.random() < 0.5:
        moment = moment.replace(hour=0, minute=0, second=0) + timedelta(minutes=chance.choice(minutes))
        moment += timedelta(seconds=chance.choice([-1, 0, 1]))
    return moment


def is_active(model, context, moment):
    variants = [variant for variant in model.price_variants if variant.when == dict([context])]
    return any(variant.constraint is None or variant.constraint.active(moment) for variant in variants)


def quantity(chance):
    return int(10 ** chance.uniform(0, 6.2))


def used(chance, table, moment):
    """Quantities by unit, of what has a price then."""
    start = [start for start in prices.starts(table.model) if prices.moment(start) <= moment][-1]
    cell = table.cells[start, None, 0, 0]
    billed_as = table.named.billed_as.items()
    priced = [unit for unit in table.units if unit != "request"]
    priced += [unit for unit, target in billed_as if target in table.units and unit not in priced]
    if "output_text" in table.units and "output_reasoning" not in priced:
        priced.append("output_reasoning")
    usual = [unit for unit in priced if unit in ("input_uncached", "output_text", "cache_read")]
    chosen = dict.fromkeys(unit for unit in usual if chance.random() < 0.8)
    chosen |= dict.fromkeys(chance.sample(priced, min(len(priced), chance.choice([0, 0, 1, 1, 2, 3]))))
    chosen = chosen or dict.fromkeys(priced[:1])
    counts = {unit: quantity(chance) for unit in chosen if unit in cell}
    steps = prices.thresholds(table.model)
    inputs = [unit for unit in counts if unit in units.INPUT_TOKENS]
    if steps and inputs and chance.random() < 0.6:
        # The whole prompt exactly at a step, or just beside it.
        whole = chance.choice(steps) + chance.choice([-1, 0, 1, 2])
        share = whole // len(inputs)
        counts |= dict.fromkeys(inputs, share) | {inputs[0]: whole - share * (len(inputs) - 1)}
    return {unit: count for unit, count in counts.items() if count}


def inclusive(counts):
    """The same in the catalogue's counts, each of which holds those below it; a count of 0 is stated."""
    found = {name: 0 for names_of_unit in units.COUNTS.values() for name in names_of_unit}
    for unit, count in counts.items():
        for name in units.COUNTS[unit]:
            found[name] += (Decimal(count) / 1000 if name.endswith("_seconds") else count)
    return types.Usage(**found)


def amount(provider, model, counts, moment, context):
    """Pico-dollars, by the catalogue's calculator."""
    price_context = dict([context]) if context else None
    with localcontext(prec=80):
        priced = model.calc_price(
            inclusive(counts), provider, genai_request_timestamp=moment, price_context=price_context
        )
        picos = priced.total_price * PICOS
        exact = picos == picos.to_integral_value()
        return format(picos.quantize(Decimal(1) if exact else Decimal("0.000001")), "f")


def point(chance, entry):
    """provider, model, second, condition=word or -, unit:count..., and pico-dollars or why there is no price here."""
    name, provider, model, table = entry
    contexts = prices.contexts(model) if convert.ours(provider).name == name else {}
    moment = when(chance, model)
    context = chance.choice([None, *contexts]) if contexts else None
    if context and not is_active(model, context, moment) and chance.random() < 0.8:
        moment = prices.moment(prices.starts(model)[-1]) + timedelta(seconds=chance.randrange(40 * 86400))
    counts = used(chance, table, moment)
    result = None
    condition, word = ("-", "") if context is None else (contexts[context], context[1])
    if context is None and chance.random() < 0.02:
        condition, word, result = "service_tier", "balanced", "unknown_service_tier"
    elif context and not is_active(model, context, moment):
        result = REASONS.get(condition)
    elif chance.random() < 0.02 and "output_text" not in table.units and "output_reasoning" not in counts:
        counts["output_text"] = quantity(chance)
        result = "no_price_for_class(output_text)"
    result = result or amount(provider, model, counts, moment, context)
    key = names.key(provider, model)
    spelled = " ".join(f"{list(units.UNITS).index(unit)}:{count}" for unit, count in sorted(counts.items()))
    conditions = f"{condition}={word}" if word else "-"
    return name, key, f"{int(moment.timestamp())}\t{conditions}\t{spelled}\t{result}"


def write_points(folder):
    chance = random.Random(SEED)
    everything = models()
    points = sorted({point(chance, chance.choice(everything)) for _ in range(POINTS * 11 // 10)})
    points = sorted(chance.sample(points, POINTS))
    lines = [f"units {' '.join(units.UNITS)}"]
    last = None
    for name, key, rest in points:
        if (name, key) != last:
            lines.append(f"{name}\t{key}")
            last = name, key
        lines.append(f"\t{rest}")
    (folder / "points.txt").write_text("\n".join(lines) + "\n")
    return points


def write_names(folder):
    """What differs from the catalogue, with the reason; what finds a model; some of what finds none or only adds a date."""
    chance = random.Random(SEED)
    rows, counts = {}, {}
    for provider, name, here, why in same_names.compare():
        counts[why] = counts.get(why, 0) + 1
        dated = name.endswith(tuple(same_names.DATES))
        if why or (here and not dated) or chance.random() < 0.05:
            rows.setdefault((convert.ours(provider).name, here[1] if here else "-", why or ""), []).append(name)
    lines = ["\t".join([*key, *found]) for key, found in sorted(rows.items())]
    (folder / "names.txt").write_text("\n".join(lines) + "\n")
    return counts


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    counts = write_names(folder)
    print(f"{sum(counts.values())} names asked here and there")
    for why, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        print(f"  {count:6} {why or 'the same'}")
    points = write_points(folder)
    unpriced = sum(1 for _, _, rest in points if rest.rsplit("\t", 1)[1][0].isalpha())
    print(f"{len(points)} calls, {unpriced} of them without a price here and with one there")


if __name__ == "__main__":
    main(*sys.argv[1:])
