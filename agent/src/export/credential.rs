//! The token that the agent shows to the collector.

use std::sync::{PoisonError, RwLock};

use ledgerline_process::config::{Secret, SecretText};
use tonic::metadata::{Ascii, MetadataValue};

const CHARACTERS: &str = "has characters that no header can carry; tokens are printable ASCII";

#[derive(Debug)]
pub(crate) struct Credential {
    place: Option<Secret>,
    authorization: RwLock<Option<MetadataValue<Ascii>>>,
}

impl Credential {
    pub(crate) fn read(place: Option<Secret>) -> Result<Self, String> {
        let authorization = RwLock::new(place.as_ref().map(authorization).transpose()?);
        Ok(Self { place, authorization })
    }

    /// The value of `authorization`, which prints as `Sensitive`.
    pub(super) fn authorization(&self) -> Option<MetadataValue<Ascii>> {
        self.authorization.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The collector refused the token: it may have been replaced since. One that cannot be read leaves the old one.
    pub(super) fn read_again(&self) {
        if let Some(Ok(value)) = self.place.as_ref().map(authorization) {
            *self.authorization.write().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }
    }
}

fn authorization(place: &Secret) -> Result<MetadataValue<Ascii>, String> {
    let token: SecretText = place.read()?;
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", token.expose()).parse().map_err(|_| CHARACTERS.to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_token_is_sent_after_it_was_read_again_and_never_printed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "first-token-0001\n").unwrap();
        let place = Secret::File(file.path().to_owned());
        let credential = Credential::read(Some(place.clone())).unwrap();
        let sent = |credential: &Credential| credential.authorization().unwrap().to_str().unwrap().to_owned();
        assert_eq!(sent(&credential), "Bearer first-token-0001");
        assert!(!format!("{credential:?}").contains("first-token"), "{credential:?}");
        std::fs::write(file.path(), "second-token-0002").unwrap();
        credential.read_again();
        assert_eq!(sent(&credential), "Bearer second-token-0002");
        std::fs::remove_file(file.path()).unwrap();
        credential.read_again();
        assert_eq!(sent(&credential), "Bearer second-token-0002");
        assert!(Credential::read(None).unwrap().authorization().is_none());
        // No header carries it.
        std::fs::write(file.path(), "two\nlines").unwrap();
        assert_eq!(Credential::read(Some(place)).unwrap_err(), CHARACTERS);
    }
}
