//! Weeks of four kinds of teams in which faults are planted, and what the shipped alerts say of them. The record is made up; the rules, the
//! language that they are written in and the state machine of alerts are the product's.

pub mod chance;
pub mod fault;
pub mod judge;
pub mod record;
pub mod team;
#[cfg(test)]
mod tests;
pub mod watch;

use std::path::Path;

use anyhow::Context;

use fault::Planted;
use judge::Verdict;
use team::{Kind, Team};
use watch::Firing;

/// One team's weeks: what was planted, and what fired.
#[derive(Debug)]
pub struct Watched {
    /// Whose.
    pub kind: Kind,
    /// In the order of time.
    pub planted: Vec<Planted>,
    /// In the order in which they began.
    pub firings: Vec<Firing>,
}

/// Makes so many weeks of each kind of team, watches them with the rules of a folder, and judges what fired.
pub async fn run(root: &Path, weeks: usize, seed: u64) -> anyhow::Result<Verdict> {
    let rules = watch::load(&root.join("alerts"))?;
    let mut watching = tokio::task::JoinSet::new();
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        let rules = rules.clone();
        watching.spawn(async move {
            let mut team = Team::of(kind, weeks, seed);
            let planted = fault::plant(&mut team);
            let firings = watch::watch(&rules, record::of(team)).await?;
            Ok::<_, anyhow::Error>((place, Watched { kind, planted, firings }))
        });
    }
    let mut watched = Vec::new();
    while let Some(done) = watching.join_next().await {
        watched.push(done.context("a team's task ended abnormally")??);
    }
    watched.sort_by_key(|(place, _)| *place);
    let watched = watched.into_iter().map(|(_, watched)| watched).collect();
    judge::judge(root, watched, weeks, seed)
}
