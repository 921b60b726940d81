//! Certificates made for the test, read, refused and renewed.

use std::fs;

use super::*;

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// Writes a certificate for `name` and its key, and returns the certificate.
    fn write(&self, name: &str) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(self.config().cert_file, made.cert.pem()).unwrap();
        fs::write(self.config().key_file, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    fn config(&self) -> TlsConfig {
        let path = |name: &str| self.directory.path().join(name);
        TlsConfig { cert_file: path("server.pem"), key_file: path("server.key") }
    }
}

fn problems(config: &TlsConfig) -> String {
    let mut problems = Problems::default();
    config.validate("listen.tls", &mut problems);
    let found = problems.into_result(Some(())).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_wrong_with_the_files_is_said_under_the_key_that_names_them() {
    let files = Files::new();
    let config = files.config();
    assert!(problems(&config).starts_with("listen.tls.cert_file: cannot read certificates from "));
    let other = Files::new();
    other.write("other.example");
    files.write("localhost");
    assert_eq!(problems(&config), "");
    fs::copy(other.config().key_file, &config.key_file).unwrap();
    assert!(problems(&config).contains("do not belong together"), "{}", problems(&config));
    fs::write(&config.key_file, "no key").unwrap();
    assert!(problems(&config).starts_with("listen.tls.key_file: cannot read a private key from "));
    fs::write(&config.cert_file, "").unwrap();
    assert!(problems(&config).ends_with("it holds none"), "{}", problems(&config));
}

#[test]
fn authorities_are_read_from_a_file_or_refused() {
    let files = Files::new();
    files.write("localhost");
    let config = files.config();
    client_config(Roots::Native, Some(&config.cert_file)).unwrap();
    let error = client_config(Roots::Native, Some(&config.key_file)).unwrap_err().to_string();
    assert!(error.contains("cannot read certificates from") && error.ends_with("it holds none"), "{error}");
}

/// Scenario: the files are replaced by a new pair, then by garbage.
/// Guarantees: the new pair is shown after the next look, and garbage leaves it in place.
#[tokio::test(start_paused = true)]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let files = Files::new();
    let first = files.write("localhost");
    let certificate = Certificate::load(files.config()).unwrap();
    let shown = |certificate: &Certificate| certificate.current().cert[0].clone();
    let set_written = |seconds: u64| {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().append(true).open(files.config().cert_file).unwrap().set_modified(at).unwrap();
    };
    assert_eq!(shown(&certificate), first);
    let second = files.write("localhost");
    set_written(2_000_000_000);
    assert_eq!(shown(&certificate), first, "it was looked at a moment ago");
    tokio::time::advance(CERTIFICATE_CHECK_EVERY).await;
    assert_eq!(shown(&certificate), second);
    fs::write(files.config().cert_file, "garbage").unwrap();
    set_written(2_000_000_001);
    tokio::time::advance(CERTIFICATE_CHECK_EVERY).await;
    assert_eq!(shown(&certificate), second);
}
