//! What finance asks: what a team cost in a month, at the API and as a file, beside a running collector.

use std::process::Command;
use std::time::Duration;

use ledgerline_testkit::clients::{Case, Client, run_clients};
use ledgerline_testkit::http::get;
use ledgerline_testkit::service::binary;
use ledgerline_testkit::stack::{Stack, StackOptions};
use serde_json::Value;

/// Scenario: calls of a client library are recorded; the spend of the year is asked for at the API, as a file there and by the command,
/// and asked for wrongly.
/// Guarantees: all three have the same sums as SQL; the command prints the same bytes twice, and those of the API; each mistake is named.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_and_the_export_say_what_the_ledger_holds() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let case = |case| Case { case, scenario: "plain".to_owned(), ..Case::default() };
    let cases: Vec<Case> = (0..5).map(case).collect();
    run_clients(Client::OpenAi, &stack.openai(), 1, &cases, Duration::from_secs(120)).await.unwrap();
    stack.wait_recorded(Duration::from_secs(60)).await.unwrap();
    let sums = "SELECT toString(sum(amount)), toString(sum(lines)) FROM spend_record";
    let cost = stack.sql(sums).await.unwrap().split('\t').next().unwrap().to_owned();
    let calls = stack.sql("SELECT sum(calls) FROM calls_record").await.unwrap();

    let url = |query: &str| format!("{}/api/v1/spend?{query}", stack.collector.url("api"));
    let year = "zone=Asia/Tokyo&from=2026-01-01&to=2100-01-01&by=model,team";
    let body: Value = get(&url(year)).await.unwrap().json().unwrap();
    let total = &body["total"];
    assert_eq!(decimal(total["cost_usd"].as_str().unwrap()), decimal(&cost), "{body}");
    assert_eq!(total["calls"].to_string(), calls.trim(), "{body}");
    let rows = body["tables"][0]["rows"].as_array().unwrap();
    let of_rows: i128 = rows.iter().map(|row| decimal(row["cost_usd"].as_str().unwrap())).sum();
    let lines = total["lines"].as_object().unwrap().values();
    let of_lines: i128 = lines.map(|line| decimal(line["cost_usd"].as_str().unwrap())).sum();
    assert_eq!((of_rows, of_lines), (decimal(&cost), decimal(&cost)), "{body}");

    let config = stack.path().join("collector.yaml");
    let export = |arguments: &[&str]| {
        let mut command = Command::new(binary("ledgerline-collector").unwrap());
        let output = command.arg("--config").arg(&config).arg("export").args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let same = ["--zone", "Asia/Tokyo", "--from", "2026-01-01", "--to", "2100-01-01", "--by", "model,team"];
    let (exported, file, problem) = export(&same);
    assert!(exported && file.lines().count() == rows.len() + 1, "{file}{problem}");
    assert!(problem.contains("export: the stretch is not over: calls are in it up to 2"), "{problem}");
    assert_eq!(export(&same).1, file);
    let over_http = get(&url(&format!("{year}&format=csv"))).await.unwrap();
    assert_eq!(over_http.text(), file);
    let (_, json, problem) = export(&[&same[..], &["--format", "json"]].concat());
    let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {problem}"));
    assert_eq!((&json["total"], &json["tables"]), (total, &body["tables"]));

    wrong_questions(&stack).await;
    wrong_commands(export);
}

async fn wrong_questions(stack: &Stack) {
    for (query, problem) in [
        ("", "say month=2026-11, or from= and to="),
        ("month=2026-13", "`2026-13` is no month"),
        ("month=2026-11&zone=Berlin", "`Berlin` is no time zone"),
        ("month=2026-11&by=user", "`user` is no dimension; they are service"),
        ("month=2026-11&match=%7Buser%3D%22ada%22%7D", "no label user"),
        (
            "month=2026-11&match=%7Bteam%3D",
            r#"invalid parameter \"match\": 1:7: parse error: unexpected end"#,
        ),
        (
            "month=2026-11&match=%7Bteam%3D~%22(%22%7D",
            r#"invalid parameter \"match\": 1:2: parse error: invalid reg"#,
        ),
        ("month=2026-11&step=year", "hour, day, week or month"),
        ("from=2026-11-02&to=2026-11-01", "begin before it ends"),
        ("from=2000-01-01&to=2026-11-01&step=day", "more than 1100 parts"),
        ("month=2026-11&match[]=%7Bteam%3D%22a%22%7D", "there is none of that name; there are by, month"),
        ("month=2026-11&zone=UTC&zone=Asia/Tokyo", "it is there twice"),
        ("month=2026-11&format=xlsx", "neither json nor csv"),
        ("month=2026-11&by=team&by=model&format=csv", "say by= once"),
    ] {
        let answer = get(&format!("{}/api/v1/spend?{query}", stack.api())).await.unwrap();
        assert!(answer.status == 400 && answer.text().contains(problem), "{query}: {}", answer.text());
    }
}

/// Whether it succeeded, its output and what it said beside.
type Printed = (bool, String, String);

/// What a command says, and about what.
fn wrong_commands(export: impl Fn(&[&str]) -> Printed) {
    for (arguments, problem) in [
        (&["--month", "november"][..], "`november` is no month"),
        (&["--month", "2026-11", "--by", "user"], "`user` is no dimension"),
        (&["--from", "2026-11-01"], "--to"),
        (
            &["--month", "2026-11", "--match", "{team="],
            "'--match <SELECTOR>': 1:7: parse error: unexpected end",
        ),
        (&[], "--month, or --from and --to"),
    ] {
        let (exported, _, text) = export(arguments);
        assert!(!exported && text.contains(problem), "{arguments:?}: {text}");
    }
    for (arguments, notices) in [
        (&["--month", "2099-01"][..], "export: it has not begun\n"),
        (
            &["--month", "2026-01", "--tenant", "nobody"],
            "export: no call of tenant `nobody` is in the stretch\n",
        ),
        (
            &["--month", "2026-01", "--match", "{team=\"nobody\"}"],
            "export: no call of tenant `default` with these labels is in the stretch\n",
        ),
    ] {
        let (exported, _, said) = export(arguments);
        assert!(exported && said == notices, "{arguments:?}: {said}");
    }
}

/// Pico-dollars of a decimal.
fn decimal(text: &str) -> i128 {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    format!("{whole}{fraction:0<12}").parse().unwrap()
}
