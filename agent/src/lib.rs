//! The sidecar: relays LLM calls byte for byte and reports what they cost.

pub mod observation;
pub mod worker;

pub mod relay {
    //! Forwards calls to their providers.

    pub mod amend;
    pub mod hide;
}
