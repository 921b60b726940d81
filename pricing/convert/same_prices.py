"""Every price of every model, read back from our files, against the catalogue: all times, words, steps and windows of the day.

usage: same_prices.py FOLDER
Stops at the first difference. tests/points.rs does the same with the price book itself, for a sample of calls.
"""

import sys
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

from genai_prices import data

import book
import convert
import names
import prices
import units

CONDITIONS = ["service_tier", "speed", "search_context", "route"]


def check(provider, model, file):
    """How many prices were compared."""
    table = prices.Table(provider, model)
    own, count = file.models[names.key(provider, model)], 0
    for (start, context, minute, above), cell in table.cells.items():
        at = prices.moment(start) + timedelta(minutes=minute)
        words = ((prices.contexts(model)[context], context[1]),) if context else ()
        found = file.prices(own, book.Setting(words, above + 1 if above else 0, minute), at)
        if found is None:
            # A word without a price of its own at that time: the catalogue takes the standard one, we take none.
            active = [v for v in model.price_variants if v.when == dict([context])]
            if any(v.constraint is None or v.constraint.active(at) for v in active):
                raise SystemExit(f"{provider.id} {model.id}: no price for {context} from {start} on")
            continue
        for unit in [*table.units, *table.named.billed_as]:
            price = Fraction(cell[unit][0]) / units.PER[units.UNITS[unit][0]] if unit in cell else None
            target = table.named.billed_as.get(unit)
            unsaid = unit not in table.units and target not in table.units
            if found.get(unit) != price and not unsaid:
                raise SystemExit(f"{provider.id} {model.id}: {unit} is {found.get(unit)} and there {price}")
            count += 1
    return count


def main(folder):
    count = 0
    for provider in data.providers:
        file = book.File(Path(folder) / f"{convert.ours(provider).name}.yaml", CONDITIONS)
        count += sum(check(provider, model, file) for model in convert.kept(provider))
    print(f"{count} prices read back as the catalogue has them")


if __name__ == "__main__":
    main(*sys.argv[1:])
