//! Which host a request is for: `Host`, the target, and what a trusted proxy forwards.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    sync::Once,
};

use axum::extract::ConnectInfo;
use http::{HeaderMap, Version, header, request::Parts};
use ipnet::IpNet;

use crate::{
    error::{Error, Result},
    identify::host::{Authority, Host, bad_host},
};

/// More than any chain of proxies writes.
const MAX_FORWARDED_BYTES: usize = 4096;

/// The addresses whose word about the host is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Takes addresses (`10.0.0.1`) and nets (`10.0.0.0/8`). `Err`: what is neither.
    pub(crate) fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, String> {
        let net = |text: T| {
            let text = text.as_ref();
            let address = text.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| text.parse()).map_err(|_| format!("{text:?} is neither an IP address nor a net"))
        };
        texts.into_iter().map(net).collect::<Result<_, _>>().map(Self)
    }

    fn trust(&self, parts: &Parts) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
            warn_of_unknown_peer();
            return false;
        };
        // A dual-stack listener shows IPv4 peers as `::ffff:10.0.0.1`.
        let peer = peer.ip().to_canonical();
        self.0.iter().any(|net| net.contains(&peer))
    }
}

fn warn_of_unknown_peer() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            help = "serve the router with `into_make_service_with_connect_info::<SocketAddr>()`",
            "trusted proxies are set, but the address of the peer is not known: forwarded hosts are ignored"
        );
    });
}

/// The host that the client asked for. `None`: an HTTP/1.0 request that says nothing.
pub(crate) fn requested_host(parts: &Parts, proxies: &Proxies) -> Result<Option<Host>> {
    let stated = stated(parts)?;
    if proxies.trust(parts)
        && let Some(forwarded) = forwarded(&parts.headers)?
    {
        return Ok(Some(forwarded));
    }
    match stated {
        Some(authority) => Ok(Some(authority.host)),
        None if parts.version < Version::HTTP_11 => Ok(None),
        None => Err(no_host()),
    }
}

/// HTTP/2 has the host in its target alone; HTTP/1.1 in absolute form names it twice.
fn no_host() -> Error {
    bad_host("there is none").help("HTTP/1.1 requires a `Host` header, in tests too")
}

/// What `Host` and the target say. hyper and axum let two `Host` lines pass, and a target with another host beside them.
fn stated(parts: &Parts) -> Result<Option<Authority>> {
    let mut lines = parts.headers.get_all(header::HOST).iter();
    let header = lines.next().map(|line| Authority::parse(line.as_bytes())).transpose()?;
    if lines.next().is_some() {
        return Err(bad_host("there are several `Host` lines"));
    }
    let target = parts.uri.authority().map(|a| Authority::parse(a.as_str().as_bytes())).transpose()?;
    match (header, target) {
        (Some(header), Some(target)) if header != target => Err(bad_host("`Host` and the target name two hosts")),
        (None, Some(_)) if parts.version == Version::HTTP_11 => Err(no_host()),
        (header, target) => Ok(header.or(target)),
    }
}

/// What the proxies wrote. They must agree: which of two is the client's own cannot be told from here.
fn forwarded(headers: &HeaderMap) -> Result<Option<Host>> {
    let mut host = None;
    for value in headers.get_all("x-forwarded-host") {
        for text in bounded(value.as_bytes())?.split(',') {
            agree(&mut host, text.trim_matches([' ', '\t']))?;
        }
    }
    for value in headers.get_all(header::FORWARDED) {
        for text in hosts_of_forwarded(bounded(value.as_bytes())?).map_err(bad_host)? {
            agree(&mut host, &text)?;
        }
    }
    Ok(host)
}

fn bounded(bytes: &[u8]) -> Result<&str> {
    if bytes.len() > MAX_FORWARDED_BYTES {
        return Err(bad_host("a forwarded header is too long"));
    }
    std::str::from_utf8(bytes).map_err(|_| bad_host("a forwarded header is no text"))
}

fn agree(host: &mut Option<Host>, text: &str) -> Result<()> {
    let next = Authority::parse(text.as_bytes())?.host;
    match host {
        Some(first) if *first != next => Err(bad_host("the forwarded headers name two hosts")
            .help("let the outermost proxy set the forwarded host and drop what the client sent")),
        _ => {
            *host = Some(next);
            Ok(())
        }
    }
}

/// The `host` parameters of a `Forwarded` header (RFC 7239).
fn hosts_of_forwarded(text: &str) -> Result<Vec<Cow<'_, str>>, &'static str> {
    let mut hosts = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',', ';']);
        if rest.is_empty() {
            return Ok(hosts);
        }
        let (name, after) = rest.split_once('=').ok_or("`Forwarded` holds something without a value")?;
        let (value, after) = value_of(after)?;
        if name.eq_ignore_ascii_case("host") {
            hosts.push(value);
        }
        rest = after.trim_start_matches([' ', '\t']);
        if !(rest.is_empty() || rest.starts_with([',', ';'])) {
            return Err("`Forwarded` holds something that is not separated");
        }
    }
}

fn value_of(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return Ok((value.into(), after));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value.into(), &quoted[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    Err("a quoted value of `Forwarded` is not closed")
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    const PROXY: &str = "10.0.0.7:4711";
    const STRANGER: &str = "203.0.113.9:4711";

    fn parts(target: &str, headers: &[(&str, &str)]) -> Parts {
        let request = headers.iter().fold(Request::get(target), |r, (name, value)| r.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn from_peer(peer: &str, headers: &[(&str, &str)]) -> Parts {
        let mut parts = parts("/users", headers);
        parts.extensions.insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        parts
    }

    fn proxies() -> Proxies {
        Proxies::parse(["10.0.0.0/8", "2001:db8::1"]).unwrap()
    }

    fn host(text: &str) -> Option<Host> {
        Some(Host::Name(text.into()))
    }

    #[track_caller]
    fn refused(parts: &Parts) {
        assert_eq!(requested_host(parts, &proxies()).unwrap_err().kind(), ErrorKind::BadHost);
    }

    #[test]
    fn the_target_of_a_request_may_repeat_its_host() {
        let read = |parts| requested_host(&parts, &Proxies::default()).unwrap();
        assert_eq!(read(parts("/users", &[("host", "a.com")])), host("a.com"));
        assert_eq!(read(parts("http://a.com/users", &[("host", "A.com:80")])), host("a.com"));
        let mut newer = parts("http://a.com/users", &[]);
        newer.version = Version::HTTP_2;
        assert_eq!(read(newer), host("a.com"));
    }

    #[test]
    fn two_hosts_in_one_request_are_refused() {
        refused(&parts("/", &[("host", "a.com"), ("host", "b.com")]));
        refused(&parts("/", &[("host", "a.com"), ("host", "a.com")]));
        refused(&parts("http://b.com/", &[("host", "a.com")]));
        refused(&parts("http://a.com:81/", &[("host", "a.com")]));
        refused(&parts("http://user@a.com/", &[("host", "a.com")]));
    }

    #[test]
    fn a_missing_host_is_refused_from_http_1_1_on() {
        refused(&parts("/", &[]));
        refused(&parts("/", &[("host", "")]));
        refused(&parts("http://a.com/users", &[]));
        let mut old = parts("/", &[]);
        old.version = Version::HTTP_10;
        assert_eq!(requested_host(&old, &proxies()).unwrap(), None);
    }

    #[test]
    fn a_forwarded_host_counts_only_from_a_trusted_proxy() {
        let forged = [("host", "a.com"), ("x-forwarded-host", "b.com"), ("forwarded", "host=b.com")];
        let read = |parts, proxies: &Proxies| requested_host(&parts, proxies).unwrap();
        assert_eq!(read(from_peer(STRANGER, &forged), &proxies()), host("a.com"));
        assert_eq!(read(parts("/", &forged), &proxies()), host("a.com"));
        assert_eq!(read(from_peer(PROXY, &forged), &Proxies::default()), host("a.com"));
        assert_eq!(read(from_peer(PROXY, &forged), &proxies()), host("b.com"));
        assert_eq!(read(from_peer("[::ffff:10.1.2.3]:1", &forged), &proxies()), host("b.com"));
        assert_eq!(read(from_peer("[2001:db8::1]:1", &forged), &proxies()), host("b.com"));
        assert_eq!(read(from_peer("[2001:db8::2]:1", &forged), &proxies()), host("a.com"));
    }

    #[test]
    fn what_a_stranger_forwards_is_not_even_read() {
        let garbage = from_peer(STRANGER, &[("host", "a.com"), ("forwarded", "host=\""), ("x-forwarded-host", "a@b")]);
        assert_eq!(requested_host(&garbage, &proxies()).unwrap(), host("a.com"));
    }

    #[test]
    fn a_chain_of_proxies_must_agree_on_the_host() {
        let read = |headers: &[(&str, &str)]| {
            let all: Vec<_> = [("host", "inner")].iter().chain(headers).copied().collect();
            requested_host(&from_peer(PROXY, &all), &proxies()).map(Option::unwrap)
        };
        for same in [
            &[("x-forwarded-host", "a.com, A.com:443")][..],
            &[("x-forwarded-host", "a.com"), ("x-forwarded-host", "a.com")],
            &[("forwarded", "for=1.2.3.4;host=a.com;proto=https, for=\"[::1]:9\";Host=\"a.com:443\"")],
            &[("forwarded", "host=a.com:8080"), ("x-forwarded-host", "a.com")],
            &[("forwarded", "for=\"a,host=b.com\"; host=a.com")],
            &[("forwarded", "host=\"a\\.com\"")],
        ] {
            assert_eq!(Some(read(same).unwrap()), host("a.com"), "{same:?}");
        }
        for bad in [
            &[("x-forwarded-host", "b.com, a.com")][..],
            &[("x-forwarded-host", "b.com"), ("x-forwarded-host", "a.com")],
            &[("forwarded", "host=b.com, host=a.com")],
            &[("forwarded", "host=b.com"), ("x-forwarded-host", "a.com")],
            &[("x-forwarded-host", "")],
            &[("x-forwarded-host", "a.com,")],
            &[("x-forwarded-host", "user@a.com")],
            &[("forwarded", "host=\"a.com")],
            &[("forwarded", "host")],
            &[("forwarded", "host=a.com b.com")],
            &[("forwarded", "host=")],
        ] {
            assert_eq!(read(bad).unwrap_err().kind(), ErrorKind::BadHost, "{bad:?}");
        }
        assert_eq!(Some(read(&[("forwarded", "for=1.2.3.4")]).unwrap()), host("inner"));
    }

    #[test]
    fn a_proxy_is_an_address_or_a_net() {
        assert!(Proxies::parse(["127.0.0.1", "::1", "10.0.0.0/8"]).is_ok());
        assert!(Proxies::parse(["10.0.0.0/33"]).is_err());
        assert!(Proxies::parse(["proxy.internal"]).is_err());
    }

    proptest! {
        #[test]
        fn any_forwarded_header_is_answered(text in "[a-z=\";, \\\\.:]{0,40}") {
            let _ = hosts_of_forwarded(&text);
        }
    }
}
