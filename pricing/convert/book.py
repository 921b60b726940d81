"""Reads a price file of ours and says what a unit costs in a setting, by the rules of docs/prices.md. For comparisons only."""

from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

import yaml

import names

PER = {"per_million": 1_000_000, "per_thousand": 1_000, "each": 1, "per_second": 1, "per_minute": 60, "per_hour": 3600}
OUTPUT_PREFIX = "output_"
STANDARD = {"service_tier": ["default"], "region": ["global", "not_available"]}
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)


def moment(value):
    value = datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def side(unit):
    if unit.endswith(("_ms", "_hour", "_second")):
        return "fees"
    if unit.startswith(OUTPUT_PREFIX):
        return "output"
    return "input" if unit.startswith(("input_", "cache_", "tool_")) else "fees"


def prices(fields):
    """Dollars for one of each unit; None for `none`."""
    found = {}
    for key, per in PER.items():
        for unit, price in fields.get(key, {}).items():
            count = per * 1000 if unit.endswith("_ms") and per in (60, 3600) else per
            if isinstance(price, list):
                raise SystemExit(f"{unit} has parts; a comparison of those is not written yet")
            found[unit] = None if price == "none" else Fraction(price) / count
    return found


@dataclass(frozen=True)
class Setting:
    """One way a call is served."""

    words: tuple = ()
    prompt: int = 0
    minute: int = 0

    def word(self, condition):
        return dict(self.words).get(condition, "standard")


class Clause:
    """Conditions and an effect: prices, or multipliers by side."""

    def __init__(self, fields, conditions):
        listed = lambda words: words if isinstance(words, list) else [words]
        self.words = {name: set(listed(fields[name])) for name in conditions if name in fields}
        self.prompt = int(fields.get("prompt_above", int(fields.get("prompt_from", 0)) - 1)) + 1
        self.window = fields.get("time")
        self.days = "weekdays" in fields
        self.start = moment(fields["from"]) if "from" in fields else EARLIEST
        self.end = moment(fields["until"]) if "until" in fields else LATEST
        self.prices = prices(fields)
        self.times = {}
        for key, sides in {
            "all": ["input", "output", "fees"],
            "tokens": ["input", "output"],
            "input": ["input"],
            "output": ["output"],
            "fees": ["fees"],
        }.items():
            if key in fields:
                self.times |= dict.fromkeys(sides, Fraction(fields[key]))

    def holds(self, setting, at):
        inside = True
        if self.window:
            start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in self.window.split("-"))
            inside = start <= setting.minute < end if start < end else setting.minute >= start or setting.minute < end
        words = all(setting.word(condition) in words for condition, words in self.words.items())
        return words and inside and setting.prompt >= self.prompt and self.start <= at < self.end

    def implies(self, other):
        words = all(name in self.words and self.words[name] <= words for name, words in other.words.items())
        return words and self.prompt >= other.prompt and (not other.window or self.window == other.window)


class Model:
    def __init__(self, name, fields, conditions):
        self.name, self.answers = name, fields.get("names", [])
        self.periods = []
        for one in fields.get("prices", [fields]):
            start = moment(one["from"]) if "from" in one else EARLIEST
            end = moment(one["until"]) if "until" in one else LATEST
            self.periods.append((start, end, prices(one), [Clause(part, conditions) for part in one.get("when", [])]))
        self.periods.sort(key=lambda period: period[0])
        for place, (start, end, *rest) in enumerate(self.periods[:-1]):
            self.periods[place] = (start, min(end, self.periods[place + 1][0]), *rest)

    def edges(self):
        found = set()
        for start, end, _, clauses in self.periods:
            found |= {start, end} | {edge for clause in clauses for edge in (clause.start, clause.end)}
        return found

    def clauses(self):
        return [clause for _, _, _, clauses in self.periods for clause in clauses]


class File:
    """The price file of one provider."""

    def __init__(self, path, conditions):
        fields = yaml.safe_load(path.read_text())
        self.provider = fields["provider"]
        listed = fields.get("inherits", [])
        self.inherits = listed if isinstance(listed, list) else [listed]
        self.standard = {**STANDARD, **fields.get("standard", {})}
        self.same_as = fields.get("same_as", {})
        self.billed_as = {"output_reasoning": "output_text", **fields.get("billed_as", {})}
        self.names_within = fields.get("names_within", [])
        self.for_all = [Clause(part, conditions) for part in fields.get("when", [])]
        self.models = {name: Model(name, own, conditions) for name, own in fields.get("models", {}).items()}

    def find(self, name):
        shelf = names.Shelf({name: model.answers for name, model in self.models.items()})
        found = names.look_up([shelf], self.names_within, name)
        return self.models[found[1]] if found else None

    def prices(self, model, setting, at):
        """Dollars for one of each unit; None where the model has no price then, or none for the words."""
        period = next((period for period in model.periods if period[0] <= at < period[1]), None)
        if period is None:
            return None
        words = []
        valid = [clause for clause in period[3] + self.for_all if clause.start <= at < clause.end]
        for condition, word in setting.words:
            named = {name for clause in valid for name in clause.words.get(condition, ())}
            if word not in named:
                word = self.same_as.get(condition, {}).get(word, word)
            if word not in named and word != "standard":
                standard = self.standard.get(condition, "any")
                if standard != "any" and word not in standard:
                    return None
                word = "standard"
            words.append((condition, word))
        setting = Setting(tuple(words), setting.prompt, setting.minute)
        own = [clause for clause in period[3] if clause.holds(setting, at)]
        everyone = [clause for clause in self.for_all if clause.holds(setting, at)]
        units = set(period[2]).union(*(clause.prices for clause in own)) | set(self.billed_as)
        found = {unit: self.unit(unit, period[2], own) for unit in units}
        return {
            unit: price * factor(unit, everyone, None) for unit, price in found.items() if price is not None
        }

    def unit(self, unit, base, own):
        price = stated(unit, base, own)
        if price == "nothing" and unit in self.billed_as:
            target, times = self.billed_as[unit], 1
            if isinstance(target, dict):
                target, times = target["unit"], Fraction(target.get("times", 1))
            price = stated(target, base, own)
            price = price * times if isinstance(price, Fraction) else price
        return price if isinstance(price, Fraction) else None


def stated(unit, base, own):
    tables = [clause for clause in own if unit in clause.prices]
    first = next((one for one in tables if all(one.implies(other) for other in tables)), None)
    if tables and first is None:
        raise SystemExit(f"{unit} has two prices at once")
    price = first.prices[unit] if first else base.get(unit, "nothing")
    return price * factor(unit, own, first) if isinstance(price, Fraction) else price


def factor(unit, clauses, table):
    """Multipliers: not those a table stands in place of, nor those a more specific one replaces."""
    limited = lambda clause: clause.words or clause.prompt or clause.window or clause.days
    counting = [clause for clause in clauses if side(unit) in clause.times]
    counting = [one for one in counting if not (table and limited(one) and table.implies(one))]
    replaced = lambda one: limited(one) and any(
        other.implies(one) and not one.implies(other) for other in counting
    )
    product = Fraction(1)
    for clause in counting:
        if not replaced(clause):
            product *= clause.times[side(unit)]
    return product
