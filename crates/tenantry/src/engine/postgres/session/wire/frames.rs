//! Messages of PostgreSQL's protocol, as far as the wire reads them: their heads, their names, their shapes.

use std::io;

use bytes::{BufMut, BytesMut};

/// Type and length of a message, the length without its type byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) length: usize,
}

/// The type byte and the length.
pub(super) const HEAD: usize = 5;

impl Head {
    /// All bytes of the message.
    pub(super) const fn total(self) -> usize {
        self.length + 1
    }
}

/// The head of the message that the buffer starts with. `None`: not all of it is there yet.
///
/// # Errors
/// If no message can be like that.
pub(super) fn head(buffer: &[u8]) -> io::Result<Option<Head>> {
    let Some((&kind, rest)) = buffer.split_first() else { return Ok(None) };
    let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    if length < 4 || length > i32::MAX.cast_unsigned() {
        return Err(broken("a message of an impossible length"));
    }
    Ok(Some(Head { kind, length: length as usize }))
}

pub(super) fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The text up to the next NUL, and what comes behind that.
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Writes a message; its length is filled in.
pub(super) fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// An error as a server reports it.
pub(super) fn error(out: &mut BytesMut, code: &str, routine: &str, text: &str) {
    message(out, b'E', |out| {
        for (field, value) in [(b'S', "ERROR"), (b'V', "ERROR"), (b'C', code), (b'M', text), (b'R', routine)] {
            out.put_u8(field);
            out.put_slice(value.as_bytes());
            out.put_u8(0);
        }
        out.put_u8(0);
    });
}

/// The SQLSTATE of an error's body.
pub(super) fn code(body: &[u8]) -> Option<&str> {
    let mut rest = body;
    loop {
        let (&field, behind) = rest.split_first()?;
        if field == 0 {
            return None;
        }
        let (value, behind) = text(behind)?;
        if field == b'C' {
            return std::str::from_utf8(value).ok();
        }
        rest = behind;
    }
}

/// Names and types of the columns of a row description: what a driver has to know of them. Where they come from is left
/// out, for that differs between tenants whose tables are alike.
pub(super) fn columns(body: &[u8]) -> Option<Vec<u8>> {
    let (count, mut rest) = body.split_at_checked(2)?;
    let mut shape = count.to_vec();
    for _ in 0..u16::from_be_bytes([count[0], count[1]]) {
        let (name, behind) = text(rest)?;
        let (origin, behind) = behind.split_at_checked(18)?;
        shape.extend_from_slice(name);
        shape.push(0);
        shape.extend_from_slice(&origin[6..10]);
        rest = behind;
    }
    Some(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let mut out = BytesMut::new();
        message(&mut out, b'P', |out| out.put_slice(b"name\0text\0"));
        assert_eq!(head(&out).expect("a head"), Some(Head { kind: b'P', length: 14 }));
        assert_eq!(head(&out).expect("a head").map(Head::total), Some(out.len()));
        assert_eq!(text(&out[HEAD..]), Some((&b"name"[..], &b"text\0"[..])));
        for cut in 0..HEAD {
            assert_eq!(head(&out[..cut]).expect("not yet"), None);
        }
    }

    #[test]
    fn an_impossible_length_is_an_error() {
        assert!(head(&[b'P', 0, 0, 0, 3]).is_err());
        assert!(head(&[b'P', 0xff, 0, 0, 0]).is_err());
    }

    #[test]
    fn an_errors_code_is_found() {
        let mut out = BytesMut::new();
        error(&mut out, "0A000", "RevalidateCachedQuery", "text");
        assert_eq!(code(&out[HEAD..]), Some("0A000"));
        assert_eq!(code(b"\0"), None);
        assert_eq!(code(b""), None);
    }

    #[test]
    fn columns_are_alike_wherever_they_come_from() {
        let of = |table: u32, kind: u32| {
            let mut body = BytesMut::new();
            body.put_u16(1);
            body.put_slice(b"id\0");
            body.put_u32(table);
            body.put_u16(1);
            body.put_u32(kind);
            body.put_slice(&[0; 8]);
            columns(&body)
        };
        assert_eq!(of(1, 20), of(2, 20));
        assert_ne!(of(1, 20), of(1, 25));
        assert_eq!(columns(&[0, 1, b'x']), None);
    }
}
