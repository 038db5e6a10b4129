//! [`Authority`]: the text of a `Host` header, read strictly. [`HostTemplate`]: which part of it names a tenant.
//!
//! Nothing is folded but ASCII case, one trailing dot and the port: two hosts are one tenant only if every resolver,
//! proxy and browser takes them for one host too.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{Error, ErrorKind, Result};

/// The longest host name of the DNS, in bytes.
const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;
/// A host name, a trailing dot, a colon and a port.
const MAX_AUTHORITY_BYTES: usize = MAX_HOST_BYTES + ".:65535".len();

type Why = &'static str;

/// What a request says it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// Lower case, ASCII, no port, no trailing dot.
    Name(Box<str>),
    /// An IP address. It never names a tenant, and is no mistake either: health checks send it.
    Address,
}

/// A host and its port; the ports 80 and 443 count as none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: Host,
    port: Option<u16>,
}

impl Authority {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        read_authority(bytes).map_err(bad_host)
    }
}

pub(crate) fn bad_host(why: Why) -> Error {
    Error::new(ErrorKind::BadHost, format!("the host of a request cannot be read: {why}"))
}

fn read_authority(bytes: &[u8]) -> Result<Authority, Why> {
    if bytes.len() > MAX_AUTHORITY_BYTES {
        return Err("it is too long");
    }
    if !bytes.is_ascii() {
        return Err("it holds a character that is not ASCII");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text")?;
    let (host, port) = split_port(text)?;
    let host = match host.strip_prefix('[') {
        Some(literal) => read_v6(literal)?,
        None => read_name_or_v4(host)?,
    };
    let port = port.map(read_port).transpose()?.filter(|port| !matches!(port, 80 | 443));
    Ok(Authority { host, port })
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), Why> {
    let end_of_host = if text.starts_with('[') {
        text.find(']').map(|at| at + 1).ok_or("its `[` is not closed")?
    } else {
        text.find(':').unwrap_or(text.len())
    };
    match text.split_at(end_of_host) {
        (host, "") => Ok((host, None)),
        (host, rest) => {
            rest.strip_prefix(':').map(|port| (host, Some(port))).ok_or("something other than a port follows it")
        }
    }
}

fn read_port(text: &str) -> Result<u16, Why> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err("its port is not a number from 1 to 65535"),
    }
}

fn read_v6(literal: &str) -> Result<Host, Why> {
    let address = literal.strip_suffix(']').ok_or("its `[` is not closed")?;
    address.parse::<Ipv6Addr>().map(|_| Host::Address).map_err(|_| "what stands in brackets is no IPv6 address")
}

fn read_name_or_v4(text: &str) -> Result<Host, Why> {
    let name = read_name(text)?;
    if !ends_in_a_number(&name) {
        return Ok(Host::Name(name));
    }
    name.parse::<Ipv4Addr>().map(|_| Host::Address).map_err(|_| "it ends in a number and is no IPv4 address")
}

/// Such a name is an address to some resolvers (`127.1`, `0x7f.1`), so it is never a name here.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    hexadecimal || last.bytes().all(|b| b.is_ascii_digit())
}

/// The canonical form of a host name.
fn read_name(text: &str) -> Result<Box<str>, Why> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > MAX_HOST_BYTES {
        return Err("it is longer than 253 bytes");
    }
    name.split('.').try_for_each(check_label)?;
    Ok(name.to_ascii_lowercase().into())
}

fn check_label(label: &str) -> Result<(), Why> {
    if label.is_empty() {
        return Err("it holds an empty label");
    }
    if label.len() > MAX_LABEL_BYTES {
        return Err("it holds a label of more than 63 bytes");
    }
    if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err("it may hold only letters, digits, `-`, `_` and dots");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a label of it starts or ends with `-`");
    }
    Ok(())
}

/// The form in which a custom domain is stored and looked up, or why the text is none.
pub(crate) fn canonical_domain(text: &str) -> Result<Box<str>> {
    // `{:?}` escapes control characters and what cannot be seen.
    let shown: String = text.chars().take(80).collect();
    if let Some(host) = host_of_url(text) {
        return Err(Error::new(ErrorKind::InvalidInput, format!("{shown:?} is a URL and not a domain"))
            .for_client("this is a URL and not a domain: give the bare host name")
            .help(format!("write {host}")));
    }
    read_domain(text).map_err(|why| {
        let error = Error::new(ErrorKind::InvalidInput, format!("{shown:?} is not a domain: {why}"))
            .for_client(format!("this is not a domain: {why}"));
        if text.is_ascii() {
            error.help("give the bare host name, for example `shop.acme.com`")
        } else {
            error.help("give the name as the DNS stores it, its punycode form: `xn--mnchen-3ya.de` for `münchen.de`")
        }
    })
}

/// The domain in a URL, with or without its scheme, if there is one.
fn host_of_url(text: &str) -> Option<Box<str>> {
    let behind_scheme = text.split_once("://").map(|(_, rest)| rest);
    let rest = behind_scheme.unwrap_or(text);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_url = behind_scheme.is_some() || authority.len() < rest.len();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    if is_url { read_domain(host).ok() } else { None }
}

fn read_domain(text: &str) -> Result<Box<str>, Why> {
    if !text.is_ascii() {
        return Err("it holds a character that is not ASCII");
    }
    if text.contains(':') {
        return Err("a domain has no port");
    }
    let name = read_name(text)?;
    if ends_in_a_number(&name) {
        return Err("an IP address is not a domain");
    }
    if !name.contains('.') {
        return Err("it needs at least two labels");
    }
    Ok(name)
}

/// `{tenant}.myapp.com`: the one label under the base domain is the tenant's key.
#[derive(Clone, Debug)]
pub(crate) struct HostTemplate {
    base: Box<str>,
}

/// Where a host stands, seen from a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// The base domain itself.
    Base,
    /// One label under it.
    Label(&'a str),
    /// More labels under it.
    Deeper,
    /// Another domain.
    Outside,
}

impl HostTemplate {
    pub(crate) fn parse(text: &str) -> Result<Self, Why> {
        let base = text.strip_prefix("{tenant}.").ok_or("a host template starts with `{tenant}.`")?;
        if base.contains(':') {
            return Err("a host template has no port: every port is the same tenant");
        }
        let base = read_name(base)?;
        if ends_in_a_number(&base) { Err("an IP address has no names under it") } else { Ok(Self { base }) }
    }

    pub(crate) fn place<'a>(&self, host: &'a str) -> Standing<'a> {
        let Some(before) = host.strip_suffix(&*self.base) else { return Standing::Outside };
        if before.is_empty() {
            return Standing::Base;
        }
        // Without the dot it is another domain that merely ends alike: `notmyapp.com`.
        match before.strip_suffix('.') {
            Some(label) if !label.contains('.') => Standing::Label(label),
            Some(_) => Standing::Deeper,
            None => Standing::Outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Host {
        Host::Name(text.into())
    }

    #[test]
    fn every_spelling_of_a_host_is_the_same_host() {
        for same in [
            "acme.myapp.com",
            "ACME.MyApp.COM",
            "acme.myapp.com.",
            "acme.myapp.com:80",
            "acme.myapp.com:443",
            "acme.myapp.com:0443",
            "acme.myapp.com.:8080",
            "acme.myapp.com:1",
            "acme.myapp.com:65535",
        ] {
            assert_eq!(Authority::parse(same.as_bytes()).unwrap().host, name("acme.myapp.com"), "{same}");
        }
        assert_eq!(Authority::parse(b"tenant_a.localhost:8080").unwrap().host, name("tenant_a.localhost"));
        assert_eq!(Authority::parse(b"xn--mnchen-3ya.de").unwrap().host, name("xn--mnchen-3ya.de"));
    }

    #[test]
    fn an_ip_address_is_read_and_is_no_name() {
        for address in ["127.0.0.1", "127.0.0.1:8080", "10.0.0.1.", "[::1]", "[::1]:8080", "[::ffff:10.0.0.1]:80"] {
            assert_eq!(Authority::parse(address.as_bytes()).unwrap().host, Host::Address, "{address}");
        }
    }

    #[test]
    fn a_host_that_two_programs_could_read_in_two_ways_is_refused() {
        let long_label = format!("{}.com", "a".repeat(64));
        let long_host = format!("{}.com", "a.".repeat(126) + "aa");
        let endless = "a".repeat(100_000);
        for bad in [
            "",
            ".",
            "..",
            " ",
            ":80",
            "a.com ",
            " a.com",
            "a .com",
            "a\t.com",
            "a..com",
            ".a.com",
            "a.com..",
            "user@a.com",
            "a.com,b.com",
            "a.com, b.com",
            "a.com/..",
            "a.com/",
            "/a.com",
            "http://a.com",
            "a.com?x",
            "a.com#x",
            "a.com\\b",
            "a.com;b",
            "a.com\0",
            "a.com\r\nx: y",
            "a%2ecom",
            "%61.com",
            "a.com:",
            "a.com:0",
            "a.com:65536",
            "a.com:99999",
            "a.com:000443",
            "a.com:-1",
            "a.com:+80",
            "a.com: 80",
            "a.com:80:80",
            "a.com:http",
            "::1",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:",
            "[::1%25eth0]",
            "[a.com]",
            "[]",
            "127.1",
            "1.2.3.4.5",
            "1.2.3.256",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "a.123",
            "-a.com",
            "a-.com",
            "*.a.com",
            "acme。example.com",
            "ＡCME.example.com",
            "acme\u{200b}.example.com",
            "münchen.de",
            "İ.com",
            "\u{212a}.com",
            &long_label,
            &long_host,
            &endless,
        ] {
            let error = Authority::parse(bad.as_bytes()).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::BadHost, "{bad:?}");
            assert_eq!(error.client_text(), "the host of this request cannot be read");
        }
        assert!(Authority::parse(b"a\xff.com").is_err());
    }

    #[test]
    fn a_domain_is_stored_in_one_form() {
        for same in ["Shop.Acme.com", "shop.acme.com.", "shop.acme.com"] {
            assert_eq!(&*canonical_domain(same).unwrap(), "shop.acme.com");
        }
        assert!(canonical_domain("xn--mnchen-3ya.de").is_ok());
    }

    #[test]
    fn a_domain_that_normalises_to_another_is_refused_with_a_way_out() {
        for bad in ["acme。example.com", "ＡCME.example.com", "acme\u{200b}.example.com", "acme\u{ff0e}example.com"] {
            let error = canonical_domain(bad).expect_err(bad);
            assert_eq!(error.http_status(), 422);
            assert!(error.help_text().is_some_and(|help| help.contains("punycode")), "{bad:?}");
        }
        for bad in ["", "localhost", "10.0.0.1", "[::1]", "a.com:80", "*.a.com", "a..com", "https://a.com", "a.com/x"] {
            assert!(canonical_domain(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_label_under_the_base_domain_names_a_tenant() {
        let template = HostTemplate::parse("{tenant}.MyApp.com").unwrap();
        assert_eq!(template.place("acme.myapp.com"), Standing::Label("acme"));
        assert_eq!(template.place("myapp.com"), Standing::Base);
        assert_eq!(template.place("a.b.myapp.com"), Standing::Deeper);
        assert_eq!(template.place("notmyapp.com"), Standing::Outside);
        assert_eq!(template.place("acme.notmyapp.com"), Standing::Outside);
        assert_eq!(template.place("myapp.com.evil.org"), Standing::Outside);
        assert_eq!(HostTemplate::parse("{tenant}.localhost").unwrap().place("a_b.localhost"), Standing::Label("a_b"));
    }

    #[test]
    fn a_template_that_could_match_nothing_is_refused() {
        for bad in [
            "",
            "myapp.com",
            "{tenant}",
            "{tenant}.",
            "{id}.myapp.com",
            "x{tenant}.a.com",
            "{tenant}.a.com:80",
            "{tenant}.10.0.0.1",
        ] {
            assert!(HostTemplate::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Authority::parse(&bytes);
        }

        #[test]
        fn an_accepted_host_reads_as_itself(text in "[a-cA-C0-9._:xX\\[\\]-]{0,24}") {
            if let Ok(Authority { host: Host::Name(name), .. }) = Authority::parse(text.as_bytes()) {
                prop_assert_eq!(Authority::parse(name.as_bytes()).unwrap().host, Host::Name(name.clone()));
                prop_assert_eq!(name.to_ascii_lowercase(), &*name);
                if let Ok(domain) = canonical_domain(&name) {
                    prop_assert_eq!(domain, name);
                }
            }
        }

        #[test]
        fn an_accepted_domain_reads_as_itself(text in any::<String>()) {
            if let Ok(domain) = canonical_domain(&text) {
                prop_assert_eq!(canonical_domain(&domain).unwrap(), domain);
            }
        }
    }
}
