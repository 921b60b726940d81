//! Pure: what a counter stored as increments cannot answer. Only sums over windows are known of it, so functions of its single samples
//! are refused from the text alone: whether a query is right must not depend on whether there is data yet.

use super::error::QueryError;
use super::functions::FunctionId;
use super::plan::{Call, Node, Plan, RangeNode, RangeOver, SelectorRequest};

impl Plan {
    /// Refuses a plan that reads single samples of what `are_increments` says is stored as increments.
    pub fn check_increments(
        &self,
        are_increments: &dyn Fn(&SelectorRequest) -> bool,
    ) -> Result<(), QueryError> {
        let check = Check { requests: &self.requests, are_increments };
        match &self.root {
            Node::Range(range) => check.range(range, "a range selector"),
            root => check.node(root),
        }
    }
}

struct Check<'a> {
    requests: &'a [SelectorRequest],
    are_increments: &'a dyn Fn(&SelectorRequest) -> bool,
}

impl Check<'_> {
    fn node(&self, node: &Node) -> Result<(), QueryError> {
        match node {
            Node::Number(_) | Node::Text(_) | Node::Selector(_) => Ok(()),
            Node::Range(range) => match &range.over {
                RangeOver::Selector { .. } => Ok(()),
                RangeOver::Subquery { node, .. } => self.node(node),
            },
            Node::Negate(inner) => self.node(inner),
            Node::Binary(binary) => self.node(&binary.left).and_then(|()| self.node(&binary.right)),
            Node::Aggregate(aggregate) => {
                aggregate.parameter.as_ref().map_or(Ok(()), |node| self.node(node))?;
                self.node(&aggregate.over)
            }
            Node::Call(call) => self.call(call),
        }
    }

    fn call(&self, call: &Call) -> Result<(), QueryError> {
        use FunctionId::{AbsentOverTime, Increase, Rate, Timestamp};
        for argument in &call.arguments {
            match argument {
                Node::Range(range) if !matches!(call.function, Increase | Rate | AbsentOverTime) => {
                    self.range(range, call.function.name())?;
                }
                Node::Selector(selector) if call.function == Timestamp => {
                    self.selector(selector.id, call.function.name())?;
                }
                _ => {}
            }
            self.node(argument)?;
        }
        Ok(())
    }

    fn range(&self, range: &RangeNode, function: &str) -> Result<(), QueryError> {
        match &range.over {
            RangeOver::Selector { id } => self.selector(*id, function),
            RangeOver::Subquery { node, .. } => self.node(node),
        }
    }

    fn selector(&self, id: usize, function: &str) -> Result<(), QueryError> {
        match self.requests.get(id) {
            Some(request) if (self.are_increments)(request) => Err(QueryError::DeltaCounter {
                function: function.to_owned(),
                metric: request.metric().unwrap_or("this selector").to_owned(),
            }),
            _ => Ok(()),
        }
    }
}
