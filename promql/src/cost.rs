//! Pure: what a query costs whatever the data. A subquery multiplies steps, and a query of forty bytes can ask for a thousand million
//! cells; that is refused from the text, before anything is fetched.

use super::error::QueryError;
use super::limits::WORK_CELLS_MAX;
use super::plan::{Grid, Node, Plan, RangeNode, RangeOver};

/// Refuses a plan that reads or writes more cells than a query may if each of its selectors finds one series.
pub(super) fn check(plan: &Plan, grid: Grid) -> Result<(), QueryError> {
    if of_node(&plan.root, grid) > WORK_CELLS_MAX {
        return Err(QueryError::TooMuchWork { limit: WORK_CELLS_MAX });
    }
    Ok(())
}

fn of_node(node: &Node, grid: Grid) -> u64 {
    let own = cells(grid);
    let children = match node {
        Node::Number(_) | Node::Text(_) | Node::Selector(_) => 0,
        Node::Range(range) => of_range(range, grid),
        Node::Negate(inner) => of_node(inner, grid),
        Node::Binary(binary) => of_node(&binary.left, grid).saturating_add(of_node(&binary.right, grid)),
        Node::Aggregate(aggregate) => {
            let parameter = aggregate.parameter.as_ref().map_or(0, |node| of_node(node, grid));
            parameter.saturating_add(of_node(&aggregate.over, grid))
        }
        Node::Call(call) => {
            call.arguments.iter().fold(0, |sum: u64, node| sum.saturating_add(of_node(node, grid)))
        }
    };
    own.saturating_add(children)
}

fn of_range(range: &RangeNode, grid: Grid) -> u64 {
    match &range.over {
        RangeOver::Selector { .. } => 0,
        RangeOver::Subquery { node, step_ms } => {
            let inner = range.inner_grid(grid, *step_ms);
            let window = u64::try_from(range.window_ms / (*step_ms).max(1)).unwrap_or(0).min(cells(inner));
            of_node(node, inner).saturating_add(window.saturating_mul(cells(grid)))
        }
    }
}

fn cells(grid: Grid) -> u64 {
    u64::try_from(grid.count).unwrap_or(0)
}
