//! Bounds the memory that requests hold, in bytes and not in requests.
//!
//! A grant grows while its request is read and decompressed and ends with it. When nothing is left the sender is told to come
//! back: a refusal costs it a second, an out-of-memory kill costs everybody.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    pub fn of_bytes(bytes: usize) -> Self {
        let semaphore = Arc::new(Semaphore::new(bytes.div_ceil(UNIT_BYTES)));
        Self { semaphore, bytes_max: bytes }
    }

    pub fn enter(&self) -> Grant {
        Grant { admission: self.clone(), held: None, bytes: 0 }
    }
}

/// The memory of one request.
#[derive(Debug)]
pub struct Grant {
    admission: Admission,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Grant {
    /// Takes more, at once or not at all: a request that waited for memory while it holds some could wait for itself. What would
    /// not fit if everything were left is too large, so that its sender does not repeat it for ever.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Admission { semaphore, bytes_max: limit } = &self.admission;
        let total = self.bytes.saturating_add(bytes);
        if total > *limit {
            return Err(Refusal::TooLarge { what: "in memory", limit: *limit });
        }
        let more = total.div_ceil(UNIT_BYTES) - self.bytes.div_ceil(UNIT_BYTES);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let permit = Arc::clone(semaphore).try_acquire_many_owned(more);
        let busy = |_| Refusal::Busy("requests under way hold all the memory set aside for them");
        let permit = permit.map_err(busy)?;
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        self.bytes = total;
        Ok(())
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
