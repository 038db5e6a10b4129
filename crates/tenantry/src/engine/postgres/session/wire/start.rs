//! [`Start`]: how a driver and a server come to terms. Both sides speak for themselves: the driver proves its password to
//! the server through the wire. The wire itself only wants to hear its secret.

use std::io;

use bytes::{BufMut, BytesMut};

use super::frames::{broken, text};

/// The setting in which a driver brings the secret; the server never sees it.
pub(super) const SECRET: &str = "tenantry.wire";

/// The longest first message of a driver.
const LONGEST: usize = 16 * 1024;

pub(super) struct Start {
    /// Until it was heard.
    secret: Option<String>,
}

impl Start {
    pub(super) fn new(secret: String) -> Self {
        Self { secret: Some(secret) }
    }

    pub(super) fn driver(&mut self, input: &mut BytesMut, server: &mut BytesMut) -> io::Result<()> {
        if let Some(secret) = &self.secret {
            let Some(length) = input.first_chunk::<4>().map(|n| u32::from_be_bytes(*n) as usize) else { return Ok(()) };
            if !(8..=LONGEST).contains(&length) {
                return Err(broken("a first message of an impossible length"));
            }
            if input.len() < length {
                return Ok(());
            }
            let message = input.split_to(length);
            without_secret(&message[4..], secret, server)?;
            self.secret = None;
        }
        server.extend_from_slice(input);
        input.clear();
        Ok(())
    }

    /// With the first ReadyForQuery, which no server sends before the driver has proven itself.
    pub(super) fn is_over(&self, kind: u8) -> bool {
        kind == b'Z' && self.secret.is_none()
    }
}

/// The first message without the secret; an error if it does not bring it.
fn without_secret(body: &[u8], secret: &str, server: &mut BytesMut) -> io::Result<()> {
    let wanted = format!("-c {SECRET}={secret}");
    let mut heard = false;
    let start = server.len();
    server.put_u32(0);
    let (version, mut rest) = body.split_at(4);
    server.put_slice(version);
    while let Some((name, behind)) = text(rest).filter(|(name, _)| !name.is_empty()) {
        let (value, behind) = text(behind).ok_or_else(|| broken("a first message that ends too early"))?;
        rest = behind;
        server.put_slice(name);
        server.put_u8(0);
        match std::str::from_utf8(value).ok().filter(|_| name == b"options").and_then(|v| v.split_once(&wanted)) {
            Some((before, after)) => {
                heard = true;
                server.put_slice(before.as_bytes());
                server.put_slice(after.as_bytes());
            }
            None => server.put_slice(value),
        }
        server.put_u8(0);
    }
    server.put_u8(0);
    let length = u32::try_from(server.len() - start).unwrap_or(u32::MAX);
    (&mut server[start..start + 4]).put_u32(length);
    if heard && rest.len() <= 1 { Ok(()) } else { Err(broken("somebody who does not know the secret of this wire")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(options: &str) -> BytesMut {
        let mut message = BytesMut::new();
        message.put_u32(0);
        message.put_u32(196_608);
        for part in ["user", "u", "options", options] {
            message.put_slice(part.as_bytes());
            message.put_u8(0);
        }
        message.put_u8(0);
        let length = u32::try_from(message.len()).expect("short");
        (&mut message[..4]).put_u32(length);
        message
    }

    #[test]
    fn the_secret_stays_here_and_the_rest_goes_on() {
        let mut start = Start::new("s3cret".into());
        let (mut input, mut server) = (first("-c a=b -c tenantry.wire=s3cret"), BytesMut::new());
        start.driver(&mut input, &mut server).expect("heard");
        assert_eq!(server, first("-c a=b "));
        assert!(input.is_empty());
    }

    #[test]
    fn who_does_not_know_it_is_not_let_in() {
        for options in ["-c a=b", "-c tenantry.wire=s3cre", ""] {
            let mut server = BytesMut::new();
            assert!(Start::new("s3cret".into()).driver(&mut first(options), &mut server).is_err());
        }
    }
}
