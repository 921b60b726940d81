"""Whether a name finds the same model here as there: every id, every text of every clause, and forms of them.

What differs on purpose has a reason here; what differs without one stops the conversion.
"""

from genai_prices import data, types

import catalogue
import convert
import names

DATES = ["-20260115", "-2026-01-15", "@20260115"]
PROVIDERS = {provider.id: provider for provider in data.providers}

KEY = "the key of a model is one of its names here"
WITHIN = "what clouds put around a name is taken off here"
EITHER_DATE = "{date} is a snapshot's date in any of its writings here, one of them there"
FINE_TUNED = "a fine-tuned name is looked up under its base here"
SPEECH = "the forms of a model that are not its speech form are listed here, and are all others there"
LEFT_OUT = "the model is left out here, see left_out.md"
ANYWHERE = "a text anywhere in a name there is its beginning here, once what clouds put around a name is off"

PROFILE = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"


def texts(match):
    for attribute in ("or_", "and_"):
        for clause in getattr(match, attribute, ()):
            yield from texts(clause)
    if not hasattr(match, "or_") and not hasattr(match, "and_") and not isinstance(match, types.ClauseRegex):
        yield type(match), next(iter(vars(match).values()))


def forms(provider, model):
    """Names that this model, or one close to it, should answer to or should not."""
    plain = [model.id, names.key(provider, model)]
    for kind, text in texts(model.match):
        plain.append(PROFILE + text[1:] if text.startswith("/") else text)
        plain += names.other_date(text)
        if kind in (types.ClauseStartsWith, types.ClauseContains):
            plain += [text + "-x", text + "-v1:0", text + "-latest"]
        if kind is types.ClauseContains and provider == "aws":
            plain += ["us." + text, PROFILE + text + "-v1:0"]
    plain += [name.replace(names.DATE, "-20260115") for name in names.names(provider, model) if names.DATE in name]
    plain += [text.lower() for text in plain]
    return list(dict.fromkeys(plain + [text + date for text in plain for date in DATES]))


def theirs(provider, name):
    """(provider, key) of the model that the catalogue finds."""
    model = provider.find_model(name, all_providers=data.providers)
    for owner in [provider, *(PROVIDERS[parent] for parent in provider.fallback_model_providers or ())]:
        if any(model is own for own in owner.models):
            return owner.id, names.key(owner, model)
    return None


def chain(provider):
    """The files asked for a provider's models, and what may stand around a name."""
    owners = [provider, *(PROVIDERS[parent] for parent in provider.fallback_model_providers or ())]
    within = dict.fromkeys(within for owner in owners for within in convert.ours(owner).names_within)
    return owners, [convert.shelf(owner) for owner in owners], list(within)


def reason(provider, name, there, here, within):
    """Why the two may differ."""
    if names.fine_tuned(name):
        return FINE_TUNED
    if there in catalogue.LEFT_OUT:
        return LEFT_OUT
    if there is None and here:
        if name == here[1]:
            return KEY
        base = names.without_date(name)
        if base and here in [theirs(provider, base + date) for date in DATES]:
            return EITHER_DATE
        if names.inner(name, within):
            return WITHIN
    if there and here is None:
        model = next(m for m in PROVIDERS[there[0]].models if names.key(PROVIDERS[there[0]], m) == there[1])
        if any(isinstance(clause, types.ClauseAnd) for clause in names.clauses(model.match)):
            return SPEECH
        if any(kind is types.ClauseContains for kind, _ in texts(model.match)):
            return ANYWHERE
    raise SystemExit(f"{provider.id}: `{name}` is {there} there and {here} here")


def compare():
    """Every name asked: (provider, name, model here or None, reason or None)."""
    for provider in data.providers:
        owners, shelves, within = chain(provider)
        for name in dict.fromkeys(form for model in provider.models for form in forms(provider, model)):
            there = theirs(provider, name)
            found = names.look_up(shelves, within, name)
            here = found and (owners[found[0]].id, found[1])
            yield provider, name, here, None if there == here else reason(provider, name, there, here, within)
