//! What the API shows of the rules: published whole after every evaluation of a group, read without a lock.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::access::Principal;
use crate::alerting::rules::Group;
use crate::alerting::state::RuleState;
use crate::alerting::time::UnixMs;

#[derive(Clone, Debug)]
pub struct GroupSnapshot {
    pub group: Arc<Group>,
    pub last_evaluation: Option<UnixMs>,
    pub evaluation_time: Duration,
    /// One for each rule of the group, in order.
    pub rules: Vec<RuleSnapshot>,
}

#[derive(Clone, Debug, Default)]
pub struct RuleSnapshot {
    pub state: Arc<RuleState>,
    pub health: Health,
    /// Grid point of the last evaluation, failed ones included.
    pub last_evaluation: Option<UnixMs>,
    pub evaluation_time: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    #[default]
    Unknown,
    Ok,
    Failed(String),
}

/// A view of all groups that stays current. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RulesView {
    owner: Principal,
    groups: Arc<[ArcSwap<GroupSnapshot>]>,
}

impl RulesView {
    pub(super) fn new(owner: Principal, groups: impl IntoIterator<Item = GroupSnapshot>) -> Self {
        Self { owner, groups: groups.into_iter().map(ArcSwap::from_pointee).collect() }
    }

    /// What that reader may see: all groups of the one whose record the rules read, and nothing of another's. A request that
    /// nobody has put a [`Principal`] into sees nothing either.
    pub fn groups_for(&self, reader: Option<&Principal>) -> Vec<Arc<GroupSnapshot>> {
        if reader == Some(&self.owner) { self.groups() } else { Vec::new() }
    }

    /// All groups, each as of its last evaluation.
    pub fn groups(&self) -> Vec<Arc<GroupSnapshot>> {
        self.groups.iter().map(ArcSwap::load_full).collect()
    }

    pub(super) fn publish(&self, index: usize, snapshot: GroupSnapshot) {
        if let Some(slot) = self.groups.get(index) {
            slot.store(Arc::new(snapshot));
        }
    }
}
