//! The console in a real Chromium.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ledgerline_testkit::stack::{Stack, StackOptions};
use serde_json::Value;
use tokio::process::Command;

/// Names that would be markup, script or style if any of them were not text, each of which would set `canary`, and one without an end.
pub const CANARIES: [&str; 13] = [
    "<img src=x onerror=canary=1>",
    "<script>canary=1</script>",
    "\"><svg onload=canary=1>",
    "javascript:canary=1",
    "'-(canary=1)-'",
    "${canary=1}",
    "{{constructor.constructor(\"canary=1\")()}}",
    "<iframe srcdoc=\"<script>parent.canary=1</script>\">",
    "<a href=javascript:canary=1 autofocus onfocus=canary=1>x</a>",
    "<style>*{display:none}</style>",
    "&lt;img src=x onerror=canary=1&gt;",
    concat!(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    ),
    "\u{202e}drowssap<template><img src=x onerror=canary=1></template>",
];

/// More of them, so that there are forty: what breaks out of an attribute, an element, a comment, a style or a script, elements that run by
/// themselves, and addresses.
const MORE_CANARIES: [&str; 27] = [
    "<svg><script>canary=1</script></svg>",
    "<body onload=canary=1>",
    "<details open ontoggle=canary=1>x</details>",
    "<input autofocus onfocus=canary=1>",
    "<select autofocus onfocus=canary=1>",
    "<video><source onerror=canary=1></video>",
    "<audio src=x onerror=canary=1>",
    "<marquee onstart=canary=1>x</marquee>",
    "<object data=\"javascript:canary=1\"></object>",
    "<embed src=\"javascript:canary=1\">",
    "<form action=\"javascript:canary=1\"><button autofocus>x</button></form>",
    "<base href=\"javascript:canary=1//\">",
    "<meta http-equiv=refresh content=\"0;url=javascript:canary=1\">",
    "<link rel=stylesheet href=\"data:text/css,*{display:none}\">",
    "<math><mtext><img src=x onerror=canary=1></mtext></math>",
    "<noscript><p title=\"</noscript><img src=x onerror=canary=1>\">",
    "<textarea><img title=\"</textarea><img src=x onerror=canary=1>\">",
    "</title><script>canary=1</script>",
    "</style><script>canary=1</script>",
    "</script><script>canary=1</script>",
    "--><script>canary=1</script>",
    "]]><script>canary=1</script>",
    "\" onmouseover=\"canary=1\" x=\"",
    "' autofocus onfocus='canary=1' x='",
    "` onclick=canary=1 `",
    "data:text/html,<script>canary=1</script>",
    "\\u003cimg src=x onerror=canary=1\\u003e",
];

/// A call that has just ended, priced, estimated or without a price, with a name of the canaries in each field that a sender fills.
fn call(at: usize, name: &str) -> String {
    let name = name.replace('\\', "\\\\").replace('\'', "\\'");
    let (source, unpriced) = match at % 4 {
        1 => ("estimated", ""),
        2 => ("provider", "unknown_model"),
        _ => ("provider", ""),
    };
    let amount = if unpriced.is_empty() { format!("0.{:012}", 7 * (at + 1)) } else { "NULL".to_owned() };
    format!(
        "INSERT INTO spans (tenant, end_time, trace_id, is_call, service, environment, team, feature, provider, model, status, usage_source, \
         unpriced_reason, bill.model, bill.unit, bill.quantity, bill.amount) SELECT 'default', subtractSeconds(now64(6), {at}), '{at:016}', 1, '{name}', \
         '{name}', '{name}', '{name}', '{name}', '{name}', 'ok', '{source}', '{unpriced}', ['{name}'], ['output_text'], [{at}], \
         [CAST({amount}, 'Nullable(Decimal(18, 12))')]"
    )
}

/// Scenario: calls whose names are attacks, and some without a price; a Chromium opens the page at three widths, light and dark, goes
/// through it by keyboard alone, and meets errors, a refusal, a missing token, a slow answer and an empty month.
/// Guarantees: the sums on screen are those of SQL, and every column adds up to what stands below it; no name is anything but text, the
/// browser complains about nothing, nothing is asked of another machine; axe finds no serious fault; each state is told.
#[tokio::test(flavor = "multi_thread")]
async fn every_number_on_screen_is_the_ledgers_and_every_name_is_text() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let names = CANARIES.iter().chain(&["quiet", "busy", "busy"]).chain(&MORE_CANARIES);
    for (at, name) in names.enumerate() {
        stack.change(&call(at, name)).await.unwrap();
    }
    // Not "this month", which may have just begun.
    let days = "SELECT toDate(now('Europe/Berlin')) - 2, toDate(now('Europe/Berlin')) + 1";
    let days = stack.sql(days).await.unwrap();
    let range = days.trim().replace('\t', "..");
    let begin = format!("toDateTime('{} 00:00:00', 'Europe/Berlin')", &range[..10]);
    let sums = format!("SELECT toString(sum(amount)) FROM spend_record WHERE end_time > {begin}");
    let total = stack.sql(&sums).await.unwrap();
    let seen = walked(&stack, "walk.mjs", &range).await;
    views(&seen, picos(total.trim()));
    keys_and_states(&seen);
    for (name, calls) in [("unpriced", "1"), ("uncounted", "0")] {
        let view = &seen[name];
        let figures: Vec<&str> =
            view["figures"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!((figures[0], figures[1], figures[2]), ("not known", "not known", calls), "{view}");
        for row in view["team"].as_array().unwrap() {
            let row = row.as_str().unwrap();
            assert!(
                (row.contains("unpriced") || row.contains("not known")) && !row.contains("0.00"),
                "{row}"
            );
        }
    }
    let units = &seen["units"];
    is_sound(units);
    // 0 to 15 of the calls, each as much as its number; all in dollars have the one unit.
    assert_eq!(
        units["text"].as_str().unwrap().split_whitespace().take(3).collect::<Vec<_>>(),
        ["output", "text", "903"]
    );
    assert_eq!(units["columns"][0]["adds_up"], true, "{units}");
    assert_eq!(picos(units["columns"][0]["foot"].as_str().unwrap()), picos(total.trim()), "{units}");
    assert_eq!(
        (units["rows"].as_u64(), &units["range"]),
        (Some(1), &"2026-10-30..2026-11-02".into()),
        "{units}"
    );
    assert!(units["odd"].as_str().unwrap().starts_with("Give two days"), "{units}");
}

/// What a Chromium saw that was led through the console; it complained about nothing and asked nobody else.
pub async fn walked(stack: &Stack, script: &str, argument: &str) -> Value {
    let kept = std::env::var_os("LEDGERLINE_PICTURES").map(PathBuf::from);
    let pictures = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("console").join(script);
    let mut walk = Command::new("node");
    walk.arg(script).arg(stack.collector.url("api")).arg(kept.as_deref().unwrap_or(pictures.path()));
    let walk = walk.arg(argument).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(600), walk).await.unwrap().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "it needs Chromium (deploy/setup/chromium.sh) and the console (collector/console/build.sh, then build): {problem}"
    );
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let none = Value::Array(Vec::new());
    assert_eq!((&seen["complaints"], &seen["foreign"]), (&none, &none));
    seen
}

/// No serious fault of access, no name that is anything but text, nothing wider than the screen.
pub fn is_sound(view: &Value) {
    let at = format!("{} {} {}", view["name"], view["width"], view["scheme"]);
    assert_eq!(view["faults"], Value::Array(Vec::new()), "{at}");
    assert_eq!((&view["executed"], &view["elements"]), (&0.into(), &0.into()), "{at}");
    assert_eq!(view["overflows"], Value::Array(Vec::new()), "{at}");
}

fn views(seen: &Value, total: i128) {
    let views = seen["views"].as_array().unwrap();
    assert_eq!(views.len(), 6);
    for view in views {
        let at = format!("{} {}", view["width"], view["scheme"]);
        assert_eq!(picos(view["total"].as_str().unwrap()), total, "{at}");
        assert!(view["unpriced"].as_str().unwrap().starts_with("11"), "{at}: {}", view["unpriced"]);
        is_sound(view);
        let tables = view["tables"].as_array().unwrap();
        assert_eq!(tables.len(), 3, "{at}");
        for table in tables {
            let columns = table["columns"].as_array().unwrap();
            let adds_up = columns.iter().all(|column| column["adds_up"] == true);
            assert!(!columns.is_empty() && adds_up, "{at}: {table}");
        }
        // The column of each that is the whole spend.
        for (table, column) in [(0, 0), (1, 0), (2, 2)] {
            let foot = tables[table]["columns"][column]["foot"].as_str().unwrap();
            assert_eq!(picos(foot), total, "{at}: {}", tables[table]);
        }
        let names: Vec<&str> = view["names"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(CANARIES.iter().chain(&MORE_CANARIES).all(|name| names.contains(name)), "{at}: {names:?}");
    }
}

fn keys_and_states(seen: &Value) {
    let keys = &seen["keys"];
    assert_eq!((&keys["first"], &keys["filter"]), (&"Skip to the content".into(), &true.into()));
    assert_eq!(keys["match"], "{team=\"quiet\"}");
    assert!(keys["unread"].as_str().is_some_and(|text| text.starts_with("Write team=search")), "{keys}");
    assert!(keys["read"].as_str().is_some_and(|text| text.contains(": $0.")), "{keys}");
    assert!(keys["day"].as_str().is_some_and(|day| !day.contains(" to ")), "{keys}");
    assert!(
        keys["file"]
            .as_str()
            .is_some_and(|file| file.starts_with("team,cost_usd") && file.contains("\nquiet,"))
    );
    let file = keys["fileName"].as_str().unwrap();
    assert!(file.starts_with("spend-20") && file.ends_with("-Europe-Berlin-by-team-quiet.csv"), "{file}");
    assert!(keys["zones"].as_u64() > Some(300), "{keys}");
    assert!(
        keys["list"].as_u64() >= Some(6) && keys["theme"] == "dark" && keys["range"].is_string(),
        "{keys}"
    );
    let states = &seen["states"];
    for (state, wanted) in [
        ("error", "the store has no space left"),
        ("forbidden", "your token reads team search only"),
        ("token", "This collector asks for a token"),
        ("loading", "s so far"),
        ("stopped", "Stopped"),
        ("empty", "nobody called"),
        ("zone", "There is no such time zone: Mars/X"),
        ("range", "There is no such range: 2026-13"),
    ] {
        assert!(
            states[state].as_str().is_some_and(|text| text.contains(wanted)),
            "{state}: {}",
            states[state]
        );
    }
}

/// Pico-dollars of a decimal.
pub fn picos(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<12}").parse().unwrap()
}
