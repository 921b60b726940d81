"""From the catalogue's prices of a model to periods and clauses of ours.

For every stretch of time, word, step of the prompt and window of the day the price of each unit is asked of the catalogue; what comes
out is written with as few clauses as our rules of composition (docs/prices.md) allow.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from genai_prices import types

import catalogue
import units

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass
class Clause:
    """Conditions in the order they are written, and prices by unit."""

    words: tuple = ()
    above: int = 0
    window: str = ""
    prices: dict = field(default_factory=dict)
    start: object = None
    end: object = None

    def content(self):
        return self.words, self.above, self.window, tuple(self.prices.items())


@dataclass
class Period:
    start: object
    prices: dict
    clauses: list


def conditional(model):
    if isinstance(model.prices, types.ModelPrice):
        return [types.ConditionalPrice(prices=model.prices)]
    return model.prices


def contexts(model):
    """The words the catalogue prices apart: (their condition, their word, our condition), each once."""
    found = {}
    for variant in model.price_variants or ():
        if len(variant.when) != 1:
            raise SystemExit(f"{model.id}: a variant with several conditions: {variant.when}")
        [(condition, word)] = variant.when.items()
        found[condition, word] = catalogue.CONDITIONS[condition]
    return found


def starts(model):
    constraints = [part.constraint for part in [*conditional(model), *(model.price_variants or ())]]
    days = {c.start_date for c in constraints if isinstance(c, types.StartDateConstraint)}
    return [None, *sorted(days)]


def moment(start):
    return EARLIEST if start is None else datetime.combine(start, time(), UTC)


def windows(model):
    """Minutes of the day at which a price changes."""
    found = {0}
    for part in conditional(model):
        if isinstance(part.constraint, types.TimeOfDateConstraint):
            for edge in (part.constraint.start_time, part.constraint.end_time):
                if edge.second or edge.utcoffset():
                    raise SystemExit(f"{model.id}: a window that is not of whole minutes of UTC")
                found.add(edge.hour * 60 + edge.minute)
    return sorted(found)


def thresholds(model):
    found = set()
    for part in [*conditional(model), *(model.price_variants or ())]:
        for price in vars(part.prices).values():
            if isinstance(price, types.TieredPrices):
                found.update(tier.start for tier in price.tiers)
    return sorted(found)


def tier(price, prompt):
    """The price for a prompt of more than `prompt` tokens, up to the next step."""
    if not isinstance(price, types.TieredPrices):
        return price
    reached = [step.price for step in price.tiers if 0 < prompt and step.start <= prompt]
    return reached[-1] if reached else price.base


def stated(model_price, prompt, cache_write):
    """(effective price, whether stated) by unit, without what `billed_as` adds."""
    own = {key: tier(price, prompt) for key, price in vars(model_price).items() if price is not None}
    unknown = own.keys() - units.KNOWN_KEYS
    if unknown:
        raise SystemExit(f"no unit for {sorted(unknown)}; add it to units.py")
    found = {}
    for unit, (_, keys) in units.UNITS.items():
        if unit.startswith("cache_write_") and unit != "cache_write_1h":
            if unit != cache_write and unit != "cache_write_5m":
                continue
        if unit == "output_audio_ms" and "input_audio_hours" in own:
            continue  # A transcription makes no audio.
        key = next((key for key in keys if key in own), None)
        if key is not None:
            is_own = key == keys[0] or (unit == cache_write and key == units.WRITE) or key in ("audio_hours",)
            found[unit] = (own[key], is_own)
    return found


def text(number: Decimal):
    return format(number.normalize(), "f") if number else "0"


class Table:
    """Prices of one model by moment, word, step and minute, reduced to the units that have to be written."""

    def __init__(self, provider, model):
        self.model, self.named = model, catalogue.PROVIDERS[provider.id]
        self.free = model.id.endswith(":free") or (provider.id, model.id) in catalogue.FREE
        self.cells = {}
        for start in starts(model):
            for context in [None, *contexts(model)]:
                for minute in windows(model):
                    for above in [0, *thresholds(model)]:
                        self.cells[start, context, minute, above] = self.ask(start, context, minute, above)
        self.own = {unit for cell in self.cells.values() for unit, (_, own) in cell.items() if own}
        written = set(self.own)
        if self.named.falls_back:
            written |= {unit for unit, target in self.named.billed_as.items() if not self.follows(unit, target)}
        self.units = [unit for unit in units.UNITS if unit in written]

    def ask(self, start, context, minute, above):
        when = moment(start) + timedelta(minutes=minute)
        prices = self.model.get_prices(when, dict([context]) if context else None)
        if not any(price is not None for price in vars(prices).values()):
            if not self.free:
                raise SystemExit(f"{self.model.id} has no price; add it to FREE or LEFT_OUT in catalogue.py")
            prices = types.ModelPrice(input_mtok=Decimal(0), output_mtok=Decimal(0))
        return stated(prices, above, self.named.cache_write)

    def follows(self, unit, target):
        """Whether `billed_as` says the same everywhere. It knows a target with a price of its own only."""
        price = lambda cell, unit: cell.get(unit, (None,))[0]
        return all(
            price(cell, unit) == (price(cell, target) if target in self.own else None) for cell in self.cells.values()
        )

    def prices(self, start, context=None, minute=0, above=0):
        cell = self.cells[start, context, minute, above]
        return {unit: text(cell[unit][0]) for unit in self.units if unit in cell}


def changed(prices, base):
    return {unit: price for unit, price in prices.items() if base.get(unit) != price} | {
        unit: "none" for unit in base if unit not in prices
    }


def steps(table, start):
    """The base and its clauses by step of the prompt."""
    below = base = table.prices(start)
    clauses = []
    for above in thresholds(table.model):
        prices = table.prices(start, above=above)
        if changed(prices, below):
            clauses.append(Clause(above=above, prices=changed(prices, below)))
        below = prices
    return base, clauses


def word_clauses(table, start, context, condition, standard):
    """The clauses of one word beside those of the steps."""
    base, (_, word) = standard[0], context
    prices = table.prices(start, context)
    first = changed(prices, base)
    variants = [v for v in table.model.price_variants if v.when == dict([context])]
    active = [v for v in variants if v.constraint is None or v.constraint.active(moment(start))]
    if not active:
        return []
    if not first:
        if word == "default" or table.named.standard.get(condition) == "any":
            return []
        unit = next(iter(prices))
        first = {unit: prices[unit]}
    clauses = [Clause(((condition, word),), prices=first)]
    for above in thresholds(table.model):
        wanted, listed = table.prices(start, context, above=above), {}
        for unit, price in wanted.items():
            if resolve(unit, above, standard, clauses) != price:
                listed[unit] = price
        if listed:
            clauses.append(Clause(((condition, word),), above, prices=listed))
    return clauses


def resolve(unit, above, standard, clauses):
    """What our rules make of the clauses so far; None where they are ambiguous."""
    base, stepped = standard
    steps = [c for c in stepped if c.above <= above and unit in c.prices]
    words = [c for c in clauses if c.above <= above and unit in c.prices]
    if not words:
        return steps[-1].prices[unit] if steps else base.get(unit)
    if steps and steps[-1].above > words[-1].above:
        return None
    return words[-1].prices[unit]


def clock(minute):
    return f"{minute // 60:02d}:{minute % 60:02d}"


def window_clauses(table, start):
    """(base, clauses) of a model with windows of the day: the price that holds longest is the base."""
    edges = windows(table.model)
    lengths = Counter()
    for edge, following in zip(edges, [*edges[1:], 1440]):
        lengths[tuple(table.prices(start, minute=edge).items())] += following - edge
    unlimited = [p.prices for p in conditional(table.model) if not isinstance(p.constraint, types.TimeOfDateConstraint)]
    outside = [
        edge for edge in edges
        if any(table.model.get_prices(moment(start) + timedelta(minutes=edge)) is prices for prices in unlimited)
    ]
    base = table.prices(start, minute=outside[0]) if outside else dict(lengths.most_common(1)[0][0])
    runs = []
    for edge, following in zip(edges, [*edges[1:], 1440]):
        prices = changed(table.prices(start, minute=edge), base)
        if runs and runs[-1][1] == edge and runs[-1][2] == prices:
            runs[-1] = (runs[-1][0], following, prices)
        elif prices:
            runs.append((edge, following, prices))
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][1] == 1440 and runs[0][2] == runs[-1][2]:
        runs = [(runs[-1][0], runs[0][1], runs[0][2]), *runs[1:-1]]
    return base, [Clause(window=f"{clock(a)}-{clock(b % 1440)}", prices=prices) for a, b, prices in runs]


def periods(provider, model):
    """The history of a model in our form."""
    table = Table(provider, model)
    timed = len(windows(model)) > 1
    if timed and (contexts(model) or thresholds(model)):
        raise SystemExit(f"{provider.id} {model.id}: windows of the day beside words or steps")
    found = []
    for start in starts(model):
        base, standard = window_clauses(table, start) if timed else steps(table, start)
        words = []
        for context, condition in contexts(model).items():
            words += word_clauses(table, start, context, condition, (base, standard))
        stretch = (start, base, standard, together(words))
        if found and found[-1][0][1:3] == stretch[1:3]:
            found[-1].append(stretch)
        else:
            found.append([stretch])
    return [period(stretches) for stretches in found]


def together(clauses):
    """Words with equal clauses as one list of words."""
    by_word = {}
    for clause in clauses:
        by_word.setdefault(clause.words, []).append(clause)
    grouped = {}
    for words, own in by_word.items():
        effect = (words[0][0], tuple((c.above, tuple(c.prices.items())) for c in own))
        grouped.setdefault(effect, []).append(words[0][1])
    return [
        Clause(((condition, tuple(words)),), above, prices=dict(prices))
        for (condition, effects), words in grouped.items()
        for above, prices in effects
    ]


def period(stretches):
    """One period of what has one base, the changes of its words as clauses with a time of their own."""
    start, base, standard, _ = stretches[0]
    clauses, open_clauses = list(standard), {}
    for place, (begin, _, _, words) in enumerate(stretches):
        present = {clause.content(): clause for clause in words}
        for content in [content for content in open_clauses if content not in present]:
            open_clauses.pop(content).end = begin
        for content, clause in present.items():
            if content not in open_clauses:
                clause.start = begin if place else None
                clauses.append(clause)
                open_clauses[content] = clause
    return Period(start, base, clauses)
