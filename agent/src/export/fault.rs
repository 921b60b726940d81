//! Why the collector takes nothing, in one log line that says what to do. Requests are repeated every few seconds, so each
//! kind of fault is reported at most once a minute, and its end once.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use ledgerline_process::error::{find, innermost};
use ledgerline_process::throttle::Throttle;
use rustls::CertificateError;
use tonic::{Code, Status};

use crate::limits::WARNING_EVERY;

/// What a person can do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Token,
    UnknownAuthority,
    Expired,
    WrongName,
    Certificate,
    NotTls,
    NotGrpc,
    Unreachable,
    NotNow,
}

const ADVICE: [&str; 9] = [
    "the collector refuses our token, or wants one: let export.token be one of its auth.tokens; a token in a file is read \
     again without a restart",
    "the collector's certificate was issued by an authority that is not trusted here: name that authority's PEM file in \
     export.ca_file",
    "the collector's certificate has expired or is not valid yet: renew the files of its listen.tls, which it reads again \
     without a restart, and compare the clocks of both machines",
    "the collector's certificate is for another name: use a name that it has in export.collector",
    "the collector's certificate cannot be used: see the reason",
    "the collector does not speak TLS on this port: set its listen.tls, or begin export.collector with http://",
    "this is no port for OTLP over gRPC: export.collector must name the collector's listen.grpc, by default port 4317",
    "the collector cannot be reached: is it running, is export.collector right, does it want https://?",
    "the collector cannot store now: its own log says why",
];

impl Fault {
    fn of(status: &Status) -> Self {
        use CertificateError as Certificate;
        match find::<rustls::Error>(status) {
            Some(rustls::Error::InvalidCertificate(error)) => match error {
                // A bad signature is what an authority of the same name and another key leaves.
                Certificate::UnknownIssuer | Certificate::BadSignature => Self::UnknownAuthority,
                Certificate::Expired | Certificate::ExpiredContext { .. } => Self::Expired,
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => Self::Expired,
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => Self::WrongName,
                _ => Self::Certificate,
            },
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            // tonic's words for a server that does not speak gRPC.
            _ if status.message().contains("grpc-status header missing") => Self::NotGrpc,
            _ => match status.code() {
                Code::Unimplemented => Self::NotGrpc,
                Code::Unauthenticated | Code::PermissionDenied => Self::Token,
                _ if find::<std::io::Error>(status).is_some() => Self::Unreachable,
                _ => Self::NotNow,
            },
        }
    }
}

#[derive(Debug)]
pub(super) struct Faults {
    warnings: [Throttle; ADVICE.len()],
    /// A fault was reported, and no success since.
    reported: AtomicBool,
}

impl Default for Faults {
    fn default() -> Self {
        let warnings = std::array::from_fn(|_| Throttle::new(WARNING_EVERY));
        Self { warnings, reported: AtomicBool::new(false) }
    }
}

impl Faults {
    /// A request was not taken for this reason and will be sent again.
    pub(super) fn report(&self, status: &Status, calls_waiting: i64) {
        let fault = Fault::of(status);
        if !self.warnings[fault as usize].passes() {
            return;
        }
        self.reported.store(true, Ordering::Relaxed);
        tracing::warn!(
            advice = ADVICE[fault as usize],
            reason = reason(status),
            code = ?status.code(),
            calls_waiting,
            "the collector does not take requests; finished calls wait in memory and are sent again"
        );
    }

    pub(super) fn end(&self) {
        if self.reported.load(Ordering::Relaxed) && self.reported.swap(false, Ordering::Relaxed) {
            tracing::info!("the collector takes requests again");
        }
    }
}

/// The collector's own words, or the first cause of a connection that failed.
fn reason(status: &Status) -> String {
    if status.source().is_some() { innermost(status) } else { status.message().to_owned() }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// As tonic gives it: the connector's error in an io error in a status.
    fn connecting(error: impl Into<Box<dyn Error + Send + Sync>>) -> Status {
        let mut status = Status::unavailable("tcp connect error");
        status.set_source(std::sync::Arc::new(io::Error::other(io::Error::other(error))));
        status
    }

    #[test]
    fn each_fault_is_known_by_what_a_person_can_do_about_it() {
        let certificate = |error| connecting(rustls::Error::InvalidCertificate(error));
        let plain = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        for (status, expected) in [
            (Status::unauthenticated("no such token"), Fault::Token),
            (certificate(CertificateError::UnknownIssuer), Fault::UnknownAuthority),
            (certificate(CertificateError::BadSignature), Fault::UnknownAuthority),
            (certificate(CertificateError::Expired), Fault::Expired),
            (certificate(CertificateError::NotValidYet), Fault::Expired),
            (certificate(CertificateError::NotValidForName), Fault::WrongName),
            (certificate(CertificateError::BadEncoding), Fault::Certificate),
            (connecting(plain), Fault::NotTls),
            (Status::unknown("grpc-status header missing, mapped from HTTP status code 415"), Fault::NotGrpc),
            (Status::unauthenticated("grpc-status header missing, mapped from 401"), Fault::NotGrpc),
            (Status::unimplemented("no such method"), Fault::NotGrpc),
            (connecting("refused"), Fault::Unreachable),
            (Status::unavailable("the store does not answer"), Fault::NotNow),
        ] {
            assert_eq!(Fault::of(&status), expected, "{status:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_is_reported_once_a_minute_and_each_kind_for_itself() {
        let faults = Faults::default();
        let passes = |fault: Fault| faults.warnings[fault as usize].passes();
        faults.report(&Status::unauthenticated(""), 1);
        assert!(!passes(Fault::Token) && passes(Fault::NotNow));
        faults.end();
        assert!(!passes(Fault::Token), "an end does not let a flapping collector fill the log");
        tokio::time::advance(WARNING_EVERY).await;
        assert!(passes(Fault::Token));
    }
}
