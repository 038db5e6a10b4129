//! The tenant named by a header.

use http::{HeaderMap, HeaderName};

use crate::{
    catalog::Name,
    error::{Error, ErrorKind, Result},
    key::TenantKey,
};

/// A malformed header is 400, not 404: no address was asked for, a client wrote the header wrong.
pub(crate) fn named_by_header(headers: &HeaderMap, header: &HeaderName) -> Result<Option<Name>> {
    let bad = |why: &str| Error::new(ErrorKind::BadSignal, format!("the header `{header}` {why}"));
    let mut values = headers.get_all(header).iter();
    let Some(first) = values.next() else { return Ok(None) };
    // Which of two lines a proxy in front has checked cannot be told, even if they are equal here.
    if values.next().is_some() {
        return Err(bad("was sent twice"));
    }
    let text = first.to_str().map_err(|_| bad("is no ASCII text"))?;
    let key = text.parse::<TenantKey>().map_err(|e| bad("holds no tenant key").caused_by(e))?;
    Ok(Some(Name::Key(key)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const HEADER: HeaderName = HeaderName::from_static("x-tenant-name");

    fn read(values: &[&[u8]]) -> Result<Option<Name>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        named_by_header(&headers, &HEADER)
    }

    #[test]
    fn a_header_names_a_tenant_once() {
        let acme = Some(Name::Key("acme".parse().unwrap()));
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[b"acme"]).unwrap(), acme);
    }

    #[test]
    fn a_header_that_is_no_key_or_is_sent_twice_is_refused() {
        let long = vec![b'a'; 60_000];
        for bad in [
            &[&b"acme"[..], b"evil"][..],
            &[b"acme", b"acme"],
            &[b"acme", b""],
            &[b""],
            &[b"Acme"],
            &[b" acme"],
            &[b"acme,evil"],
            &[b"acme\tevil"],
            &[b"../acme"],
            &[b"public"],
            &[b"acm\xe9"],
            &[b"!canary-1"],
            &[&long],
        ] {
            assert_eq!(read(bad).unwrap_err().kind(), ErrorKind::BadSignal, "{bad:?}");
        }
    }
}
