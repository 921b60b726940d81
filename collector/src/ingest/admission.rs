//! Bounds the memory that requests hold, in bytes and not in requests.
//!
//! A grant grows while its request is read and decompressed and ends with it. When nothing is left the sender is told to come
//! back: a refusal costs it a second, an out-of-memory kill costs everybody.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::refusal::Refusal;

/// A semaphore counts to `u32::MAX`; in units of 1 KiB that is 4 TiB.
const UNIT_BYTES: usize = 1 << 10;

/// The memory that all requests together may hold.
#[derive(Clone, Debug)]
pub struct Admission {
    semaphore: Arc<Semaphore>,
    bytes_max: usize,
}

impl Admission {
    /// So many bytes, rounded up to 1 KiB.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Self {
        let semaphore = Arc::new(Semaphore::new(bytes.div_ceil(UNIT_BYTES)));
        Self { semaphore, bytes_max: bytes }
    }

    /// A grant of nothing yet.
    #[must_use]
    pub fn enter(&self) -> Grant {
        let Self { semaphore, bytes_max } = self.clone();
        Grant { semaphore, bytes_max, held: None, bytes: 0 }
    }
}

/// The memory of one request.
#[derive(Debug)]
pub struct Grant {
    semaphore: Arc<Semaphore>,
    bytes_max: usize,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Grant {
    /// Takes more, at once or not at all: a request that waited for memory while it holds some could wait for itself.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when nothing is left; [`Refusal::TooLarge`] when it would not fit if everything were, so that its
    /// sender does not repeat it for ever.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let total = self.bytes.saturating_add(bytes);
        if total > self.bytes_max {
            return Err(Refusal::TooLarge { what: "in memory", limit: self.bytes_max });
        }
        let more = total.div_ceil(UNIT_BYTES) - self.bytes.div_ceil(UNIT_BYTES);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        match Arc::clone(&self.semaphore).try_acquire_many_owned(more) {
            Ok(permit) => {
                match &mut self.held {
                    Some(held) => held.merge(permit),
                    None => self.held = Some(permit),
                }
                self.bytes = total;
                Ok(())
            }
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                Err(Refusal::Busy("requests under way hold all the memory set aside for them"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_that_ends_gives_back_what_it_held() {
        let admission = Admission::of_bytes(10 << 10);
        let mut first = admission.enter();
        // 300 times 10 bytes are 3 KiB, not 300.
        for _ in 0..300 {
            first.grow(10).unwrap();
        }
        let mut second = admission.enter();
        second.grow(7 << 10).unwrap();
        assert!(matches!(second.grow(1), Err(Refusal::Busy(_))));
        assert!(matches!(second.grow(3 << 10 | 1), Err(Refusal::TooLarge { .. })));
        drop(first);
        second.grow(3 << 10).unwrap();
    }
}
