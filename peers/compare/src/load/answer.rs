//! An HTTP answer, as far as a load generator has to read it, and whether it is the right tenant's.

/// How many users each tenant has.
pub(crate) const USERS: usize = 20;

/// The head of an answer that has come in whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// The bytes of the head, and those of the body behind it.
    pub(crate) length: usize,
    pub(crate) body: usize,
    /// The server closes the connection behind it.
    pub(crate) closes: bool,
}

/// `None` if the head is not whole yet, an error if it is none that we can read.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, &'static str> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = str::from_utf8(&bytes[..end]).map_err(|_| "the head of an answer is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let mut head =
        Head { status: status.ok_or("an answer without a status")?, length: end + 4, body: usize::MAX, closes: false };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            head.body = value.trim().parse().map_err(|_| "a length that is no number")?;
        } else if name.eq_ignore_ascii_case("connection") {
            head.closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    if head.body == usize::MAX { Err("an answer without a length") } else { Ok(Some(head)) }
}

/// Whether a list holds the twenty users of this tenant, and nobody else.
pub(crate) fn is_of(body: &[u8], tenant: &str) -> bool {
    let names = body.split(|byte| *byte == b'"').filter_map(|text| text.strip_prefix(b"user_"));
    let mut count = 0;
    for name in names {
        if name.strip_prefix(tenant.as_bytes()).is_none_or(|rest| !rest.starts_with(b"_")) {
            return false;
        }
        count += 1;
    }
    count == USERS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tenant: &str, count: usize) -> String {
        let users: Vec<_> =
            (1..=count).map(|n| format!("{{\"id\": {n}, \"username\":\"user_{tenant}_{n}\"}}")).collect();
        format!("[{}]", users.join(","))
    }

    #[test]
    fn the_twenty_users_of_a_tenant_are_its_own() {
        assert!(is_of(list("t00001", 20).as_bytes(), "t00001"));
    }

    #[test]
    fn one_foreign_name_a_missing_one_and_an_empty_list_are_wrong() {
        assert!(!is_of(list("t00002", 20).as_bytes(), "t00001"));
        let mixed = list("t00001", 19).replace(']', ",{\"username\":\"user_t00002_1\"}]");
        assert!(!is_of(mixed.as_bytes(), "t00001"));
        assert!(!is_of(list("t00001", 19).as_bytes(), "t00001"));
        assert!(!is_of(list("t00001", 21).as_bytes(), "t00001"));
        assert!(!is_of(b"[]", "t00001"));
    }

    #[test]
    fn a_tenant_whose_name_begins_like_another_is_another() {
        assert!(!is_of(list("t000011", 20).as_bytes(), "t00001"));
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let bytes = b"HTTP/1.1 201 Created\r\nContent-Length: 12\r\nConnection: Close\r\n\r\nbody";
        assert_eq!(head(&bytes[..bytes.len() - 6]), Ok(None));
        let expected = Head { status: 201, length: bytes.len() - 4, body: 12, closes: true };
        assert_eq!(head(bytes), Ok(Some(expected)));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(head(b"nonsense\r\n\r\n").is_err());
    }
}
