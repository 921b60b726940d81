//! Runs the blocks of a page against a running stack.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ledgerline_testkit::clients;
use ledgerline_testkit::service::binary;
use ledgerline_testkit::stack::{Ports, Stack};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::page::Block;

/// How long one block may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// In place of a program: it starts no second process but checks the configuration that this would start with, and where a command names no
/// configuration it takes the stack's.
const INSTEAD: &str = "#!/bin/sh
case \" $* \" in
*' --config '*) if [ $# = 2 ]; then exec BINARY check-config \"$@\"; fi; exec BINARY \"$@\" ;;
*) exec BINARY \"$@\" --config CONFIG ;;
esac
";

/// Where blocks are run.
pub struct Bench<'a> {
    stack: &'a Stack,
    /// What stands on a page and what is meant by it here.
    words: Vec<(String, String)>,
    /// The folder in which commands are run; `ledgerline-data` in it is the stack's.
    directory: TempDir,
    python: PathBuf,
    node: PathBuf,
}

impl<'a> Bench<'a> {
    /// Prepares programs and names.
    pub async fn set_up(stack: &'a Stack) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(stack.path().join("data"), directory.path().join("ledgerline-data"))
            .unwrap();
        for name in ["ledgerline-agent", "ledgerline-collector"] {
            let path = directory.path().join("bin").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let program = binary(name).unwrap().display().to_string();
            let own = name.trim_start_matches("ledgerline-");
            let config = stack.path().join(format!("{own}.yaml")).display().to_string();
            let script = INSTEAD.replace("BINARY", &program).replace("CONFIG", &config);
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        for folder in ["alerts", "dashboards"] {
            let there = super::root().canonicalize().unwrap().join(folder);
            std::os::unix::fs::symlink(there, directory.path().join(folder)).unwrap();
        }
        let ports = stack.ports();
        let documented = Ports::DOCUMENTED;
        let mut words: Vec<(String, String)> = [
            (documented.agent, ports.agent),
            (documented.agent_admin, ports.agent_admin),
            (documented.grpc, ports.grpc),
            (documented.http, ports.http),
            (documented.api, ports.api),
        ]
        .map(|(there, here)| (format!("127.0.0.1:{there}"), format!("127.0.0.1:{here}")))
        .to_vec();
        words.push(("target/release/".to_owned(), String::new()));
        // The folder of the demo, of whose stack this is one.
        words.push(("/tmp/ledgerline-AbCdEf".to_owned(), stack.path().display().to_string()));
        let (python, node) =
            (clients::environment().await.unwrap().join("bin"), clients::node().await.unwrap());
        Self { stack, words, directory, python, node }
    }

    /// What is set where a page begins.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let path = format!(
            "{}:{}:{}",
            self.directory.path().join("bin").display(),
            self.python.display(),
            std::env::var("PATH").unwrap()
        );
        [("PATH".to_owned(), path), ("NO_PROXY".to_owned(), "*".to_owned())].into()
    }

    /// Does with a block what its mark says. What it exports is added to the environment.
    pub async fn run(&self, block: &Block, environment: &mut BTreeMap<String, String>) -> Result<(), String> {
        // What the block above called is in the record before this one asks for it.
        self.stack.wait_acknowledged(DEADLINE).await.map_err(|error| error.to_string())?;
        let mut text = block.text.clone();
        for (there, here) in &self.words {
            text = text.replace(there, here);
        }
        match (block.language.as_str(), block.mark.as_str()) {
            ("sh", "run") => {
                for line in text.lines() {
                    let pairs = line.strip_prefix("export ").into_iter().flat_map(str::split_whitespace);
                    environment.extend(pairs.filter_map(|pair| {
                        let (name, value) = pair.split_once('=')?;
                        Some((name.to_owned(), value.to_owned()))
                    }));
                }
                self.program("bash", &["-euo", "pipefail", "-s"], self.directory.path(), &text, environment)
                    .await
                    .map(drop)
            }
            ("sh", "setup") => {
                self.parse("bash", &["-n"], &text, environment).await?;
                starts_what_exists(&text)
            }
            ("python", "run") => {
                self.program("python", &["-"], self.directory.path(), &text, environment).await.map(drop)
            }
            ("python", "syntax") => {
                let parse = ["-c", "import ast, sys; ast.parse(sys.stdin.read())"];
                self.parse("python", &parse, &text, environment).await
            }
            ("js", "run") => {
                // Packages are looked for from here on.
                self.program("node", &["--input-type=module", "-"], &self.node, &text, environment)
                    .await
                    .map(drop)
            }
            ("sql", _) => {
                let rows = self
                    .stack
                    .sql(text.trim().trim_end_matches(';'))
                    .await
                    .map_err(|error| error.to_string())?;
                if rows.trim().is_empty() { Err("it finds nothing".to_owned()) } else { Ok(()) }
            }
            ("promql", _) => self.ask(&text).await,
            ("yaml", process @ ("agent" | "collector")) => {
                let file = self.directory.path().join(format!("page-{process}.yaml"));
                std::fs::write(&file, &text).unwrap();
                let program = format!("ledgerline-{process}");
                let arguments = ["check-config", "--config", file.to_str().unwrap()];
                self.program(&program, &arguments, self.directory.path(), "", environment).await.map(drop)
            }
            ("yaml", documents @ ("rules" | "budgets")) => {
                let file = |name: &str| self.directory.path().join(name);
                std::fs::write(file("page-documents.yaml"), &text).unwrap();
                let key = if documents == "rules" { "alerting: {rule_files" } else { "budgets: {files" };
                let config = format!("{key}: ['{}']}}\n", file("page-documents.yaml").display());
                std::fs::write(file("page-collector.yaml"), config).unwrap();
                let arguments = ["check-config", "--config", "page-collector.yaml"];
                self.program("ledgerline-collector", &arguments, self.directory.path(), "", environment)
                    .await
                    .map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Each line is a query, what is behind a `#` a remark.
    async fn ask(&self, text: &str) -> Result<(), String> {
        for line in text.lines() {
            let query = line.split(" #").next().unwrap_or_default().trim();
            if query.is_empty() || query.starts_with('#') {
                continue;
            }
            let found = self.stack.promql(query).await.map_err(|error| error.to_string())?;
            if found.as_array().is_none_or(Vec::is_empty) {
                return Err(format!("`{query}` finds nothing"));
            }
        }
        Ok(())
    }

    async fn parse(
        &self,
        program: &str,
        arguments: &[&str],
        text: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        self.program(program, arguments, self.directory.path(), text, environment).await.map(drop)
    }

    /// Runs a program with this on its standard input, and returns what it printed.
    async fn program(
        &self,
        program: &str,
        arguments: &[&str],
        directory: &Path,
        input: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        // A program is looked for in our own PATH, not in the one it gets.
        let places = std::env::split_paths(&environment["PATH"]).map(|place| place.join(program));
        let program =
            places.into_iter().find(|path| path.is_file()).ok_or(format!("there is no {program}"))?;
        let mut command = Command::new(&program);
        command.args(arguments).envs(environment).current_dir(directory).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut stdin = child.stdin.take().ok_or("no standard input")?;
        let run = async {
            // A program that does not read it all is judged by how it ends.
            let _written = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            child.wait_with_output().await
        };
        let output =
            tokio::time::timeout(DEADLINE, run).await.map_err(|_| format!("not done in {DEADLINE:?}"))?;
        let output = output.map_err(|error| error.to_string())?;
        let (out, problem) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            Ok(out.into_owned())
        } else {
            Err(format!("{}: {problem}{out}", output.status))
        }
    }
}

/// Targets of `make` and files of the repository in commands that are too long to run here.
fn starts_what_exists(text: &str) -> Result<(), String> {
    let makefile = std::fs::read_to_string(super::root().join("Makefile")).unwrap();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("make") => {
                let target = words.next().unwrap_or_default();
                if !makefile.contains(&format!("\n{target}:")) {
                    return Err(format!("there is no `make {target}`"));
                }
            }
            Some(path)
                if path.contains('/')
                    && !path.starts_with("target/")
                    && !super::root().join(path).exists() =>
            {
                return Err(format!("there is no {path}"));
            }
            _ => {}
        }
    }
    Ok(())
}
