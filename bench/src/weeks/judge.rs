//! What fired against what was planted: found in time, late, missed, or false.

use std::fmt::{self, Write as _};
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;

use super::Watched;
use super::fault::{Fault, Planted};
use super::team::{BEGIN_S, Kind, WEEK};
use super::watch::Firing;

/// False pages that are one too many.
const FALSE_PAGES_MAX: usize = 1;

/// A fault, and the minutes until its alert fired, if it did.
#[derive(Debug)]
struct Found {
    kind: Kind,
    planted: Planted,
    after: Option<usize>,
    stated: usize,
    /// How often somebody was called because of it.
    pages: usize,
}

impl Found {
    fn in_time(&self) -> bool {
        self.after.is_some_and(|after| after <= self.stated)
    }
}

/// The report of a run.
#[derive(Debug)]
pub struct Verdict {
    weeks: usize,
    seed: u64,
    /// By team, pages and tickets of each week.
    counts: Vec<(Kind, Vec<[usize; 2]>)>,
    found: Vec<Found>,
    falsely: Vec<(Kind, Firing)>,
}

impl Verdict {
    /// Nothing planted was missed or late, and hardly anybody was called for nothing.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.pages() <= FALSE_PAGES_MAX && !self.found.is_empty() && self.found.iter().all(Found::in_time)
    }

    /// False ones.
    fn pages(&self) -> usize {
        self.falsely.iter().filter(|(_, firing)| firing.severity == "page").count()
    }
}

/// Holds every team's firings against its faults, with the times that the pages in `docs/runbook` state.
pub(super) fn judge(root: &Path, watched: Vec<Watched>, weeks: usize, seed: u64) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict { weeks, seed, counts: Vec::new(), found: Vec::new(), falsely: Vec::new() };
    for Watched { kind, planted, firings } in watched {
        for planted in &planted {
            let (alert, place) = planted.fault.alert();
            let stated = stated(root, alert, place)?;
            let mut told = firings.iter().filter(|firing| firing.alert == alert && is_of(planted, firing));
            let after = told.next().map(|firing| firing.from - planted.start + 1);
            let pages =
                firings.iter().filter(|firing| firing.severity == "page" && is_of(planted, firing)).count();
            verdict.found.push(Found { kind, planted: *planted, after, stated, pages });
        }
        let mut counts = vec![[0; 2]; weeks];
        for firing in firings {
            let column = match firing.severity.as_str() {
                "page" => 0,
                "ticket" => 1,
                _ => continue,
            };
            if let Some(week) = counts.get_mut(firing.from / WEEK) {
                week[column] += 1;
            }
            if !planted.iter().any(|planted| is_of(planted, &firing)) {
                verdict.falsely.push((kind, firing));
            }
        }
        verdict.counts.push((kind, counts));
    }
    Ok(verdict)
}

/// Whether an alert fired because of a fault.
fn is_of(planted: &Planted, firing: &Firing) -> bool {
    let fault: Fault = planted.fault;
    let in_time = firing.from >= planted.start && firing.from < planted.end + fault.echo();
    in_time && (firing.alert == fault.alert().0 || fault.others().contains(&&*firing.alert))
}

/// The minutes within which an alert's page says that it fires: the line `Fires within:` states one time or several.
fn stated(root: &Path, alert: &str, place: usize) -> anyhow::Result<usize> {
    let page = root.join("docs/runbook").join(alert).with_extension("md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("{}", page.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Fires within: "));
    let words: Vec<&str> = line.context("the page has no line `Fires within:`")?.split_whitespace().collect();
    let mut times = words.windows(2).filter_map(|pair| {
        let unit = if pair[1].starts_with("minute") { 1 } else { 60 };
        let is_time = pair[1].starts_with("minute") || pair[1].starts_with("hour");
        pair[0].parse::<usize>().ok().filter(|_| is_time).map(|number| number * unit)
    });
    times.nth(place).with_context(|| format!("{} states no time number {place}", page.display()))
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} weeks, seed {}; pages/tickets by week:", self.weeks, self.seed)?;
        for (kind, counts) in &self.counts {
            let mut line = String::new();
            for [pages, tickets] in counts {
                write!(line, " {pages}/{tickets}")?;
            }
            writeln!(f, "  {:7}{line}", kind.name())?;
        }
        writeln!(f, "planted:")?;
        for found in &self.found {
            let Planted { fault, start, .. } = found.planted;
            let after = found.after.map_or("MISSED".to_owned(), |after| format!("{after} min"));
            let late = if found.after.is_some() && !found.in_time() { "  LATE" } else { "" };
            writeln!(
                f,
                "  {}  {:7}{:38}{:18}{after:>8} of {}, {} pages{late}",
                time(start),
                found.kind.name(),
                fault.name(),
                fault.alert().0,
                found.stated,
                found.pages
            )?;
        }
        writeln!(f, "false pages {}, false tickets {}:", self.pages(), self.falsely.len() - self.pages())?;
        for (kind, Firing { alert, severity, from, summary, .. }) in &self.falsely {
            writeln!(f, "  {}  {:7}{severity:7}{alert}: {summary}", time(*from), kind.name())?;
        }
        let missed = self.found.iter().filter(|found| !found.in_time()).count();
        write!(f, "{} of {} faults found in time", self.found.len() - missed, self.found.len())
    }
}

fn time(minute: usize) -> String {
    let seconds = BEGIN_S + i64::try_from(minute).unwrap_or(0) * 60;
    Timestamp::from_second(seconds)
        .map_or_else(|_| String::new(), |time| time.strftime("%a %d %b %H:%M").to_string())
}
