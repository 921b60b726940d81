//! Named sessions: connections kept between requests that give the same `session_id`.
//!
//! They exist for clients that use temporary tables or SET (clickhouse-connect names a session by default). Bounded in number and
//! time; one statement at a time, the second is refused as ClickHouse refuses it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::connection::{Connector, READ_ONLY};
use crate::errors::{Kind, QueryError};
use crate::ffi::Connection;
use crate::http::request::SessionKey;
use crate::limits;

/// A connection and when it expires; `None` while a request has it.
type Slot = Option<(Connection, Instant)>;

pub struct Sessions {
    connector: Connector,
    slots: Mutex<HashMap<String, Slot>>,
}

impl Sessions {
    pub fn new(connector: Connector) -> Self {
        Self { connector, slots: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a session for one request, opening it when it is new.
    pub fn take<'a>(&'a self, key: &'a SessionKey) -> Result<(Connection, Lease<'a>), QueryError> {
        let refuse = |kind, message: String| Err(QueryError::new(kind, message));
        let id = &key.id;
        let mut slots = self.lock();
        let kept = match slots.get_mut(id).map(Option::take) {
            Some(None) => {
                let message = format!("Session {id} is locked by a concurrent client");
                return refuse(Kind::SESSION_IS_LOCKED, message);
            }
            Some(kept) => kept,
            None if key.must_exist => {
                return refuse(Kind::SESSION_NOT_FOUND, format!("Session {id} not found"));
            }
            None if slots.len() >= limits::SESSIONS_MAX => {
                let message = format!("Too many sessions, the most is {}", limits::SESSIONS_MAX);
                return refuse(Kind::TOO_MANY_SIMULTANEOUS_QUERIES, message);
            }
            None => {
                slots.insert(id.clone(), None);
                None
            }
        };
        drop(slots);
        let lease = Lease { sessions: self, key };
        let connection = match kept {
            Some((connection, _)) => connection,
            None => self.connector.connect(if key.read_only { &[READ_ONLY] } else { &[] })?,
        };
        Ok((connection, lease))
    }

    pub fn expire(&self) {
        let now = Instant::now();
        let is_over = |slot: &Slot| slot.as_ref().is_some_and(|(_, expires)| *expires <= now);
        let expired: Vec<_> = self.lock().extract_if(|_, slot| is_over(slot)).collect();
        // Closed outside the lock: closing calls into libchdb.
        drop(expired);
    }

    /// Closes all idle sessions, at shutdown.
    pub fn close(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }
}

/// A session in use. Dropped without `keep` it ends.
pub struct Lease<'a> {
    sessions: &'a Sessions,
    key: &'a SessionKey,
}

impl Lease<'_> {
    pub fn keep(self, connection: Connection) {
        let expires = Instant::now() + self.key.timeout.unwrap_or(limits::SESSION_TIMEOUT);
        self.sessions.lock().insert(self.key.id.clone(), Some((connection, expires)));
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut slots = self.sessions.lock();
        if matches!(slots.get(&self.key.id), Some(None)) {
            slots.remove(&self.key.id);
        }
    }
}
