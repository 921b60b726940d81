//! Documents as people write them, right and wrong.

use super::*;

fn read(text: &str) -> Result<Vec<Budget>, String> {
    let (mut budgets, mut problems) = (Vec::new(), Problems::default());
    parse("b.yaml", text, &mut budgets, &mut problems);
    let found = problems.into_result(Some(budgets));
    found.map_err(|found| found.iter().map(|problem| format!("{problem}\n")).collect())
}

#[test]
fn a_document_says_what_may_be_spent_by_whom_and_when() {
    let text = "kind: budgets
budgets:
  - name: search-production
    owner: search-leads@example.com
    match: '{team=\"search\", environment=\"production\"}'
    amount: 5000
    period: month
    zone: Europe/Berlin
    thresholds: [100%, 33.333%, {at: 80%, severity: ticket}]
    forecast_alert: true
  - {name: all, amount: 0.000000000003, rolling: 36h}
";
    let budgets = read(text).unwrap();
    let [search, all] = budgets.as_slice() else { panic!("{budgets:?}") };
    assert_eq!((search.name.as_str(), search.amount), ("search-production", 5_000_000_000_000_000));
    assert_eq!((search.calendar.every, search.calendar.zone_name()), (Every::Month, "Europe/Berlin"));
    assert!(search.forecast_alert && !all.forecast_alert);
    let thresholds = |budget: &Budget| -> Vec<(String, i128, String)> {
        let all = budget.thresholds.iter().cloned();
        all.map(|Threshold { name, amount, severity }| (name, amount, severity)).collect()
    };
    let wanted = [
        ("33.333%", 1_666_650_000_000_000, "warning"),
        ("80%", 4_000_000_000_000_000, "ticket"),
        ("100%", 5_000_000_000_000_000, "page"),
    ];
    let owned = |(name, amount, severity): (&str, i128, &str)| (name.to_owned(), amount, severity.to_owned());
    assert_eq!(thresholds(search), wanted.map(owned));
    let names: Vec<&str> = search.matchers.iter().map(|matcher| matcher.name.as_str()).collect();
    assert_eq!(names, ["__name__", "team", "environment"]);
    // 80 % of three pico-dollars are 2.4: reached with the third.
    assert_eq!(thresholds(all), [("80%", 3, "warning"), ("100%", 3, "page")].map(owned));
    assert_eq!((all.calendar.every, all.calendar.zone_name()), (Every::Rolling(129_600_000), ""));
    assert_eq!(read("kind: budgets").unwrap().len(), 0);
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_what_to_do() {
    let text = "kind: budgets
budgte: 1
budgets:
  - {name: a, owner: x, amount: '5,000', period: fortnight, zone: Berlin, match: '{user=\"ada\"}', colour: red}
  - {amount: -1, rolling: 1s, thresholds: [80, 80%, 80.0%, {at: 1%, severity: 'a b', sevrity: x}]}
  - {name: a, amount: 1, period: day, rolling: 30d, forecast_alert: true}
  - {name: a, amount: 1, period: day, forecast_alert: true}
  - {name: c, amount: 1, rolling: 30d, zone: UTC}
  - {name: d, period: month, amount: 1, match: 'llm_cost_usd_total'}
  - {name: e}
";
    let found = read(text).unwrap_err();
    for part in [
        "b.yaml: unknown key \"budgte\"; remove it or use one of: kind, budgets",
        "budget \"a\": amount: \"5,000\" is no amount of US dollars above 0; write 5000 or 1250.50",
        "budget \"a\": period: \"fortnight\" is none; write day, week, month, quarter or year",
        "budget \"a\": zone: `Berlin` is no time zone",
        "budget \"a\": match: calls have no label user; they have: service",
        "budget \"a\": unknown key \"colour\"; remove it or use one of: name, owner",
        "budget 2: it needs a name",
        "budget 2: amount: \"-1\" is no amount",
        "budget 2: rolling: \"1s\" is no length of 1m to 400d",
        "budget 2: threshold \"80\" is no part of a budget; write a percentage",
        "budget 2: threshold \"80.0%\" stands here twice; keep one",
        "budget 2: threshold \"1%\": unknown key \"sevrity\"",
        "budget 2: threshold \"1%\": severity \"a b\" is no word",
        "budget \"a\": it has both a period and rolling; keep one",
        "budget \"a\": forecast_alert: only weeks, months, quarters and years have a forecast",
        "budget \"c\": zone: a rolling window has no days; remove it",
        "budget \"d\": match: calls have no metric name; write {team=\"search\"}",
        "budget \"e\": it has no amount",
        "budget \"e\": it has no period; write period: month",
    ] {
        assert!(found.contains(part), "{part} in\n{found}");
    }
    for (text, part) in [
        ("budgets: []", "it does not say what it is; begin it with kind: budgets"),
        ("kind: slos", "kind: \"slos\" is none of ours; write kind: budgets"),
        ("", "it does not say what it is"),
        ("kind: [", "not a document of budgets:"),
        (
            "kind: budgets\nbudgets: [{name: a, amount: 1, amount: 2, period: day}]",
            "duplicate field `amount`",
        ),
        (
            "kind: budgets\nbudgets: [{name: a, amount: 1, period: day}, {name: a, amount: 1, period: day}]",
            "budget \"a\": there is another budget of this name; rename one",
        ),
    ] {
        let found = read(text).unwrap_err();
        assert!(found.contains(part) && found.lines().count() < 4, "{text}: {found}");
    }
}

/// What people copy.
#[test]
fn the_example_and_the_manual_are_valid() {
    let example = read(include_str!("../../../../alerts/budgets/example.yaml")).unwrap();
    assert_eq!(example.len(), 3);
    let manual = include_str!("../../../../docs/budgets.md");
    let yaml = manual.split("```yaml budgets\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let found = read(yaml).unwrap();
    assert_eq!((found[0].name.as_str(), found[0].thresholds.len()), ("search-production", 3));
    for key in BUDGET_KEYS.split(", ") {
        assert!(manual.contains(&format!("| `{key}` |")), "{key}");
    }
}
