"""Our price files as YAML: sorted, one line a model where that is possible, every number a text."""

import re

import units

LINE_MAX = 140
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
# Words that YAML reads as something else.
WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


def word(text):
    return text if PLAIN.fullmatch(text) and text.lower() not in WORDS else '"%s"' % text


def flow(mapping):
    return "{ %s }" % ", ".join(f"{word(key)}: {value}" for key, value in mapping.items())


def texts(items):
    return "[%s]" % ", ".join(map(word, items))


def price_keys(table):
    """`per_million: {...}` and so on, as a mapping of texts."""
    found = {}
    for unit, price in table.items():
        value = price if price == "none" else f'"{price}"'
        found.setdefault(units.UNITS[unit][0], {})[unit] = value
    return {key: flow(found[key]) for key in units.PER if key in found}


def clause(one):
    parts = {}
    for condition, words in one.words:
        parts[condition] = word(words[0]) if len(words) == 1 else texts(words)
    if one.above:
        parts["prompt_above"] = str(one.above)
    if one.window:
        parts["time"] = f'"{one.window}"'
    for key, day in (("from", one.start), ("until", one.end)):
        if day:
            parts[key] = f'"{day}"'
    return flow({**parts, **price_keys(one.prices)})


def period(one, minimum):
    """The lines of a period, not indented, as (key, text or list of texts)."""
    fields = {"from": f'"{one.start}"'} if one.start else {}
    fields |= price_keys(one.prices)
    if minimum:
        fields["minimum"] = flow(minimum)
    if one.clauses:
        fields["when"] = [clause(part) for part in one.clauses]
    return fields


def block(fields, indent):
    lines = []
    for key, value in fields.items():
        if isinstance(value, list):
            lines += [f"{indent}{key}:", *(f"{indent}  - {item}" for item in value)]
        else:
            lines.append(f"{indent}{key}: {value}")
    return lines


def model(name, answers, history, minimum):
    head = {"names": texts(answers)} if answers else {}
    if len(history) == 1:
        fields = head | period(history[0], minimum)
        line = f"  {word(name)}: {flow(fields)}" if "when" not in fields else ""
        if line and len(line) <= LINE_MAX:
            return [line]
        return [f"  {word(name)}:", *block(fields, "    ")]
    lines = [f"  {word(name)}:", *block(head, "    "), "    prices:"]
    for one in history:
        first, *rest = block(period(one, minimum), "        ")
        lines += ["      - " + first.strip(), *rest]
    return lines


def head(provenance, named, urls):
    lines = [f"# {line}" for line in provenance]
    lines += [f"# {url}" for url in urls]
    lines += [f"provider: {word(named.name)}"]
    return lines


def settings(named, inherits):
    lines = [f"inherits: {texts(inherits)}"] if inherits else []
    if named.hosts:
        lines.append(f"hosts: {texts(named.hosts)}")
    if named.names_within:
        lines.append("names_within: [%s]" % ", ".join(f'"{within}"' for within in named.names_within))
    if named.standard:
        lines.append(f"standard: {flow(named.standard)}")
    if named.same_as:
        lines.append(f"same_as: {flow(named.same_as)}")
    if named.billed_as:
        lines.append(f"billed_as: {flow(named.billed_as)}")
    return lines
