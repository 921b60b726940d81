"""From the catalogue's match clauses to our names, and our order of looking a name up.

There, the first model of the list that matches wins, in lower case. Here: exact names, then dated ones, then the pattern with the
most letters, and case counts.
"""

import re
from datetime import date

from genai_prices import types

import catalogue

DATE = "-{date}"


def clauses(match):
    """The clauses that are alternatives, flat."""
    if isinstance(match, types.ClauseOr):
        for clause in match.or_:
            yield from clauses(clause)
    else:
        yield match


def names(provider, model):
    """What the model answers to, in our words; the key of the model is not among them."""
    found = []
    for clause in clauses(model.match):
        found += clause_names(provider.id, clause)
    found = [spelled for name in found for spelled in (name, lower(name))]
    places = tuple(place + "." for place in catalogue.BEDROCK_PLACES)
    if provider.id == "aws":
        inner = lambda name: next((name[len(place) :] for place in places if name.startswith(place)), name)
        found = [name for name in found if inner(name) == name or inner(name) not in found]
    return list(dict.fromkeys(name for name in found if name != key(provider, model)))


def key(provider, model):
    """The model's one name in our book."""
    return catalogue.RENAMED.get((provider.id, model.id), model.id)


def lower(name):
    return DATE.join(part.lower() for part in name.split(DATE))


def clause_names(provider, clause):
    by_hand = catalogue.BY_HAND.get((provider, describe(clause)))
    if by_hand is not None:
        return by_hand
    if isinstance(clause, types.ClauseEquals):
        return [clause.equals] + other_date(clause.equals)
    if isinstance(clause, types.ClauseStartsWith):
        text = clause.starts_with
        if (provider, text) in catalogue.FINE_TUNED:
            return [text + end for end in catalogue.FINE_TUNED[provider, text]]
        return [text + "*"]
    if isinstance(clause, types.ClauseEndsWith):
        return around(provider, clause.ends_with, "")
    if isinstance(clause, types.ClauseContains):
        return around(provider, clause.contains, "*")
    if isinstance(clause, types.ClauseRegex):
        dated = re.fullmatch(r"\^((?:[\w./ -]|\\\.)+)(?:-|\[-@\])\\d\{(?:8|4)\}(?:-\\d\{2\}-\\d\{2\})?\$", clause.regex)
        if dated:
            return [dated[1].replace("\\.", ".") + DATE]
    raise SystemExit(f"{provider}: no name for the clause {describe(clause)}; add it to BY_HAND in catalogue.py")


def describe(clause):
    if isinstance(clause, types.ClauseAnd):
        return " & ".join(map(describe, clause.and_))
    return next(iter(vars(clause).values()))


def around(provider, text, end):
    """A text anywhere in a name. What clouds put around a name is taken off here, so the rest begins with the text."""
    text = text.removeprefix("/")
    if provider == "aws":
        vendors = [""]
        if not re.match(r"[a-z-]+\.", text) or text.startswith("claude"):
            vendors.append("anthropic." if text.startswith("claude") else "amazon.")
        names = [vendor + text + end for vendor in vendors]
        placed = text.startswith(tuple(place + "." for place in ["global", *catalogue.BEDROCK_PLACES]))
        return names if placed else names + ["global." + name for name in names]
    if provider == "google":
        return [text + end]
    if provider == "minimax":
        return [text + end, "MiniMax-" + text + end]
    return ["*" + text + end]


def other_date(name):
    """A name with a date in it answers to the date without dashes too."""
    compact = re.sub(r"-(20\d\d)-(\d\d)-(\d\d)(?=-|:|$)", r"-\1\2\3", name)
    return [compact] if compact != name else []


def is_plain(name):
    return name and not re.search(r"[\s*?{}\[\]()|^$\\]", name) and (fine_tuned(name) or name) == name


def fine_tuned(name):
    if name.startswith("ft:"):
        return "ft:" + name[3:].split(":")[0]
    at = name.find(".ft-")
    return "ft:" + name[:at] if at >= 0 else None


def is_date(text):
    match = re.fullmatch(r"[-@](20\d\d)(\d\d)(\d\d)|-(20\d\d)-(\d\d)-(\d\d)", text)
    try:
        return bool(match) and bool(date(*(int(part) for part in match.groups() if part)))
    except ValueError:
        return False


def without_date(name):
    for length in (9, 11):
        if len(name) > length and is_date(name[-length:]):
            return name[:-length]
    return None


def letters(pattern):
    return len(pattern.replace(DATE, "").replace("*", ""))


def regex(pattern):
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", pattern)), re.S)


def can_meet(one, other):
    """Whether some name matches both patterns, a date being any text."""
    one, other = one.replace(DATE, "*"), other.replace(DATE, "*")
    reached, seen = [(0, 0)], set()
    while reached:
        place = reached.pop()
        if place in seen:
            continue
        seen.add(place)
        left, right = one[place[0] : place[0] + 1], other[place[1] : place[1] + 1]
        if not left and not right:
            return True
        if left == "*":
            reached += [(place[0] + 1, place[1])] + ([(place[0], place[1] + 1)] if right else [])
        if right == "*":
            reached += [(place[0], place[1] + 1)] + ([(place[0] + 1, place[1])] if left else [])
        if left == right and left != "*":
            reached.append((place[0] + 1, place[1] + 1))
    return False


class Shelf:
    """The names of one file of ours, in the order they are asked."""

    def __init__(self, models):
        self.exact, self.dated, patterns = {}, {}, []
        for name, answers in models.items():
            for answer in [name, *answers]:
                if answer.endswith(DATE) and is_plain(answer.removesuffix(DATE)):
                    self.add(self.dated, answer.removesuffix(DATE), name)
                elif is_plain(answer):
                    self.add(self.exact, answer, name)
                else:
                    patterns.append((answer, name))
        self.patterns = [(regex(text), name) for text, name in sorted(patterns, key=lambda pair: -letters(pair[0]))]
        for place, (text, name) in enumerate(patterns):
            for other, rival in patterns[:place]:
                if name != rival and letters(text) == letters(other) and can_meet(text, other):
                    raise SystemExit(f"{text} of {name} and {other} of {rival} can match one name")

    @staticmethod
    def add(index, answer, name):
        if index.setdefault(answer, name) != name:
            raise SystemExit(f"`{answer}` is a name of {name} and of {index[answer]}")

    def find(self, name):
        tuned = fine_tuned(name)
        if tuned:
            return self.exact.get(tuned)
        if name in self.exact:
            return self.exact[name]
        base = without_date(name)
        if base in self.dated:
            return self.dated[base]
        return next((model for pattern, model in self.patterns if pattern.fullmatch(name)), None)


def inner(name, names_within):
    """The name without one thing around it; `*` is the shortest text that fits, `{name}` the longest."""
    for within in names_within:
        before, after = within.split("{name}")
        pattern = ".*?".join(map(re.escape, before.split("*"))) + "(.+)" + ".*?".join(map(re.escape, after.split("*")))
        match = re.fullmatch(pattern, name, re.S)
        if match:
            return match[1]
    return None


def look_up(shelves, names_within, name):
    """(shelf's place, model) or None; all shelves before anything is taken off."""
    while name:
        for place, shelf in enumerate(shelves):
            model = shelf.find(name)
            if model is not None:
                return place, model
        name = inner(name, names_within)
    return None
