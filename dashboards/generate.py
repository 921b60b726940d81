#!/usr/bin/env python3
"""Writes the dashboards that users import, from one short description each.

Grafana's classic JSON (schemaVersion 42) imports on Grafana 10 to 13. A panel is one line here; what all panels share
(variables, units, the label filter) is said once. Run it after a change; a test compares the result with the
committed files.
"""
import json
import pathlib

FILTER = 'environment=~"$environment",team=~"$team",model=~"$model"'
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# A rate here is the exact sum of a window over its length, so windows of one step that lie side by side hold each call once: $__interval,
# and no $__rate_interval, which reaches back behind the step. Steps of whole minutes are answered from sums by the minute, quarter of an
# hour and day; with so many points a year is asked for by the day.
STEPS = {"interval": "1m", "maxDataPoints": 360}


def target(expression, legend, instant=False):
    return {
        "datasource": DATASOURCE,
        "expr": expression.replace("FILTER", FILTER),
        "legendFormat": legend,
        "refId": "A",
        "instant": instant,
        "range": not instant,
        "format": "table" if instant else "time_series",
    }


def panel(kind, title, description, unit, expression, legend="", width=12, height=8):
    instant = kind in ("stat", "table")
    options = {
        "timeseries": {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max", "lastNotNull"]}},
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}},
        "table": {"showHeader": True, "sortBy": [{"displayName": "Value", "desc": True}]},
    }[kind]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": [target(expression, legend, instant)],
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": options,
        "gridPos": {"w": width, "h": height},
        **(STEPS if kind == "timeseries" else {}),
    }


def variable(label, name):
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": f"label_values(llm_calls_total, {name})", "refId": name},
        "definition": f"label_values(llm_calls_total, {name})",
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "refresh": 2,
        "sort": 1,
    }


def place(panels):
    """Fills rows of 24 columns from left to right."""
    x = y = row_height = 0
    for number, item in enumerate(panels, start=1):
        position = item["gridPos"]
        if x + position["w"] > 24:
            x, y, row_height = 0, y + row_height, 0
        position.update(x=x, y=y)
        x += position["w"]
        row_height = max(row_height, position["h"])
        item["id"] = number
    return panels


def dashboard(uid, title, description, panels):
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["ledgerline", "llm"],
        "schemaVersion": 42,
        "editable": True,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "timezone": "browser",
        "templating": {
            "list": [
                {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
                variable("Environment", "environment"),
                variable("Team", "team"),
                variable("Model", "model"),
            ]
        },
        "panels": place(panels),
    }


OVERVIEW = dashboard(
    "ledgerline-overview",
    "LLM calls: spend and health",
    "What the calls to language models cost and how they went, by team and model.",
    [
        panel("stat", "Spend", "Cost of all priced calls in the range shown, estimates included.", "currencyUSD",
              "sum(increase(llm_cost_usd_total{FILTER}[$__range])) or vector(0)", width=4, height=4),
        panel("stat", "Of it estimated", "The part of the spend whose tokens nobody counted: streams that were cut off, "
              "or a provider that sent no usage. The rest is exact as far as its counts are the provider's.", "currencyUSD",
              'sum(increase(llm_cost_usd_total{usage_source="estimated",FILTER}[$__range])) or vector(0)',
              width=4, height=4),
        panel("stat", "Unpriced calls", "Calls whose cost is not known. They are missing from the spend: see their reasons "
              "below.", "short", "sum(increase(llm_unpriced_calls_total{FILTER}[$__range])) or vector(0)",
              width=4, height=4),
        panel("stat", "Corrected", "What corrections added to the spend of the range shown or took from it: repeats, "
              "wrappers, new prices. It is in the spend already.", "currencyUSD",
              "sum(increase(llm_corrected_cost_usd_total{FILTER}[$__range])) or vector(0)", width=4, height=4),
        panel("stat", "Calls", "Calls in the range shown, failed ones included.", "short",
              "sum(increase(llm_calls_total{FILTER}[$__range]))", width=4, height=4),
        panel("stat", "Failed", "Share of calls that ended in an error.", "percentunit",
              "sum(increase(llm_errors_total{FILTER}[$__range])) / sum(increase(llm_calls_total{FILTER}[$__range]))",
              width=4, height=4),
        panel("timeseries", "Spend by team", "Cost per hour at the current rate.", "currencyUSD",
              "sum by (team) (rate(llm_cost_usd_total{FILTER}[$__interval])) * 3600", "{{team}}"),
        panel("timeseries", "Spend by model", "Cost per hour at the current rate.", "currencyUSD",
              "sum by (model) (rate(llm_cost_usd_total{FILTER}[$__interval])) * 3600", "{{model}}"),
        panel("timeseries", "Calls by model", "Calls per second.", "reqps",
              "sum by (model) (rate(llm_calls_total{FILTER}[$__interval]))", "{{model}}"),
        panel("timeseries", "Errors by type", "Failed calls per second, by the provider's error code.", "reqps",
              "sum by (provider, error_type) (rate(llm_errors_total{FILTER}[$__interval]))",
              "{{provider}} {{error_type}}"),
        panel("timeseries", "Duration by model, 95th percentile", "Time from request to last byte, of 95 of 100 calls at most.",
              "s", "histogram_quantile(0.95, sum by (le, model) "
              "(rate(llm_call_duration_seconds_bucket{FILTER}[$__interval])))", "{{model}}"),
        panel("timeseries", "Time to first token by model, 95th percentile", "Streamed calls only.", "s",
              "histogram_quantile(0.95, sum by (le, model) "
              "(rate(llm_time_to_first_token_seconds_bucket{FILTER}[$__interval]))) >= 0", "{{model}}"),
        panel("timeseries", "Spend by who counted", "Cost per hour at the current rate. estimated: nobody counted; sender: "
              "another program did.", "currencyUSD",
              "sum by (usage_source) (rate(llm_cost_usd_total{FILTER}[$__interval])) * 3600", "{{usage_source}}"),
        panel("timeseries", "Unpriced calls by reason", "Calls per second that are not in the spend. unknown_model and its "
              "kin: add the price.", "reqps",
              "sum by (reason) (rate(llm_unpriced_calls_total{FILTER}[$__interval]))", "{{reason}}"),
        panel("timeseries", "Tokens by class", "Tokens per second in disjoint classes: no token is in two of them.",
              "short", "sum by (token_class) (rate(llm_tokens_total{FILTER}[$__interval]))", "{{token_class}}"),
        panel("table", "Spend by team, feature and model", "Cost in the range shown, ready to export.",
              "currencyUSD", "sum by (team, feature, model) (increase(llm_cost_usd_total{FILTER}[$__range]))"),
    ],
)

if __name__ == "__main__":
    folder = pathlib.Path(__file__).parent
    for item in [OVERVIEW]:
        (folder / f"{item['uid']}.json").write_text(json.dumps(item, indent=2) + "\n")
