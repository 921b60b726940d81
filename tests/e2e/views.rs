//! The views of the console beside spend, in a real Chromium: calls, one call, what is not in the numbers, alerts, health.

use ledgerline_testkit::stack::{Stack, StackOptions};
use serde_json::Value;

use crate::console::{CANARIES, is_sound, picos, walked};

const RULES: &str = "groups:
- name: all
  rules:
  - alert: CallsFail
    expr: sum by (team) (increase(llm_errors_total[1h])) > 0
    labels: {severity: page}
    annotations:
      summary: '{{ $value }} calls of {{ $labels.team }} failed'
      description: 'See the calls.'
      runbook_url: 'javascript:canary=1'
  - alert: Quiet
    expr: sum(increase(llm_calls_total[1h])) < 0
  - alert: LLMErrorRateElevated
    expr: sum by (service) (increase(llm_errors_total[1h])) > 1000 and sum by (service) (increase(llm_errors_total[15m])) > 1000 and sum by (service) (increase(llm_errors_total[5m])) > 1000
  - alert: LLMCallsServedUnpriced
    expr: sum by (provider, model, reason) (increase(llm_unpriced_calls_total{reason=~\"unknown_service_tier|unknown_speed|unknown_inference_geo|unknown_condition.*|tier_combination\"}[15m])) > 0
";

const BUDGETS: &str = "kind: budgets
budgets:
- {name: '<img src=x onerror=canary=1>', owner: '<script>canary=1</script>', amount: 0.5, rolling: 24h}
- {name: of another team, match: '{team=\"another\"}', amount: 5, rolling: 24h}
- {name: of that team, match: '{team=\"quiet\"}', amount: 5, rolling: 24h}
";

/// Of a trace that has 16 equal bytes.
const TRACE: &str = "aaaaaaaaaaaaaaaa";

struct Span<'a> {
    name: &'a str,
    trace: &'a str,
    id: &'a str,
    parent: &'a str,
    counts: bool,
    status: &'a str,
    source: &'a str,
    unpriced: &'a str,
    amount: &'a str,
    /// How long ago it ended, seconds.
    age: usize,
}

impl Span<'_> {
    /// With its name in each field that a sender fills.
    fn statement(&self) -> String {
        let Span { trace, id, parent, status, source, unpriced, amount, age, .. } = self;
        let name = self.name.replace('\\', "\\\\").replace('\'', "\\'");
        let (is_call, uncounted) = if self.counts { (1, "") } else { (0, "wrapper") };
        let operation = if *unpriced == "unread" { "unread" } else { "chat" };
        let error = if *status == "error" { &name } else { "" };
        format!(
            "INSERT INTO spans (tenant, start_time, end_time, trace_id, span_id, parent_span_id, is_call, uncounted, observer, name, service, environment, \
             team, feature, provider, model, operation, status, error_type, request_model, response_model, response_id, end_of_stream, usage_source, \
             unpriced_reason, price_version, user_id, session_id, attrs, duration_us, ingested_at, bill.model, bill.unit, bill.quantity, bill.rule, bill.amount) \
             SELECT 'default', subtractSeconds(now64(6), {age} + 3), subtractSeconds(now64(6), {age}), '{trace}', '{id}', '{parent}', {is_call}, \
             '{uncounted}', '{name}', '{name}', '{name}', '{name}', '{name}', '{name}', '{name}', '{name}', '{operation}', '{status}', '{error}', '{name}', \
             '{name}', '{name}', 'complete', '{source}', '{unpriced}', 'v1', '{name}', '{name}', map('app.route_name', '{name}'), 3000000, now64(3), \
             ['{name}'], ['output_text'], [7], ['{name}'], [CAST({amount}, 'Nullable(Decimal(18, 12))')]"
        )
    }
}

/// 13 calls of attacks of which one failed, one is estimated, one unpriced and one unread; a quiet call of a user; a trace of a wrapper with a call
/// below it; a correction, and a refused span.
async fn fill(stack: &Stack) {
    for (at, name) in CANARIES.iter().enumerate() {
        let (status, source, unpriced, amount) = match at {
            0 => ("error", "provider", "", "0.000000000100"),
            1 => ("ok", "estimated", "", "0.000000000200"),
            2 => ("ok", "provider", "unknown_model", "NULL"),
            3 => ("ok", "missing", "unread", "NULL"),
            _ => ("ok", "provider", "", "0.000000001000"),
        };
        let (trace, id) = (format!("{at:016}"), format!("{at:08}"));
        let span = Span {
            name,
            trace: &trace,
            id: &id,
            parent: "",
            counts: true,
            status,
            source,
            unpriced,
            amount,
            // So that all of them were made in a minute that is over.
            age: 60 + at,
        };
        stack.change(&span.statement()).await.unwrap();
    }
    let quiet = |name, id, parent, counts, age| Span {
        name,
        trace: TRACE,
        id,
        parent,
        counts,
        status: "ok",
        source: "provider",
        unpriced: "",
        amount: "0.25",
        age,
    };
    for span in [
        quiet("agent", "wwwwwwww", "", false, 1),
        quiet("a user", "cccccccc", "wwwwwwww", true, 2),
        quiet("quiet", "qqqqqqqq", "wwwwwwww", true, 3),
    ] {
        stack.change(&span.statement()).await.unwrap();
    }
    stack.change("ALTER TABLE spans UPDATE user_id = 'a user' WHERE span_id = 'qqqqqqqq' SETTINGS mutations_sync = 2").await.unwrap();
    // What has no price is taken back and booked without one.
    for (span, sign, amount) in
        [("cccccccc", -1, "0.25"), ("cccccccc", 1, "0.75"), ("00000002", -1, "NULL"), ("00000002", 1, "NULL")]
    {
        let booked = format!(
            "INSERT INTO corrections (tenant, end_time, trace_id, span_id, sign, reason, service, environment, team, feature, provider, model, operation, \
             status, error_type, bill.model, bill.unit, bill.quantity, bill.rule, bill.amount, usage_source, unpriced_reason, price_version, duration_us, \
             booked_at) SELECT tenant, end_time, trace_id, span_id, {sign}, 'reprice', service, environment, team, feature, provider, model, operation, \
             status, error_type, bill.model, bill.unit, bill.quantity, bill.rule, [CAST({amount}, 'Nullable(Decimal(18, 12))')], usage_source, \
             unpriced_reason, 'v2', duration_us, now64(3) FROM spans WHERE span_id = '{span}'"
        );
        stack.change(&booked).await.unwrap();
    }
    let refused = "INSERT INTO quarantine (tenant, received_at, reason, detail) VALUES ('default', now64(3), 'identity', '<img src=x onerror=canary=1>')";
    stack.change(refused).await.unwrap();
}

/// Scenario: calls whose names are attacks, failed, estimated, unpriced, unread, corrected, refused; a rule that fires. A Chromium opens each
/// view narrow and wide, light and dark, goes from one to the other by keyboard alone, and meets errors, refusals, a missing token, a slow
/// answer and emptiness on each.
/// Guarantees: every number is what was stored, worked out here; every name is text; axe finds no serious fault; nothing is asked of
/// another machine; each state of each view is told; no link leads into script.
#[tokio::test(flavor = "multi_thread")]
async fn every_view_says_what_is_stored() {
    let collector_yaml = "budgets: {files: ['{directory}/budgets.yaml'], evaluation_interval_ms: 1000}\nalerting:\n  rule_files: ['{directory}/rules.yaml']\n  query_offset_ms: 0\n  evaluation_interval_ms: 1000\n  receivers:\n  \
         - {name: am, kind: alertmanager, url: 'http://127.0.0.1:1'}\n";
    let options = StackOptions {
        collector_yaml: collector_yaml.to_owned(),
        files: vec![
            ("rules.yaml".to_owned(), RULES.to_owned()),
            ("budgets.yaml".to_owned(), BUDGETS.to_owned()),
        ],
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await.unwrap();
    fill(&stack).await;
    let trace = "61".repeat(16);
    let seen = walked(&stack, "views.mjs", &format!("/calls/{trace}/{}", "63".repeat(8))).await;
    let views = seen["views"].as_array().unwrap();
    assert_eq!(views.len(), 7 * 6);
    views.iter().for_each(is_sound);
    let of = |name: &str| views.iter().filter(|view| view["name"] == name).cloned().collect::<Vec<_>>();
    of("calls").iter().for_each(calls);
    of("call").iter().for_each(call);
    of("gaps").iter().for_each(gaps);
    of("alerts").iter().for_each(alerts);
    of("quiet").iter().for_each(quiet);
    for view in of("budgets") {
        // All of them, and the amount where there is room.
        assert!(amounts(&view["money"]).contains(&(100 * CENT + 9_300)), "{view}");
        let text = view["text"].as_str().unwrap();
        assert!(text.contains("the last 24h") && text.contains("200.0 %") && text.contains("over"), "{text}");
    }
    for view in of("health") {
        assert_eq!(view["senders"], 15, "{view}");
        assert_eq!(view["grafana"], format!("{}/prometheus", stack.collector.url("api")), "{view}");
        let lead = view["lead"].as_str().unwrap();
        assert!(lead.starts_with("Not all is well: the receiver am does not take alerts"), "{lead}");
        assert!(view["ledger"].as_str().unwrap().contains("0 spans received = 0 stored"), "{view}");
    }
    // Nobody knows what it cost, and so it is no 0.
    assert_eq!(seen["unpriced"], serde_json::json!(["unpriced: unknown model", "unpriced: unknown model"]));
    for view in seen["rules"].as_array().unwrap() {
        is_sound(view);
        assert!(view["lines"].as_array().unwrap().len() >= 3, "{view}");
        assert!(view["lines"].as_array().unwrap().iter().all(|lines| lines == 1), "{view}");
    }
    assert_eq!(texts(&seen["ofTeam"]), ["of that team", CANARIES[0]]);
    // The budget has no match, so all calls of its window are behind it.
    let behind = seen["behind"].as_str().unwrap();
    assert!(
        behind.starts_with("/calls?") && behind.contains("from=") && !behind.contains("match="),
        "{behind}"
    );
    keys(&seen["keys"], &trace);
    states(&seen["states"]);
}

fn texts(of: &Value) -> Vec<String> {
    of.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Those of a table, the smallest first.
fn amounts(of: &Value) -> Vec<i128> {
    let mut amounts: Vec<i128> = texts(&of["rows"]).iter().map(|text| picos(text)).collect();
    amounts.sort_unstable();
    amounts
}

const CENT: i128 = 10_000_000_000;

fn calls(view: &Value) {
    // The corrected one costs 0.75, the other of that trace 0.25; two have no price.
    let expected = [&[100, 200][..], &[1_000; 9], &[25 * CENT, 75 * CENT]].concat();
    assert_eq!(amounts(&view["money"]), expected, "{view}");
    assert_eq!(view["rows"], 15, "{view}");
    let mut tags = texts(&view["tags"]);
    tags.sort();
    assert_eq!(tags, ["unpriced: unknown model", "unpriced: unread"], "{view}");
}

fn call(view: &Value) {
    assert_eq!(picos(view["cost"].as_str().unwrap()), 75 * CENT, "{view}");
    assert_eq!(amounts(&view["bill"]), [75 * CENT], "{view}");
    assert_eq!(picos(view["bill"]["foot"].as_str().unwrap()), 75 * CENT, "{view}");
    assert_eq!((&view["spans"], amounts(&view["trace"])), (&3.into(), vec![25 * CENT, 75 * CENT]), "{view}");
    assert_eq!(picos(view["trace"]["foot"].as_str().unwrap()), 100 * CENT, "{view}");
    assert!(texts(&view["facts"]).contains(&"61".repeat(16)), "{view}");
    let names = texts(&view["factNames"]);
    assert!(
        names.contains(&"app.route_name".to_owned()) && names.contains(&"response id".to_owned()),
        "{names:?}"
    );
}

fn gaps(view: &Value) {
    assert_eq!(
        (&view["unpriced"], &view["unread"], &view["refused"]),
        (&"2".into(), &"1".into(), &"1".into()),
        "{view}"
    );
    assert_eq!(amounts(&view["estimated"]), [200], "{view}");
    assert_eq!(picos(view["corrected"]["foot"].as_str().unwrap()), 50 * CENT, "{view}");
    let lead = view["lead"].as_str().unwrap();
    assert!(lead.starts_with("2 calls of 15 have no price yet and are in no sum."), "{lead}");
    assert_eq!(texts(&view["account"]), ["0"; 5], "{view}");
}

fn alerts(view: &Value) {
    let text = view["text"].as_str().unwrap();
    assert!(text.contains("1 calls of <img src=x onerror=canary=1> failed"), "{text}");
    assert!(text.starts_with("firing") && text.contains("page"), "{text}");
    let links = texts(&view["links"]);
    let begins = |begin: &str| links.iter().filter(|link| link.contains(begin)).count();
    assert_eq!(
        (links.len(), begins("/calls?"), begins("http://127.0.0.1:1/#/silences/new?filter=")),
        (2, 1, 1),
        "{links:?}"
    );
    // No rule of that name is quiet.
    assert_eq!(view["quiet"], 0, "{view}");
    let [series, _, highest, now, held] = seen(view);
    assert_eq!((&*series, &*highest, &*now), ("team: <img src=x onerror=canary=1>", "1", "1"), "{view}");
    assert!(held.len() >= "12:30".len() && held.contains(':'), "{held}");
}

/// The first row of what a rule has seen; of none below it the condition held.
fn seen(view: &Value) -> [String; 5] {
    let mut cells = texts(&view["seen"]);
    let others = cells.split_off(5);
    assert!(others.chunks(5).all(|row| row[4] == "never"), "{view}");
    cells.try_into().unwrap()
}

fn quiet(view: &Value) {
    let watched = "It looks at sum(increase(llm_calls_total[1h])), compares that with 0.";
    assert_eq!(view["watched"], watched, "{view}");
    let lead = view["lead"].as_str().unwrap();
    assert!(lead.starts_with("This rule does not fire.") && lead.contains("of other rules fire"), "{lead}");
    let [series, _, highest, now, held] = seen(view);
    // The two youngest of 15 may be of this minute.
    let calls: usize = highest.parse().unwrap();
    assert!((13..=15).contains(&calls) && now == highest, "{view}");
    assert_eq!((&*series, &*held), ("(without labels)", "never"), "{view}");
}

fn keys(keys: &Value, trace: &str) {
    assert_eq!(texts(&keys["views"]), ["Calls", "Not in the numbers", "Alerts", "Health", "Spend", "Calls"]);
    assert_eq!(keys["row"], 1, "{keys}");
    assert!(keys["held"].as_str().unwrap().contains("Held"), "{keys}");
    assert!(keys["call"].as_str().unwrap().starts_with(&format!("/calls/{trace}/")), "{keys}");
    assert!(keys["filtered"].as_str().unwrap().contains("user=a+user"), "{keys}");
    assert_eq!(keys["field"], "{team=\"quiet\"} user=\"a user\"", "{keys}");
}

fn states(states: &Value) {
    for view in ["calls", "call", "gaps", "alerts", "quiet", "health"] {
        for (state, wanted) in [
            ("error", "the store has no space left"),
            ("forbidden", "your token reads team search only"),
            ("token", "This collector asks for a token"),
            ("loading", "s so far"),
        ] {
            let text = states[view][state].as_str().unwrap();
            assert!(text.contains(wanted), "{view} {state}: {text}");
        }
    }
    for (view, wanted) in [
        ("calls", "no such call is stored"),
        ("call", "spans are kept for 90 days"),
        ("gaps", "Every call has a price. Nothing of the spend is estimated."),
        ("alerts", "There is no rule Gone any more."),
    ] {
        let text = states[view]["empty"].as_str().unwrap();
        assert!(text.contains(wanted), "{view}: {text}");
    }
}

/// Scenario: a collector that nobody has called through; then a call by the agent while the page is open.
/// Guarantees: the page says what to paste, and turns into the spend of that call by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_turns_the_page_into_spend() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let seen = walked(&stack, "first.mjs", &stack.openai()).await;
    seen["views"].as_array().unwrap().iter().for_each(is_sound);
    assert_eq!(seen["views"][0]["paste"], "export ANTHROPIC_BASE_URL=http://127.0.0.1:4100/anthropic");
    assert_eq!(seen["status"], 200, "{seen}");
    let booked = stack.sql("SELECT toString(sum(amount)) FROM spend_record").await.unwrap();
    assert_eq!(picos(seen["spend"].as_str().unwrap()), picos(booked.trim()));
    assert_ne!(picos(booked.trim()), 0);
    let observers = stack.sql("SELECT DISTINCT observer, observer_version FROM spans").await.unwrap();
    assert_eq!(observers.trim(), concat!("ledgerline-agent\t", env!("CARGO_PKG_VERSION")));
}
