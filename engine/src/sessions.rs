//! Named sessions: connections kept between requests that give the same `session_id`.
//!
//! They exist for clients that use temporary tables or SET (clickhouse-connect names a session by default). Bounded in number and
//! time; one statement at a time, the second is refused as ClickHouse refuses it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::connection::Connector;
use crate::errors::{Kind, QueryError};
use crate::ffi::Connection;
use crate::http::request::SessionKey;
use crate::limits;

enum Slot {
    InUse,
    Idle { connection: Connection, expires: Instant },
}

/// All named sessions.
pub struct Sessions {
    connector: Connector,
    slots: Mutex<HashMap<String, Slot>>,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(connector: Connector) -> Self {
        Self { connector, slots: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a session for one request, opening it when it is new.
    pub fn take(&self, key: &SessionKey) -> Result<Lease<'_>, QueryError> {
        self.expire();
        let mut slots = self.lock();
        let existing = match slots.remove(&key.id) {
            Some(Slot::InUse) => {
                slots.insert(key.id.clone(), Slot::InUse);
                let message = format_args!("Session {} is locked by a concurrent client", key.id).to_string();
                return Err(QueryError::new(Kind::SessionLocked, message));
            }
            Some(Slot::Idle { connection, .. }) => Some(connection),
            None if key.must_exist => {
                return Err(QueryError::new(Kind::SessionNotFound, format!("Session {} not found", key.id)));
            }
            None if slots.len() >= limits::SESSIONS_MAX => {
                let most = limits::SESSIONS_MAX;
                return Err(QueryError::new(
                    Kind::Overloaded,
                    format!("Too many sessions, the most is {most}"),
                ));
            }
            None => None,
        };
        slots.insert(key.id.clone(), Slot::InUse);
        drop(slots);
        let mut lease = Lease { sessions: self, key: key.clone(), connection: existing };
        if lease.connection.is_none() {
            let opened =
                if key.read_only { self.connector.connect_read_only() } else { self.connector.connect() };
            lease.connection = Some(opened?);
        }
        Ok(lease)
    }

    /// Closes the sessions whose time is over.
    pub fn expire(&self) {
        let now = Instant::now();
        let expired: Vec<Slot> = {
            let mut slots = self.lock();
            slots
                .extract_if(|_, slot| matches!(slot, Slot::Idle { expires, .. } if *expires <= now))
                .map(|(_, slot)| slot)
                .collect()
        };
        // Closed outside the lock: closing calls into libchdb.
        drop(expired);
    }

    /// Closes all idle sessions, at shutdown.
    pub fn close(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }
}

/// A session in use. Dropped without `keep` it is closed.
pub struct Lease<'sessions> {
    sessions: &'sessions Sessions,
    key: SessionKey,
    connection: Option<Connection>,
}

impl Lease<'_> {
    /// The connection, until `keep`.
    pub fn connection(&mut self) -> Result<&mut Connection, QueryError> {
        self.connection.as_mut().ok_or_else(|| QueryError::new(Kind::Internal, "the session is closed"))
    }

    /// Returns the session for the next request.
    pub fn keep(mut self) {
        if let Some(connection) = self.connection.take() {
            let expires = Instant::now() + self.key.timeout;
            self.sessions.lock().insert(self.key.id.clone(), Slot::Idle { connection, expires });
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut slots = self.sessions.lock();
        if matches!(slots.get(&self.key.id), Some(Slot::InUse)) {
            slots.remove(&self.key.id);
        }
        drop(slots);
        self.connection = None;
    }
}
