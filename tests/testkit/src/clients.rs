//! Runs the client programs of `tests/clients` in their pinned environments, Python's and Node's: a job as JSON on standard input, one
//! JSON line per case on standard output. A program that does not end is killed at its deadline; what it printed on
//! standard error becomes the error. It must never fall back to packages of the machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use ledgerline_mock_provider::{Api, Expectation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// How long the set-up of the environment may take, downloads included.
const SETUP_DEADLINE: Duration = Duration::from_secs(600);

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients")
}

/// The environment's directory: `LEDGERLINE_VENV` if it is set, else what `tests/clients/setup.sh` makes, once per
/// process. The error says what is missing on this machine.
pub async fn environment() -> anyhow::Result<&'static Path> {
    static ENVIRONMENT: OnceCell<PathBuf> = OnceCell::const_new();
    let path = ENVIRONMENT.get_or_try_init(|| async {
        match std::env::var_os("LEDGERLINE_VENV") {
            Some(path) => Ok(PathBuf::from(path)),
            None => set_up("python").await,
        }
    });
    Ok(path.await?)
}

/// A folder from which programs for Node find the packages, which are set up once per process.
///
/// # Errors
/// When they cannot be.
pub async fn node() -> anyhow::Result<PathBuf> {
    static PACKAGES: OnceCell<PathBuf> = OnceCell::const_new();
    PACKAGES.get_or_try_init(|| set_up("node")).await?;
    Ok(clients().join("node"))
}

async fn set_up(what: &str) -> anyhow::Result<PathBuf> {
    let script = clients().join("setup.sh");
    let run = Command::new(&script).arg(what).kill_on_drop(true).output();
    let output = tokio::time::timeout(SETUP_DEADLINE, run)
        .await
        .with_context(|| format!("{} did not end within {SETUP_DEADLINE:?}", script.display()))?
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let printed = String::from_utf8(output.stdout)?;
    let path = printed.lines().last().context("setup.sh printed no path")?;
    Ok(PathBuf::from(path))
}

/// A family of real clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// The `openai` package for Python, Chat Completions.
    OpenAi,
    /// The `openai` package for Python, Responses.
    Responses,
    /// The `anthropic` package for Python.
    Anthropic,
    /// The `openai` package for Node, Responses.
    NodeResponses,
    /// Vercel's `ai` with `@ai-sdk/openai`, whose default models speak Responses.
    Vercel,
}

impl Client {
    /// Every client.
    pub const ALL: [Self; 5] =
        [Self::OpenAi, Self::Responses, Self::Anthropic, Self::NodeResponses, Self::Vercel];

    /// The API it calls.
    #[must_use]
    pub fn api(self) -> Api {
        match self {
            Self::OpenAi => Api::OpenAi,
            Self::Responses | Self::NodeResponses | Self::Vercel => Api::Responses,
            Self::Anthropic => Api::Anthropic,
        }
    }

    /// The ways in which it can be called: Node knows no blocking client.
    #[must_use]
    pub fn modes(self) -> &'static [Mode] {
        if self.is_node() { &[Mode::Async] } else { &[Mode::Sync, Mode::Async] }
    }

    /// Whether it makes anything of this scenario that a test could compare. Node's own decoder for Zstandard came with
    /// 22.15; `ai` does not number its retries, so the mock cannot know one.
    #[must_use]
    pub fn can_play(self, scenario: &str) -> bool {
        match scenario {
            "zstd" => !self.is_node(),
            "flaky_429" => self != Self::Vercel,
            _ => true,
        }
    }

    /// What this client makes of a scenario, where that is not what libraries commonly do: Node's decoder replaces bytes
    /// that are not UTF-8 and says nothing.
    #[must_use]
    pub fn expects_otherwise(self, scenario: &str, _stream: bool) -> Option<Expectation> {
        match scenario {
            "invalid_utf8" if self.is_node() => Some(Expectation::Any),
            _ => None,
        }
    }

    fn is_node(self) -> bool {
        matches!(self, Self::NodeResponses | Self::Vercel)
    }

    fn script(self) -> PathBuf {
        clients().join(match self {
            Self::OpenAi => "python/openai_client.py",
            Self::Responses => "python/responses_client.py",
            Self::Anthropic => "python/anthropic_client.py",
            Self::NodeResponses => "node/openai_client.mjs",
            Self::Vercel => "node/ai_client.mjs",
        })
    }
}

/// Which of the SDK's two clients makes the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The blocking client.
    #[default]
    Sync,
    /// The asyncio client.
    Async,
}

/// One call to be made. What is `None` is left to the program's defaults, which are those of the SDK but for retries
/// (none) and the timeout (60 s).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Case {
    /// Comes back in [`Line::case`].
    pub case: u64,
    /// A name in [`ledgerline_mock_provider::SCENARIOS`].
    pub scenario: String,
    /// Parameters of the scenario, `name=number ...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<String>,
    /// Blocking or asyncio.
    pub mode: Mode,
    /// Whether to stream.
    pub stream: bool,
    /// The model to ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The user's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// OpenAI streams only: `stream_options.include_usage`; `None` leaves `stream_options` out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_usage: Option<bool>,
    /// OpenAI only: the number of choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Responses only: several requests that belong together, by the name they have in `responses_client.py`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// Close the stream after this many events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_after: Option<u64>,
    /// The SDK's own retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u64>,
    /// Read, write and connect timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<f64>,
    /// Additional request headers: identity, `traceparent`.
    pub headers: std::collections::BTreeMap<String, String>,
}

/// One of the responses that a client got.
#[derive(Clone, Debug, Deserialize)]
pub struct Exchange {
    /// The oracle's id of it.
    pub id: Option<String>,
    /// SHA-256 of the raw body as far as it was read.
    pub sha256: String,
    /// The length of the same.
    pub bytes: u64,
}

/// What a client saw of one call.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// `openai`, `anthropic`, `openai-node` or `ai`.
    pub client: String,
    /// [`Case::case`].
    pub case: u64,
    /// [`Case::mode`].
    pub mode: Mode,
    /// [`Case::stream`].
    pub stream: bool,
    /// [`Case::scenario`].
    pub scenario: String,
    /// SHA-256 of the raw body of the last attempt, before any content decoding, as far as it was read.
    pub sha256: String,
    /// The length of the same.
    pub bytes: u64,
    /// True if the body was read to its end.
    pub ended: bool,
    /// Per read of the body: milliseconds since the call began and the number of bytes.
    pub chunks: Vec<(f64, u64)>,
    /// The status of the last attempt; `None` if no response came.
    pub status: Option<u16>,
    /// Response headers in order, names in lower case, duplicates kept.
    pub headers: Vec<(String, String)>,
    /// How many responses there were: more than one if the SDK retried.
    pub attempts: u64,
    /// All of them, in order; only the programs for Python say so.
    #[serde(default)]
    pub exchanges: Vec<Exchange>,
    /// The first 2,000 characters of the first choice: text, refusal, transcript, thinking and tool arguments.
    pub text: String,
    /// SHA-256 of the whole of it.
    pub text_sha256: String,
    /// Number of choices that had text.
    pub choices: u64,
    /// Until the first text.
    pub ttft_ms: Option<f64>,
    /// Until the call was over.
    pub total_ms: f64,
    /// True if the case asked for an early end.
    pub aborted: bool,
    /// The class of the exception, if one was raised.
    pub error: Option<String>,
    /// The package that defines the class.
    pub error_module: Option<String>,
    /// Its text.
    pub error_message: Option<String>,
    /// The response's id.
    pub id: Option<String>,
    /// The response's model.
    pub model: Option<String>,
    /// Usage as the SDK returned it, without the fields that were not on the wire; Anthropic's start and delta merged.
    pub usage: Option<Value>,
    /// Anthropic streams: the usage of `message_start`.
    #[serde(default)]
    pub usage_start: Option<Value>,
    /// Anthropic streams: the usage of `message_delta`.
    #[serde(default)]
    pub usage_delta: Option<Value>,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// OpenAI: the tier served.
    #[serde(default)]
    pub service_tier: Option<String>,
    /// How many events the SDK gave out.
    pub events: u64,
}

impl Line {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Makes the calls against `base_url` (without `/v1`), asyncio ones up to `concurrency` at a time, and returns what the
/// client saw in the order of the cases.
pub async fn run_clients(
    client: Client,
    base_url: &str,
    concurrency: usize,
    cases: &[Case],
    deadline: Duration,
) -> anyhow::Result<Vec<Line>> {
    let job = serde_json::json!({ "base_url": base_url, "concurrency": concurrency, "cases": cases });
    let script = client.script();
    let mut lines: Vec<Line> = run_script(&script, &job, deadline).await?;
    if lines.len() != cases.len() {
        bail!("{}: {} lines for {} cases", script.display(), lines.len(), cases.len());
    }
    let place: std::collections::HashMap<u64, usize> =
        cases.iter().enumerate().map(|(index, case)| (case.case, index)).collect();
    lines.sort_by_key(|line| place.get(&line.case).copied());
    Ok(lines)
}

/// Runs a program of the environments, Node's if its name ends in `.mjs` and else Python's: `job` goes to its standard input, each line of its standard output is parsed.
pub async fn run_script<T: DeserializeOwned>(
    script: &Path,
    job: &Value,
    deadline: Duration,
) -> anyhow::Result<Vec<T>> {
    let mut command = if script.extension().is_some_and(|extension| extension == "mjs") {
        node().await?;
        Command::new("node")
    } else {
        let mut python = Command::new(environment().await?.join("bin").join("python"));
        python.args(["-I", "-B", "-X", "utf8", "-c", RUN]);
        python
    };
    let name = script.file_name().unwrap_or_default().display();
    let mut child = command
        .arg(script)
        .env("NO_PROXY", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut stdin = child.stdin.take().context("the child has no standard input")?;
    let job = serde_json::to_vec(job)?;
    let run = async move {
        stdin.write_all(&job).await?;
        drop(stdin);
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(deadline, run)
        .await
        .with_context(|| format!("{name} did not end within {deadline:?} and was killed"))??;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{name} ended with {}: {}", output.status, stderr.trim());
    }
    String::from_utf8(output.stdout)?
        .lines()
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("{name} printed {line:.200}; {stderr}"))
        })
        .collect()
}

/// Isolated mode keeps the machine's packages and PYTHON* variables out; the script's own folder is added back by hand.
const RUN: &str = "import os, runpy, sys; script = sys.argv[1]; sys.path.insert(0, os.path.dirname(script)); \
                   runpy.run_path(script, run_name='__main__')";
