//! Passwords of the logins that the engine makes: random, and told to the server only as a SCRAM secret, so that neither
//! its log nor its catalog ever holds one.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::error::{Error, ErrorKind, Result};

const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

/// 32 random bytes in hexadecimal.
pub(crate) fn new_password() -> Result<String> {
    let mut bytes = [0_u8; 32];
    fill(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// The password of one login, where one secret stands for those of a server: nobody finds one by another.
pub(crate) fn password_of(secret: &str, login: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), login.as_bytes());
    tag.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    rand::fill(bytes).map_err(|_| Error::new(ErrorKind::Internal, "the system gave no random bytes"))
}

/// What PostgreSQL keeps of a password (RFC 5803), for `CREATE ROLE ... PASSWORD '...'`.
pub(crate) fn secret(password: &str) -> Result<String> {
    let mut salt = [0_u8; 16];
    fill(&mut salt)?;
    Ok(secret_with(password, &salt))
}

fn secret_with(password: &str, salt: &[u8]) -> String {
    let mut salted = [0_u8; digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, password.as_bytes(), &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = hmac::sign(&key, b"Server Key");
    let text = |bytes: &[u8]| BASE64.encode(bytes);
    format!("SCRAM-SHA-256${ITERATIONS}:{}${}:{}", text(salt), text(stored_key.as_ref()), text(server_key.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_the_one_that_the_server_makes_itself() {
        // The example of RFC 7677.
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        assert_eq!(
            secret_with("pencil", &salt),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }
}
