//! The whole product as real processes on free ports: mock provider, agent, collector, embedded engine.
//!
//! Every test has its own stack and its own folder, and leaves neither behind. The processes take port 0 and say what
//! they got; from then on that is their configuration, because a killed process must come back where its clients look.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::apart::Apart;
use crate::clients::Client;
use crate::http::{get, percent_encoded, send};
use crate::service::{AddressSource, Recipe, Service, binary, child_of, listed, signal};
use crate::traffic::Targets;
use ledgerline_mock_provider::{MockOptions, MockProvider};

/// How a stack differs from the default one.
#[derive(Clone, Debug, Default)]
pub struct StackOptions {
    /// The provider.
    pub provider: MockOptions,
    /// Further sections of the collector's configuration, as YAML at the top level: `alerting: {...}`. The text
    /// `{directory}` stands for the stack's folder.
    pub collector_yaml: String,
    /// Further sections of the agent's configuration.
    pub agent_yaml: String,
    /// Further upstreams of the agent, items of the list; `{provider}` stands for the provider's URL.
    pub upstreams: String,
    /// Files to write into the stack's folder before anything starts, by name.
    pub files: Vec<(String, String)>,
    /// Where the agent logs; a file in the stack's folder when not set.
    pub agent_log: Option<PathBuf>,
    /// Ports to take where they are free; any free ones when not set.
    pub ports: Option<Ports>,
}

/// A running product.
#[derive(Debug)]
pub struct Stack {
    /// The provider, in this process.
    pub provider: MockProvider,
    /// The collector, which owns the engine.
    pub collector: Service,
    /// The agent.
    pub agent: Service,
    apart: Option<Arc<Apart>>,
    directory: TempDir,
}

/// Every port of a stack, on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The agent's relay.
    pub agent: u16,
    /// The agent's admin port.
    pub agent_admin: u16,
    /// OTLP over gRPC.
    pub grpc: u16,
    /// OTLP over HTTP.
    pub http: u16,
    /// The collector's API.
    pub api: u16,
}

impl Ports {
    /// Those that the documentation names.
    pub const DOCUMENTED: Self = Self { agent: 4100, agent_admin: 4101, grpc: 4317, http: 4318, api: 4319 };
}

impl Stack {
    /// Starts everything and waits until every part is ready.
    ///
    /// # Errors
    /// When a binary is missing or a part does not become ready; the error quotes its log.
    pub async fn start(options: StackOptions) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("ledgerline-").tempdir()?;
        let apart = Apart::asked_for(directory.path())?;
        let mut provider = options.provider.clone();
        if let Some(apart) = &apart {
            provider.listen = apart.here();
        }
        let provider = MockProvider::start(provider).await?;
        for (name, text) in &options.files {
            std::fs::write(directory.path().join(name), text)?;
        }
        let mut more = options.collector_yaml.replace("{directory}", &directory.path().display().to_string());
        if let Some(apart) = &apart {
            // What else a test runs is on this machine.
            more = more.replace("127.0.0.1", &apart.here_from_collector());
        }
        let place = Place { directory: directory.path(), apart: apart.as_ref() };
        let [grpc, http, api, relay, admin] = options
            .ports
            .map_or([0; 5], |ports| [ports.grpc, ports.http, ports.api, ports.agent, ports.agent_admin]);
        let collector = place.start([grpc, http, api], |listen| place.collector(listen, &more)).await?;
        let taken = place.taken("collector", ["grpc", "http", "api"])?;
        place.collector(taken.each_ref().map(String::as_str), &more)?;
        let grpc = match &apart {
            Some(apart) => apart.collector_from_agent(taken[0].rsplit(':').next().unwrap_or_default()),
            None => collector.url("grpc"),
        };
        let recipe = |listen: [&str; 2]| place.agent(listen, &provider.url, &grpc, &options);
        let agent = place.start([relay, admin], recipe).await?;
        let taken = place.taken("agent", ["relay", "admin"])?;
        recipe(taken.each_ref().map(String::as_str))?;
        Ok(Self { provider, collector, agent, apart, directory })
    }

    /// The stack's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The agent's base URL for OpenAI clients, without `/v1`.
    #[must_use]
    pub fn openai(&self) -> String {
        format!("{}/openai", self.agent.url("relay"))
    }

    /// The agent's base URL for Anthropic clients.
    #[must_use]
    pub fn anthropic(&self) -> String {
        format!("{}/anthropic", self.agent.url("relay"))
    }

    /// The agent's base URL for this client.
    #[must_use]
    pub fn base(&self, client: Client) -> String {
        if client == Client::Anthropic { self.anthropic() } else { self.openai() }
    }

    /// Both, for the traffic generator.
    ///
    /// # Errors
    /// Never for the URLs of a stack.
    pub fn targets(&self) -> anyhow::Result<Targets> {
        Ok(Targets { openai: self.openai().parse()?, anthropic: self.anthropic().parse()? })
    }

    /// The collector's API.
    #[must_use]
    pub fn api(&self) -> String {
        self.collector.url("api")
    }

    /// The URL of the Prometheus data source.
    #[must_use]
    pub fn prometheus(&self) -> String {
        format!("{}/prometheus", self.api())
    }

    /// OTLP over HTTP, without `/v1/traces`.
    #[must_use]
    pub fn otlp_http(&self) -> String {
        self.collector.url("http")
    }

    /// OTLP over gRPC.
    #[must_use]
    pub fn otlp_grpc(&self) -> String {
        self.collector.url("grpc")
    }

    /// The ports that were taken.
    #[must_use]
    pub fn ports(&self) -> Ports {
        Ports {
            agent: self.agent.address("relay").port(),
            agent_admin: self.agent.address("admin").port(),
            grpc: self.collector.address("grpc").port(),
            http: self.collector.address("http").port(),
            api: self.collector.address("api").port(),
        }
    }

    /// The agent's admin port.
    #[must_use]
    pub fn agent_admin(&self) -> String {
        self.agent.url("admin")
    }

    /// Where the embedded engine listens now.
    ///
    /// # Errors
    /// When the collector has not started one.
    pub fn engine(&self) -> anyhow::Result<String> {
        self.reachable(engine_url(&self.directory.path().join("data"))?)
    }

    fn reachable(&self, url: String) -> anyhow::Result<String> {
        let Some(apart) = &self.apart else { return Ok(url) };
        let there = url.split(['/', '?']).nth(2).context("a host")?;
        let port = there.rsplit(':').next().context("a port")?.parse()?;
        Ok(url.replacen(there, &apart.to_collector(port, false)?.to_string(), 1))
    }

    /// Runs a query in the engine, past the collector, and returns its answer as tab-separated text.
    ///
    /// # Errors
    /// When the engine refuses it; the error is the engine's own.
    pub async fn sql(&self, query: &str) -> anyhow::Result<String> {
        sql(&self.engine()?, query).await
    }

    /// A statement past the collector, with its own rights: for rows that no sender makes.
    ///
    /// # Errors
    /// When the engine refuses it; the error is the engine's own.
    pub async fn change(&self, statement: &str) -> anyhow::Result<()> {
        let file = self.directory.path().join("data").join("owner.url");
        sql(&self.reachable(url_in(&file)?)?, statement).await.map(drop)
    }

    /// An instant query through the Prometheus API.
    ///
    /// # Errors
    /// When it is refused; the error quotes the answer.
    pub async fn promql(&self, query: &str) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1/query?query={}", self.prometheus(), percent_encoded(query));
        let answer = get(&url).await?.json()?;
        ensure!(answer["status"] == "success", "{query}: {answer}");
        Ok(answer["data"]["result"].clone())
    }

    /// Waits until `spans` holds at least this many calls, and returns how many it holds. The rollups of the last of them come
    /// a moment later, with the acknowledgement: see [`wait_recorded`](Self::wait_recorded).
    ///
    /// # Errors
    /// When the deadline passes first.
    pub async fn wait_for_calls(&self, calls: u64, deadline: Duration) -> anyhow::Result<u64> {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            let stored = self.sql("SELECT count() FROM spans WHERE is_call").await.unwrap_or_default();
            let stored: u64 = stored.trim().parse().unwrap_or(0);
            if stored >= calls {
                return Ok(stored);
            }
            if tokio::time::Instant::now() > end {
                bail!("{stored} of {calls} calls recorded after {deadline:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until nothing is under way any more: the agent has ended every call that it saw begin, the collector has
    /// acknowledged each of them, and as many are in the record. Returns how many. A client makes more calls than a test
    /// counts (a library repeats what was refused), so a test that reads the record waits for this and not for a number.
    ///
    /// # Errors
    /// When the deadline passes first; the error says what is missing, so that late can be told from lost.
    pub async fn wait_recorded(&self, deadline: Duration) -> anyhow::Result<u64> {
        let end = tokio::time::Instant::now() + deadline;
        let exported = self.wait_acknowledged(deadline).await?;
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        let stored =
            self.wait_for_calls(exported, left).await.context("acknowledged and not in the record")?;
        ensure!(stored == exported, "{exported} calls acknowledged, {stored} in the record");
        Ok(stored)
    }

    /// The first half of [`wait_recorded`](Self::wait_recorded), for a record that others fill as well: the agent has ended
    /// every call that it saw begin, and the collector has acknowledged each. Returns how many.
    ///
    /// # Errors
    /// When the deadline passes first; the error shows the agent's metrics.
    pub async fn wait_acknowledged(&self, deadline: Duration) -> anyhow::Result<u64> {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            let metrics = get(&format!("{}/metrics", self.agent_admin())).await?.text();
            let agent =
                |name: &str| sum_of(&metrics, &format!("ledgerline_agent_{name}")).unwrap_or(0.0) as u64;
            let (recorded, exported) = (agent("calls_recorded_total"), agent("calls_exported_total"));
            let accounted = recorded + agent("calls_ignored_total") + agent("calls_unobserved_total");
            let is_quiet = agent("relay_requests_running") == 0
                && agent("calls_observed_total") == accounted
                && recorded == exported + agent("calls_dropped_total");
            if is_quiet {
                return Ok(exported);
            }
            if tokio::time::Instant::now() > end {
                bail!("calls are under way after {deadline:?}:\n{metrics}");
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// SIGKILL to the engine. The collector starts it again.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_engine(&self) -> anyhow::Result<()> {
        let collector = self.collector.pid().context("the collector does not run")?;
        let engine = child_of(collector, "ledgerline-engine").context("the collector has no engine now")?;
        signal("KILL", &engine.to_string());
        Ok(())
    }

    /// A metric of the agent, summed over its labels.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub async fn agent_metric(&self, name: &str) -> anyhow::Result<f64> {
        metric(&self.agent_admin(), name).await
    }

    /// A metric of the collector, summed over its labels.
    ///
    /// # Errors
    /// When the collector does not answer.
    pub async fn collector_metric(&self, name: &str) -> anyhow::Result<f64> {
        metric(&self.api(), name).await
    }
}

/// Where the engine that keeps its data there listens, with the password of its reader.
///
/// # Errors
/// When no engine has said so.
pub fn engine_url(data: &Path) -> anyhow::Result<String> {
    url_in(&data.join("reader.url"))
}

fn url_in(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let parts = text.trim().strip_prefix("http://").and_then(|rest| {
        let (user, rest) = rest.split_once(':')?;
        let (password, address) = rest.split_once('@')?;
        Some((user, password, address))
    });
    let (user, password, address) = parts.with_context(|| format!("{} holds no URL", file.display()))?;
    Ok(format!("http://{address}?user={user}&password={password}"))
}

/// Runs a query in an engine, in the product's database, and returns its answer as tab-separated text.
///
/// # Errors
/// When the engine refuses it; the error is the engine's own.
pub async fn sql(engine: &str, query: &str) -> anyhow::Result<String> {
    let url = format!("{engine}&database=ledgerline&output_format_decimal_trailing_zeros=1");
    let answer = send(Method::POST, &url, &[], Bytes::from(query.to_owned())).await?;
    ensure!(answer.status.is_success(), "{query}: {}", answer.text());
    Ok(answer.text())
}

async fn metric(admin: &str, name: &str) -> anyhow::Result<f64> {
    let text = get(&format!("{admin}/metrics")).await?.text();
    sum_of(&text, name).with_context(|| format!("{admin} has no metric {name}"))
}

/// The sum of a metric over its labels, in the text of a scrape.
fn sum_of(text: &str, name: &str) -> Option<f64> {
    let mut found = None;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ')?;
        if series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')) {
            found = Some(found.unwrap_or(0.0) + value.parse::<f64>().ok()?);
        }
    }
    found
}

/// Where a stack's processes are.
#[derive(Clone, Copy)]
struct Place<'a> {
    directory: &'a Path,
    apart: Option<&'a Arc<Apart>>,
}

impl Place<'_> {
    /// Starts a process at these ports. Where one of them is taken, now or by the time the process binds it, it starts at
    /// free ones, which it chooses itself: nobody else can take a port that is bound.
    async fn start<const N: usize>(
        self,
        wanted: [u16; N],
        recipe: impl Fn([&str; N]) -> anyhow::Result<Recipe>,
    ) -> anyhow::Result<Service> {
        let host = if self.apart.is_some() { "0.0.0.0" } else { "127.0.0.1" };
        let is_free = |port: u16| std::net::TcpListener::bind((host, port)).is_ok();
        let wanted = wanted.map(|port| format!("{host}:{}", if is_free(port) { port } else { 0 }));
        let free = std::array::from_fn(|_| format!("{host}:0"));
        let listen = wanted.each_ref().map(String::as_str);
        match Service::start(recipe(listen)?).await {
            Err(error) if wanted != free && format!("{error:#}").contains("cannot listen on") => {
                Service::start(recipe(free.each_ref().map(String::as_str))?).await
            }
            outcome => outcome,
        }
    }

    /// How to run a collector with an embedded engine, listening for gRPC, HTTP and its API at these addresses. Writes its
    /// configuration, which it reads again whenever it starts.
    fn collector(self, [grpc, http, api]: [&str; 3], more: &str) -> anyhow::Result<Recipe> {
        let (tls, auth) = self.apart.map(|apart| apart.collector_yaml()).unwrap_or_default();
        let yaml = format!(
            "listen: {{grpc: '{grpc}', http: '{http}', api: '{api}'{tls}}}\n\
             storage: {{url: embedded, data_dir: '{}', engine: {{binary: '{}'}}}}\n{auth}{more}\n",
            self.directory.join("data").display(),
            binary("ledgerline-engine")?.display(),
        );
        self.recipe("collector", &yaml, ("api", "/ready"))
    }

    /// The same for the agent, with its relay and its admin port at these addresses.
    fn agent(
        self,
        [relay, admin]: [&str; 2],
        provider: &str,
        collector: &str,
        options: &StackOptions,
    ) -> anyhow::Result<Recipe> {
        let (top, export) = self.apart.map(|apart| apart.agent_yaml()).unwrap_or_default();
        let yaml = format!(
            "listen: '{relay}'\nadmin: {{listen: '{admin}'}}\n{top}upstreams:\n\
             - {{name: openai, prefix: /openai, url: '{provider}', dialect: openai}}\n\
             - {{name: anthropic, prefix: /anthropic, url: '{provider}', dialect: anthropic}}\n{}\n\
             export: {{collector: '{collector}'{export}}}\n{}\n",
            options.upstreams.replace("{provider}", provider),
            options.agent_yaml,
        );
        let recipe = self.recipe("agent", &yaml, ("admin", "/ready"))?;
        Ok(Recipe { log: options.agent_log.clone().unwrap_or(recipe.log), ..recipe })
    }

    fn recipe(self, name: &str, yaml: &str, ready: (&'static str, &'static str)) -> anyhow::Result<Recipe> {
        let file = |extension: &str| self.directory.join(format!("{name}.{extension}"));
        std::fs::write(file("yaml"), yaml)?;
        let program = binary(&format!("ledgerline-{name}"))?;
        let mut command = match self.apart {
            Some(apart) => apart.command(&program),
            None => vec![program.display().to_string()],
        };
        let path = |extension| file(extension).display().to_string();
        command.extend(["--config".into(), path("yaml"), "--addresses-file".into(), path("addresses")]);
        let addresses = match self.apart {
            Some(apart) => AddressSource::Apart(file("addresses"), Arc::clone(apart)),
            None => AddressSource::File(file("addresses")),
        };
        Ok(Recipe {
            program: command.remove(0).into(),
            arguments: command,
            environment: Vec::new(),
            ready,
            addresses,
            log: file("log"),
        })
    }

    /// The addresses that a process took where it runs.
    fn taken<const N: usize>(self, name: &str, listeners: [&str; N]) -> anyhow::Result<[String; N]> {
        let all = listed(&self.directory.join(format!("{name}.addresses"))).context("no addresses")?;
        Ok(listeners.map(|listener| all[listener].to_string()))
    }
}
