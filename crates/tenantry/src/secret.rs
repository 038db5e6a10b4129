//! Sealing of what the catalog stores: URLs and passwords.

use std::{
    fmt, fs,
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::error::{Error, ErrorKind, Result};

/// The environment variable that overrides the key file.
pub(crate) const KEY_VARIABLE: &str = "TENANTRY_KEY";

const KEY_BYTES: usize = 32;
/// Names the form, so that a later one can be told apart.
const FORM: &str = "v1:";

/// A text that must not show in a log: its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The key that seals stored URLs and passwords. It shows itself nowhere.
pub struct SecretKey {
    sealing: RandomizedNonceKey,
    deriving: hmac::Key,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    /// Reads a key from its text: 32 bytes in base64.
    ///
    /// # Errors
    /// If the text is anything else.
    pub fn from_text(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(ErrorKind::Configuration, "the key is not 32 bytes in base64").help("tenantry init makes one")
        };
        let bytes = BASE64.decode(text.trim()).map_err(|_| bad())?;
        if bytes.len() != KEY_BYTES {
            return Err(bad());
        }
        // Not the sealing key itself: no key has two uses.
        let own = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"tenantry passwords");
        Ok(Self {
            sealing: RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| bad())?,
            deriving: hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()),
        })
    }

    /// Reads `TENANTRY_KEY`, else the file; a file that others of the machine may read is refused.
    ///
    /// # Errors
    /// If there is none, or it is not usable.
    pub fn load(file: &Path) -> Result<Self> {
        match std::env::var(KEY_VARIABLE) {
            Ok(text) => Self::from_text(&text),
            Err(_) => Self::read(file),
        }
    }

    fn read(file: &Path) -> Result<Self> {
        let failed = |e| {
            Error::new(ErrorKind::Configuration, format!("cannot read the key file `{}`", file.display()))
                .caused_by(e)
                .help(format!("run `tenantry init`, put the file back, or set {KEY_VARIABLE}"))
        };
        let metadata = fs::metadata(file).map_err(failed)?;
        if metadata.mode() & 0o077 != 0 {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("others may read the key file `{}`", file.display()),
            )
            .help(format!("chmod 600 {}", file.display())));
        }
        Self::from_text(&fs::read_to_string(file).map_err(failed)?)
    }

    /// A new key, as [`SecretKey::from_text`] reads it.
    pub(crate) fn new_text() -> Result<String> {
        let mut key = [0_u8; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut key)
            .map_err(|_| Error::new(ErrorKind::Internal, "the system gave no random bytes"))?;
        Ok(BASE64.encode(key))
    }

    /// Makes the key file if there is none, for its owner only.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn create_if_missing(file: &Path) -> Result<()> {
        let failed =
            |e| Error::new(ErrorKind::Io, format!("cannot write the key file `{}`", file.display())).caused_by(e);
        if file.try_exists().map_err(failed)? {
            return Ok(());
        }
        let key = Self::new_text()?;
        // Under another name first: a key file that is there is a whole one, even after `kill -9`.
        let half = file.with_extension(format!("making-{}", uuid::Uuid::now_v7().as_simple()));
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&half).and_then(|mut made| {
            made.write_all(format!("{key}\n").as_bytes())?;
            made.sync_all()?;
            // A link, unlike a rename, never replaces a key that another process has just made.
            fs::hard_link(&half, file)
        });
        let removed = fs::remove_file(&half);
        match made {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(failed(e)),
            Ok(()) => removed.map_err(failed),
        }
    }

    /// Seals a text. `purpose` binds it to its column: a sealed value moved elsewhere does not open.
    pub(crate) fn seal(&self, purpose: &str, text: &str) -> Result<String> {
        let mut bytes = text.as_bytes().to_vec();
        let nonce = self
            .sealing
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut bytes)
            .map_err(|_| Error::new(ErrorKind::Internal, "a secret could not be sealed"))?;
        let sealed = [nonce.as_ref().as_slice(), &bytes].concat();
        Ok(format!("{FORM}{}", BASE64.encode(sealed)))
    }

    /// A password that every process of the installation finds without asking another one, in hexadecimal.
    pub(crate) fn password(&self, of: &str) -> String {
        hmac::sign(&self.deriving, of.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }

    pub(crate) fn open(&self, purpose: &str, sealed: &str) -> Result<String> {
        self.try_open(purpose, sealed).ok_or_else(|| {
            Error::new(ErrorKind::Configuration, format!("the key does not open the stored {purpose}"))
                .help(format!("use the key file that belongs to this catalog, or {KEY_VARIABLE}"))
        })
    }

    fn try_open(&self, purpose: &str, sealed: &str) -> Option<String> {
        let bytes = BASE64.decode(sealed.strip_prefix(FORM)?).ok()?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut rest = rest.to_vec();
        let text = self.sealing.open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut rest).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_text(&BASE64.encode([byte; KEY_BYTES])).expect("32 bytes")
    }

    #[test]
    fn a_sealed_text_opens_with_its_key_for_its_purpose_only() {
        let sealed = key(1).seal("admin URL", "postgres://secret").expect("seals");
        assert!(!sealed.contains("secret"));
        assert_eq!(key(1).open("admin URL", &sealed).expect("opens"), "postgres://secret");
        assert!(key(1).open("app URL", &sealed).is_err());
        assert!(key(2).open("admin URL", &sealed).is_err());
        assert!(key(1).open("admin URL", "v1:AAAA").is_err());
    }

    #[test]
    fn a_password_is_the_same_for_the_same_key_and_name_only() {
        let password = key(1).password("server main");
        assert!(password.len() == 64 && password == key(1).password("server main"));
        assert_ne!(password, key(1).password("server other"));
        assert_ne!(password, key(2).password("server main"));
    }

    #[test]
    fn the_same_text_never_seals_to_the_same_bytes() {
        let key = key(1);
        let sealed: std::collections::HashSet<_> = (0..1_000).map(|_| key.seal("p", "t").expect("seals")).collect();
        assert_eq!(sealed.len(), 1_000);
    }
}
