//! The vocabulary of Ledgerline and its form on the wire.
//!
//! One [`Call`] is one request to a model and its answer: who made it, what it used, how it ended. Agent and
//! collector both speak in these types, so a fact has one name from the provider's bytes to the ClickHouse column.
//! Pure: no I/O, no clock, no async, no randomness.

/// An enum whose values have names.
#[macro_export]
macro_rules! named {
    ($(#[$outer:meta])* pub enum $type:ident { $($(#[$inner:meta])* $value:ident = $name:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$inner])* $value,)* }

        impl $type {
            /// Every value, in the order of their declaration.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$value),*];

            /// The name on the wire, in columns and in labels.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $name,)* }
            }

            /// The value of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.name() == name)
            }
        }
    };
}

pub mod attribute;
pub mod bill;
pub mod call;
pub mod condition;
pub mod decimal;
pub mod dimension;
pub mod id;
pub mod json;
pub mod money;
pub mod otlp;
pub mod producer;
pub mod reported_cost;
pub mod unit;
pub mod usage;
pub mod usage_object;

pub use bill::{Bill, Cost, Line, LinePrice, NotBilled, UnpricedReason};
pub use call::{BillGap, Billing, Call, EndOfStream, Identity, Operation, Unread};
pub use condition::{Condition, Conditions};
pub use id::{SpanId, TraceId};
pub use money::PicoUsd;
pub use unit::{Quantities, Side, Unit};
pub use usage::{Run, Usage, UsageSource};
