//! Faults, and where they are planted: each at a time when its team works, so that somebody should hear of it, and none near another.

use super::team::{DAY, Kind, Minute, Team, WEEK};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Every call fails for half an hour.
    TotalOutage,
    /// Every call of a service that calls every other minute fails, for two hours.
    SeldomOutage,
    /// One call in five fails for two hours.
    PartialOutage,
    /// Calls take three times as long for ninety minutes.
    Slow,
    /// First tokens take four times as long for ninety minutes.
    SlowFirstToken,
    /// Eight times as many calls for three hours: something loops.
    SpendSpike,
    /// A call costs two and a half times as much for three days.
    PriceJump,
    /// The whole team's record stops for an hour.
    RecordStops,
    /// One service stops for six hours.
    ServiceStops,
}

/// A fault at its place.
#[derive(Debug, Clone, Copy)]
pub struct Planted {
    /// What.
    pub fault: Fault,
    /// First minute.
    pub start: usize,
    /// Minute after its last.
    pub end: usize,
}

impl Fault {
    /// Its name in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TotalOutage => "total outage",
            Self::SeldomOutage => "outage of a service that seldom calls",
            Self::PartialOutage => "one call in five fails",
            Self::Slow => "calls three times as slow",
            Self::SlowFirstToken => "first tokens four times as slow",
            Self::SpendSpike => "eight times the calls",
            Self::PriceJump => "calls cost 2.5 times as much",
            Self::RecordStops => "record stops",
            Self::ServiceStops => "service stops",
        }
    }

    /// The alert that must tell of it, and which of the times that its page states is meant.
    #[must_use]
    pub fn alert(self) -> (&'static str, usize) {
        match self {
            Self::TotalOutage => ("LLMErrorRateHigh", 0),
            Self::PartialOutage => ("LLMErrorRateHigh", 1),
            Self::SeldomOutage => ("LLMAllCallsFail", 0),
            Self::Slow => ("LLMCallsSlow", 0),
            Self::SlowFirstToken => ("LLMFirstTokenSlow", 0),
            Self::SpendSpike => ("LLMSpendSpike", 0),
            Self::PriceJump => ("LLMCallCostUp", 0),
            Self::RecordStops => ("LLMRecordStopped", 0),
            Self::ServiceStops => ("LLMServiceSilent", 0),
        }
    }

    /// Other alerts that are right to fire because of it.
    #[must_use]
    pub fn others(self) -> &'static [&'static str] {
        match self {
            Self::TotalOutage | Self::PartialOutage | Self::SeldomOutage => {
                &["LLMErrorRateHigh", "LLMAllCallsFail", "LLMErrorRateElevated"]
            }
            Self::SpendSpike | Self::PriceJump => &["LLMSpendSpike", "LLMSpendDayHigh"],
            Self::RecordStops => &["LLMServiceSilent"],
            Self::Slow | Self::SlowFirstToken | Self::ServiceStops => &[],
        }
    }

    /// How long after its end an alert may still begin because of it: as long as the longest window of those alerts.
    #[must_use]
    pub fn echo(self) -> usize {
        match self {
            Self::SpendSpike | Self::PriceJump => DAY + 120,
            _ => 90,
        }
    }

    /// Of a kind of team, in the order of importance.
    fn all(kind: Kind) -> &'static [Self] {
        use Fault::{
            PartialOutage, PriceJump, RecordStops, SeldomOutage, ServiceStops, Slow, SlowFirstToken,
            SpendSpike, TotalOutage,
        };
        match kind {
            Kind::Office => {
                &[TotalOutage, SpendSpike, PartialOutage, Slow, ServiceStops, SlowFirstToken, PriceJump]
            }
            Kind::Always => &[
                SeldomOutage,
                TotalOutage,
                SpendSpike,
                RecordStops,
                PartialOutage,
                Slow,
                SlowFirstToken,
                PriceJump,
                ServiceStops,
            ],
            Kind::Bursty => &[TotalOutage, SpendSpike, Slow, PriceJump],
            Kind::New => &[TotalOutage, PartialOutage, Slow, SlowFirstToken, SpendSpike, PriceJump],
        }
    }

    /// Minutes that it lasts, minutes for which the team must go on calling, and calls a minute for that.
    fn needs(self, kind: Kind) -> (usize, usize, f64) {
        match self {
            Self::TotalOutage => (30, 30, 5.0),
            Self::SeldomOutage => (120, 0, 0.0),
            Self::PartialOutage => (120, 60, 10.0),
            Self::Slow | Self::SlowFirstToken => (90, 40, 5.0),
            Self::SpendSpike => (180, 50, 5.0),
            Self::PriceJump => (3 * DAY, if kind == Kind::Bursty { 40 } else { 300 }, 4.0),
            Self::RecordStops => (60, 60, 1.0),
            Self::ServiceStops => (360, 180, 0.4),
        }
    }

    fn happens_to(self, minute: &mut Minute) {
        match self {
            Self::TotalOutage | Self::SeldomOutage => minute.errors = 1.0,
            Self::PartialOutage => minute.errors = 0.2,
            Self::Slow => minute.slow = 3.0,
            Self::SlowFirstToken => minute.first = 4.0,
            Self::SpendSpike => minute.rate *= 8.0,
            Self::PriceJump => minute.cost = 2.5,
            Self::RecordStops | Self::ServiceStops => minute.rate = 0.0,
        }
    }
}

/// Plants one fault of each sort that a team can have, one a week if there are weeks enough, and at least a day apart. The first two weeks are
/// for the rules to learn; a team that is new has five.
pub fn plant(team: &mut Team) -> Vec<Planted> {
    let count = team.services.first().map_or(0, |service| service.minutes.len());
    let learned = if team.kind == Kind::New { count / WEEK / 2 * WEEK + 5 * WEEK } else { 2 * WEEK };
    let mut planted: Vec<Planted> = Vec::new();
    if count <= learned {
        return planted;
    }
    let faults = Fault::all(team.kind);
    let room = (count - learned) / faults.len();
    for (place, fault) in faults.iter().copied().enumerate() {
        let from = planted.last().map_or(learned, |last| last.end + DAY).max(learned + place * room);
        let until = (learned + (place + 1) * room).min(count);
        let starts: Vec<usize> = (from..until).filter(|start| fits(team, fault, *start, count)).collect();
        if starts.is_empty() {
            continue;
        }
        let start = starts[team.chance.below(starts.len())];
        let (length, ..) = fault.needs(team.kind);
        let end = (start + length).min(count);
        for (number, service) in team.services.iter_mut().enumerate() {
            if fault == Fault::RecordStops || number == victim(team.kind, fault) {
                service.minutes[start..end].iter_mut().for_each(|minute| fault.happens_to(minute));
            }
        }
        planted.push(Planted { fault, start, end });
    }
    planted
}

/// The number of the service that has it.
fn victim(kind: Kind, fault: Fault) -> usize {
    let seldom = fault == Fault::SeldomOutage || fault == Fault::ServiceStops && kind == Kind::Always;
    usize::from(seldom)
}

/// Whether the team calls enough at that time, for what stops also in the weeks before, and there is time to hear of it.
fn fits(team: &Team, fault: Fault, start: usize, count: usize) -> bool {
    let (_, hold, rate) = fault.needs(team.kind);
    let Some(service) = team.services.get(victim(team.kind, fault)) else { return false };
    let calls = |from: usize| {
        let minutes = service.minutes.get(from..from + hold.max(1));
        minutes.is_some_and(|minutes| minutes.iter().all(|minute| minute.rate >= rate))
    };
    let past =
        fault != Fault::ServiceStops || start > 3 * WEEK && (1..4).all(|weeks| calls(start - weeks * WEEK));
    past && calls(start) && start + hold + DAY / 2 < count
}
