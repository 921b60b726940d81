//! The API as its clients see it: status, shape, notation.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use ledgerline_process::clock::ManualClock;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::source::Tenant;
use ledgerline_promql::{Labels, MemoryPool, Number, Point, Samples, Series};
use tower::ServiceExt as _;

use super::params::{label_name, parse_duration, parse_time};
use super::*;
use crate::metrics::Metrics;
use crate::query::memory_source::MemorySource;

const NOW_NS: u64 = 1_700_000_000_000_000_000;

fn state() -> ApiState {
    let tenant = Tenant("acme".into());
    let mut source = MemorySource::default();
    let mut add = |tenant: &str, team: &str, points: Vec<(i64, i128)>| {
        let labels = Labels::from_pairs([("__name__", "llm_cost_usd_total"), ("team", team)]);
        source.push(
            Tenant(tenant.into()),
            Series { labels, samples: Samples::Delta(points.into_iter().collect()) },
        );
    };
    add("acme", "search", vec![(1_699_999_940_000, 1), (1_700_000_000_000, 2_500_000_000_000)]);
    add("acme", "a\"ds", vec![(1_700_000_000_000, 7)]);
    add("other", "secret", vec![(1_700_000_000_000, 1)]);
    let labels = Labels::from_pairs([("__name__", "queue_depth"), ("job", "x")]);
    let points = [3.0, f64::NAN, f64::INFINITY].into_iter().enumerate();
    let points = points.map(|(at, value)| Point {
        time_ms: 1_700_000_000_000 + 1500 * i64::try_from(at).unwrap(),
        value: Number::Float(value),
    });
    source.push(tenant, Series { labels, samples: Samples::Points(points.collect()) });
    ApiState {
        querier: Arc::new(querier(source, MemoryPool::new(MEMORY_BYTES_DEFAULT))),
        clock: Arc::new(ManualClock::at(NOW_NS)),
    }
}

fn querier(source: MemorySource, memory: Arc<MemoryPool>) -> Querier {
    Querier::new(Arc::new(source), memory, Metrics::default())
}

async fn send(state: ApiState, request: Request<Body>) -> (u16, String) {
    send_as("acme", state, request).await
}

async fn send_as(tenant: &str, state: ApiState, mut request: Request<Body>) -> (u16, String) {
    request.extensions_mut().insert(Principal::of(tenant));
    let response = router(state).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get_body(path: &str) -> (u16, String) {
    send(state(), Request::get(path).body(Body::empty()).unwrap()).await
}

async fn check(path: &str, status: u16, body: &str) {
    assert_eq!(get_body(path).await, (status, body.to_owned()), "{path}");
}

/// An error of this type whose text contains the words.
async fn check_error(path: &str, status: u16, kind: &str, words: &str) {
    let (got, body) = get_body(path).await;
    let start = format!("{{\"status\":\"error\",\"errorType\":\"{kind}\",\"error\":\"");
    assert!(got == status && body.starts_with(&start) && body.contains(words), "{path}: {got} {body}");
}

#[tokio::test]
async fn instant_answers_have_prometheus_shapes_and_exact_values() {
    check(
        "/api/v1/query?query=1%2B1&time=4",
        200,
        r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#,
    )
    .await;
    check(
        "/api/v1/query?query=sum(increase(llm_cost_usd_total[5m]))",
        200,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"2.500000000008"]}]}}"#,
    )
    .await;
    check(
        "/api/v1/query?query=increase(llm_cost_usd_total%7Bteam!%3D%22search%22%7D%5B1m%5D)",
        200,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"team":"a\"ds"},"value":[1700000000,"0.000000000007"]}]}}"#,
    )
    .await;
    check(
        "/api/v1/query?query=%22hi%22&time=1.5",
        200,
        r#"{"status":"success","data":{"resultType":"string","result":[1.500,"hi"]}}"#,
    )
    .await;
    check(
        "/api/v1/query?query=queue_depth[1m]&time=1700000003",
        200,
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"queue_depth","job":"x"},"values":[[1700000000,"3"],[1700000001.500,"NaN"],[1700000003,"+Inf"]]}]}}"#,
    )
    .await;
}

#[tokio::test]
async fn range_answers_take_every_notation_of_time_and_step() {
    let body = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1699999940,"0.000000000001"],[1700000000,"2.500000000007"]]}]}}"#;
    for times in [
        "start=1699999940&end=1700000000&step=60",
        "start=1699999940.000&end=1700000000.000&step=1m",
        "start=2023-11-14T22:12:20Z&end=2023-11-14T22:13:20Z&step=60s",
        "start=2023-11-14T23:12:20%2B01:00&end=2023-11-14T22:13:20.000Z&step=60000ms",
    ] {
        check(&format!("/api/v1/query_range?query=sum(increase(llm_cost_usd_total[1m]))&{times}"), 200, body)
            .await;
    }
}

#[tokio::test]
async fn url_and_form_are_merged_and_both_methods_are_taken() {
    let post = |path: &str, kind: &str, body: &str| {
        let request = Request::builder().method(Method::POST).uri(path).header("content-type", kind);
        request.body(Body::from(body.to_owned())).unwrap()
    };
    let form = "application/x-www-form-urlencoded";
    let two = r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#;
    for request in [
        post("/api/v1/query", form, "query=1%2B1&time=4"),
        post("/api/v1/query?time=4", "application/x-www-form-urlencoded; charset=utf-8", "query=1%2B1"),
        post("/api/v1/query?query=5&time=4", form, "query=1+%2B+1"),
        // As vmalert sends it.
        post("/api/v1/query?query=1%2B1&time=4&step=300s", "application/json", ""),
    ] {
        assert_eq!(send(state(), request).await, (200, two.to_owned()));
    }
    let values = post("/api/v1/label/team/values", form, "match[]=llm_cost_usd_total");
    let body = r#"{"status":"success","data":["a\"ds","search"]}"#;
    assert_eq!(send(state(), values).await, (200, body.to_owned()));
}

#[tokio::test]
async fn metadata_endpoints_answer_as_grafana_expects() {
    check("/api/v1/labels", 200, r#"{"status":"success","data":["__name__","job","team"]}"#).await;
    check("/api/v1/labels?match[]=queue_depth", 200, r#"{"status":"success","data":["__name__","job"]}"#)
        .await;
    check(
        "/api/v1/label/__name__/values?limit=1",
        200,
        r#"{"status":"success","data":["llm_cost_usd_total"],"warnings":["results truncated due to limit"]}"#,
    )
    .await;
    check("/api/v1/label/U____name__/values?match[]=queue_depth", 200, r#"{"status":"success","data":[]}"#)
        .await;
    check(
        "/api/v1/series?match[]=%7Bjob%3D~%22x%7Cy%22%7D",
        200,
        r#"{"status":"success","data":[{"__name__":"queue_depth","job":"x"}]}"#,
    )
    .await;
    check(
        "/api/v1/metadata?metric=llm_calls_total",
        200,
        r#"{"status":"success","data":{"llm_calls_total":[{"type":"counter","help":"Calls that ended.","unit":""}]}}"#,
    )
    .await;
    // Of a histogram the family is described, from which Grafana knows its buckets.
    let (_, body) = get_body("/api/v1/metadata?metric=llm_call_duration_seconds").await;
    assert!(
        body.contains(r#""llm_call_duration_seconds":[{"type":"histogram""#) && !body.contains("_bucket"),
        "{body}"
    );
    check(
        "/api/v1/query_exemplars?query=test&start=1700000000000&end=1700000001000",
        200,
        r#"{"status":"success","data":[]}"#,
    )
    .await;
    let (status, body) = get_body("/api/v1/status/buildinfo").await;
    assert!(status == 200 && body.contains("\"version\":\"2.50.1\"") && !body.contains("features"), "{body}");
}

#[tokio::test]
async fn errors_have_the_type_and_status_grafana_reads() {
    check_error("/api/v1/query", 400, "bad_data", "no expression found").await;
    check_error("/api/v1/query?query=sum(", 400, "bad_data", "invalid parameter").await;
    check_error(
        "/api/v1/query?query=1&time=soon",
        400,
        "bad_data",
        "cannot parse \\\"soon\\\" to a valid timestamp",
    )
    .await;
    check_error("/api/v1/query?query=sort_by_label(x,%22a%22)", 400, "bad_data", "supported functions: abs,")
        .await;
    check_error("/api/v1/query?query=x%7Ba%3D~%22(%22%7D", 400, "bad_data", "").await;
    check_error("/api/v1/query?query=%zz", 400, "bad_data", "URL escape").await;
    check_error(
        "/api/v1/query?query=avg_over_time(llm_cost_usd_total[5m])",
        422,
        "execution",
        "use increase() or rate()",
    )
    .await;
    check_error(
        "/api/v1/query_range?query=1&start=0&end=11001&step=1",
        400,
        "bad_data",
        "exceeded maximum resolution of 11,000 points",
    )
    .await;
    check_error(
        "/api/v1/query_range?query=1&start=0&end=1&step=0",
        400,
        "bad_data",
        "zero or negative query resolution",
    )
    .await;
    check_error(
        "/api/v1/query_range?query=1&start=5&end=1&step=1",
        400,
        "bad_data",
        "must not be before start time",
    )
    .await;
    check_error(
        "/api/v1/query_range?query=1&end=1&step=1",
        400,
        "bad_data",
        "invalid parameter \\\"start\\\"",
    )
    .await;
    check_error(
        "/api/v1/query_range?query=x[5m]&start=0&end=1&step=1",
        400,
        "bad_data",
        "must be Scalar or instant Vector",
    )
    .await;
    check_error("/api/v1/series", 400, "bad_data", "no match[] parameter provided").await;
    check_error(
        "/api/v1/labels?match[]=sum(x)",
        400,
        "bad_data",
        "match[]\\\": 1:4: parse error: unexpected",
    )
    .await;
    check_error("/api/v1/labels?limit=many", 400, "bad_data", "limit").await;
    assert_eq!(
        get_body("/api/v1/query_range?query=1&start=0&end=11000&step=1").await.0,
        200,
        "11,000 intervals are allowed"
    );
    assert_eq!(get_body("/api/v1/unknown").await.0, 404);
}

#[tokio::test]
async fn hostile_queries_are_refused_and_cheap() {
    let deep = format!("{}1{}", "(".repeat(2000), ")".repeat(2000));
    let chain = format!("1{}", "%2B1".repeat(4000));
    let pattern = format!("x%7Ba%3D~%22{}%22%7D", "a".repeat(2000));
    let bomb = "x%7Ba%3D~%22((a%7B1,500%7D)%7B1,500%7D)%7B1,500%7D%22%7D";
    let subquery = "sum_over_time(vector(1)[1000d:1ms])";
    for query in [&deep, &chain, &pattern, bomb, subquery, &"1 ".repeat(10_000).replace(' ', "%20")] {
        check_error(&format!("/api/v1/query?query={query}"), 400, "bad_data", "").await;
    }
}

#[tokio::test]
async fn a_query_beyond_its_budget_says_what_to_do() {
    let mut state = state();
    state.querier = Arc::new(querier(MemorySource::default(), MemoryPool::new(4000)));
    let path = "/api/v1/query_range?query=vector(1)&start=0&end=1000&step=1";
    let (status, body) = send(state, Request::get(path).body(Body::empty()).unwrap()).await;
    assert!(
        status == 422 && body.contains("\"errorType\":\"execution\"") && body.contains("shorten the range"),
        "{body}"
    );
}

#[tokio::test]
async fn a_tenant_reads_only_its_own_series() {
    let request = || Request::get("/api/v1/label/team/values").body(Body::empty()).unwrap();
    let secret = (200, r#"{"status":"success","data":["secret"]}"#.to_owned());
    assert_eq!(send_as("other", state(), request()).await, secret);
    // Past the check of credentials nobody's data is shown.
    assert_eq!(router(state()).oneshot(request()).await.unwrap().status().as_u16(), 401);
}

#[test]
fn times_durations_and_label_names_are_read_as_prometheus_does() {
    assert_eq!(parse_time("1700000000.1234"), Some(1_700_000_000_123));
    assert_eq!(parse_time("1e9"), Some(1_000_000_000_000));
    assert_eq!(parse_time("2023-11-14T22:13:20.5Z"), Some(1_700_000_000_500));
    for bad in ["", "now", "NaN", "Inf", "1e300", "2023-11-14"] {
        assert_eq!(parse_time(bad), None, "{bad}");
    }
    assert_eq!(parse_duration("15s"), Some(15_000));
    assert_eq!(parse_duration("1h30m"), Some(5_400_000));
    assert_eq!(parse_duration("1.5"), Some(1500));
    assert_eq!(parse_duration("250ms"), Some(250));
    for bad in ["", "5", "m5", "1m1h", "1m1m", "1 m", "-5m", "5x", "99999999999999999y"] {
        assert_eq!(parse_duration(bad).filter(|_| bad != "5"), None, "{bad}");
    }
    assert_eq!(label_name("team").as_deref(), Some("team"));
    assert_eq!(label_name("U__gen__ai_2e_model").as_deref(), Some("gen_ai.model"));
    for bad in ["U__a_zz_", "U__", "", "U__a_", "U__a_2e"] {
        assert_eq!(label_name(bad), None, "{bad}");
    }
}
