//! Groups on paused tokio time: the clock follows it, so hours pass in milliseconds and nothing sleeps.

use super::*;
use ledgerline_process::config::Problems;

use crate::access::Principal;
use crate::alerting::config::{AlertingConfig, AlertingSettings};
use crate::alerting::rules::tests::load;
use crate::alerting::state::Phase;
use crate::alerting::{Alerting, Forgetful};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

/// Wall time that follows tokio's, plus a jump that a test sets. Starts at 12:00:07.5 UTC, off every grid.
struct FollowingClock {
    started: Instant,
    jump_ms: AtomicI64,
}

const START_MS: i64 = 1_700_049_607_500;

impl Clock for FollowingClock {
    fn now_unix_ns(&self) -> u64 {
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap();
        let now = START_MS + elapsed + self.jump_ms.load(Ordering::SeqCst);
        u64::try_from(now).unwrap() * 1_000_000
    }
}

/// Answers by the text of the expression and keeps what it was asked.
#[derive(Default)]
struct Scripted {
    asked: Mutex<Vec<(String, i64)>>,
}

impl Scripted {
    fn times(&self, expr: &str) -> Vec<i64> {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == expr).map(|(_, at)| *at).collect()
    }
}

impl InstantQuery for Scripted {
    fn query<'a>(&'a self, expr: &'a str, at: UnixMs) -> BoxFuture<'a, Result<Vec<Sample>, String>> {
        self.asked.lock().unwrap().push((expr.to_owned(), at.0));
        let minute = (at.0 - START_MS) / 60_000;
        async move {
            match expr {
                "slow" => tokio::time::sleep(Duration::from_secs(40)).await,
                "hang" => std::future::pending().await,
                "broken" => return Err("no such column".to_owned()),
                "panics" => panic!("bug in the query source"),
                "breaks_later" if minute >= 2 => return Err("gone".to_owned()),
                _ => {}
            }
            Ok(vec![Sample { labels: [("team".to_owned(), "a".to_owned())].into(), value: 1.0 }])
        }
        .boxed()
    }
}

struct World {
    query: Arc<Scripted>,
    clock: Arc<FollowingClock>,
    metrics: Metrics,
    view: RulesView,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl World {
    fn start(yaml: &str, config: AlertingConfig) -> Self {
        let groups = load("f", yaml).unwrap();
        let settings = config.resolve(&|_| Ok(()), None, &mut Problems::default()).unwrap();
        let settings = AlertingSettings { groups, ..settings };
        let query = Arc::new(Scripted::default());
        let clock = Arc::new(FollowingClock { started: Instant::now(), jump_ms: AtomicI64::new(0) });
        let metrics = Metrics::default();
        let alerting = Alerting::new(
            settings,
            Principal::of("acme"),
            query.clone(),
            Arc::new(Forgetful),
            clock.clone(),
            metrics.clone(),
        )
        .unwrap();
        let view = alerting.view.clone();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(alerting.run(shutdown.clone()));
        Self { query, clock, metrics, view, shutdown, running }
    }

    async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn count(&self, family: impl Fn(&Metrics) -> u64) -> u64 {
        family(&self.metrics)
    }

    fn rule(&self, group: usize) -> RuleSnapshot {
        self.view.groups()[group].rules[0].clone()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.running).await.unwrap().unwrap();
    }
}

fn label(group: &str) -> [String; 1] {
    [format!("f;{group}")]
}

#[tokio::test(start_paused = true)]
async fn groups_are_evaluated_on_the_utc_grid_of_their_interval_behind_their_offset() {
    let yaml = "groups: [{name: a, rules: [{alert: A, expr: one}]},
        {name: b, interval: 1m, query_offset: 5s, rules: [{alert: B, expr: two}]}]";
    let world = World::start(yaml, AlertingConfig::default());
    world.pass(Duration::from_secs(120)).await;
    let one = world.query.times("one");
    assert_eq!(one[..3], [START_MS + 7_500 - 10_000, START_MS + 22_500 - 10_000, START_MS + 37_500 - 10_000]);
    assert_eq!(one.len(), 8);
    assert_eq!(world.query.times("two"), [START_MS + 52_500 - 5_000, START_MS + 112_500 - 5_000]);
    assert_eq!(world.count(|metrics| metrics.evaluations.of(label("a")).get()), 8);
    assert_eq!(world.count(|metrics| metrics.iterations_missed.of(label("a")).get()), 0);
    assert_eq!(world.metrics.alerts.of(["f;a", "firing"]).get(), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn evaluations_that_take_longer_than_the_interval_are_skipped_and_counted() {
    let config = AlertingConfig { query_timeout_ms: 60_000, ..AlertingConfig::default() };
    let world = World::start("groups: [{name: a, rules: [{alert: A, expr: slow}]}]", config);
    world.pass(Duration::from_secs(200)).await;
    // Each takes 40 s, so of three grid points two pass unused.
    let times = world.query.times("slow");
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [30_000, 45_000, 45_000, 30_000], "{times:?}");
    assert_eq!(world.count(|metrics| metrics.iterations_missed.of(label("a")).get()), 1 + 2 + 2 + 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_group_stops_no_other_and_says_why() {
    let yaml = "groups: [{name: hangs, rules: [{alert: A, expr: hang}]}, {name: breaks, rules: [{alert: A, expr: broken}]},
        {name: panics, rules: [{alert: A, expr: panics}, {alert: B, expr: after}]}, {name: good, rules: [{alert: A, expr: good}]}]";
    let config = AlertingConfig { query_timeout_ms: 5_000, ..AlertingConfig::default() };
    let world = World::start(yaml, config);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.query.times("good").len(), 4);
    assert_eq!(world.query.times("after").len(), 4);
    let reason = |group: usize| match world.rule(group).health {
        Health::Failed(reason) => reason,
        other => panic!("group {group} is {other:?}"),
    };
    assert_eq!(reason(0), "no answer within 5000 ms");
    assert_eq!(reason(1), "no such column");
    assert_eq!(reason(2), "the query source panicked");
    assert_eq!(world.rule(3).health, Health::Ok);
    assert_eq!(world.count(|metrics| metrics.evaluation_failures.of(label("breaks")).get()), 4);
    assert_eq!(world.count(|metrics| metrics.evaluation_failures.of(label("good")).get()), 0);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_text_asks_is_asked_for_the_same_time_and_spoils_nothing_else() {
    let yaml = r#"groups: [{name: a, rules: [{alert: A, expr: one, annotations: {
        good: '{{ $value }} of {{ printf "of_%s" $labels.team | query | first | value }}',
        bad: '{{ query "broken" | first | value }}', late: '{{ query "hang" | first | value }}'}}]}]"#;
    let config = AlertingConfig { query_timeout_ms: 5_000, ..AlertingConfig::default() };
    let world = World::start(yaml, config);
    world.pass(Duration::from_secs(30)).await;
    let rule = world.rule(0);
    assert_eq!(rule.health, Health::Ok);
    let alert = rule.state.alerts.values().next().unwrap();
    assert_eq!(alert.annotations["good"], "1 of 1");
    assert_eq!(alert.annotations["bad"], "<error expanding template: no such column>");
    assert_eq!(alert.annotations["late"], "<error expanding template: no answer within 5000 ms>");
    assert_eq!(world.query.times("of_a"), world.query.times("one"));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failed_evaluations_resolve_nothing() {
    let world = World::start(
        "groups: [{name: a, rules: [{alert: A, expr: breaks_later}]}]",
        AlertingConfig::default(),
    );
    world.pass(Duration::from_secs(3600)).await;
    let rule = world.rule(0);
    assert_eq!(rule.health, Health::Failed("gone".to_owned()));
    let alert = rule.state.alerts.values().next().unwrap();
    assert!(matches!(alert.phase, Phase::Firing { .. }), "{alert:?}");
    // It is still told to Alertmanagers, so that they do not resolve it by silence either.
    let told = rule.last_evaluation.unwrap().since(alert.last_sent.unwrap());
    assert!(told <= Duration::from_secs(60), "{told:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_is_followed_and_a_clock_set_ahead_skips() {
    let world =
        World::start("groups: [{name: a, rules: [{alert: A, expr: one}]}]", AlertingConfig::default());
    world.pass(Duration::from_secs(60)).await;
    world.clock.jump_ms.store(-86_400_000, Ordering::SeqCst);
    world.pass(Duration::from_secs(60)).await;
    let times = world.query.times("one");
    assert_eq!(times.len(), 8, "{times:?}");
    assert!(times[4] < START_MS - 86_000_000);
    assert_eq!(world.rule(0).health, Health::Ok);
    assert_eq!(world.rule(0).state.alerts.len(), 1);
    world.clock.jump_ms.store(0, Ordering::SeqCst);
    world.pass(Duration::from_secs(30)).await;
    // A day of grid points came at once: the newest is evaluated, the others are counted.
    assert_eq!(world.count(|metrics| metrics.iterations_missed.of(label("a")).get()), 86_400 / 15 - 1);
    world.stop().await;
}
