//! What the engine reads from a URL, or writes into one.

use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::{connect, wire::Certificates};
use crate::{
    engine::postgres::names::Names,
    error::{Error, ErrorKind, Result},
    id::TenantId,
    secret::{Secret, SecretKey},
};

/// The password in a URL, in the place where the driver looks last.
pub(crate) fn password_of(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let in_query = url.query_pairs().filter(|(key, _)| key == "password").map(|(_, value)| value.into_owned()).last();
    let decoded =
        |p: &str| percent_encoding::percent_decode_str(p).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    in_query.or_else(|| url.password().and_then(decoded))
}

/// The certificates that a URL names, or else the environment, as the driver reads them.
pub(crate) fn certificates_of(text: &str) -> Certificates {
    let pairs: Vec<(String, String)> =
        Url::parse(text).map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default();
    let find = |names: &[&str], variable: &str| {
        let named = pairs.iter().rev().find(|(key, _)| names.contains(&key.as_str())).map(|(_, value)| value.clone());
        named.or_else(|| std::env::var(variable).ok())
    };
    Certificates {
        root: find(&["sslrootcert", "ssl-root-cert", "ssl-ca"], "PGSSLROOTCERT"),
        client: find(&["sslcert", "ssl-cert"], "PGSSLCERT"),
        key: find(&["sslkey", "ssl-key"], "PGSSLKEY"),
    }
}

/// The same server and database for another login, which overrides whatever user the URL names.
pub(crate) fn for_login(text: &str, login: &str, password: &str) -> Result<String> {
    let mut url = Url::parse(text).map_err(|e| {
        Error::new(ErrorKind::InvalidInput, "the admin URL cannot be read")
            .caused_by(e)
            .help("write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
    })?;
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != "user" && key != "password")
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("user", login).append_pair("password", password);
    Ok(url.into())
}

/// Whether two URLs name one database of one server, whoever signs in.
pub(crate) fn is_same_database(one: &str, other: &str) -> bool {
    let read = |url: &str| url.parse::<PgConnectOptions>().ok();
    let key = |o: &PgConnectOptions| {
        let host = o.get_socket().map_or_else(|| o.get_host().to_owned(), |socket| socket.display().to_string());
        (host, o.get_port(), o.get_database().unwrap_or(o.get_username()).to_owned())
    };
    read(one).zip(read(other)).is_some_and(|(one, other)| key(&one) == key(&other))
}

/// The app URL of a server for which the operator has given none: a restricted login of ours. Its password follows from
/// the key: two processes that add the server at once give the login the same one.
pub(crate) fn app_url_new(installation: TenantId, server: &str, admin_url: &str, key: &SecretKey) -> Result<String> {
    let password = key.password(&format!("logins of server {server} of {installation}"));
    for_login(admin_url, &Names::new(installation, server, None)?.rows_login(), &password)
}

/// Names, the app's way in, and the password of the logins that the engine makes.
pub(crate) fn door_of(
    installation: TenantId,
    server: &str,
    admin_url: &str,
    app_url: Option<&str>,
) -> Result<(Names, PgConnectOptions, Option<Secret>)> {
    let app_url = app_url.unwrap_or(admin_url);
    let app = connect::parse(app_url, "app URL")?;
    let made = Names::new(installation, server, None)?;
    let login = app.get_username().to_owned();
    let own = (app_url != admin_url && !login.starts_with(&made.prefix())).then_some(login);
    let password = password_of(app_url).map(Secret::new);
    Ok((Names::new(installation, server, own)?, app, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_login_keeps_the_rest_of_the_url() {
        let url = for_login("postgres://a:b%21@h:5/d?host=/tmp/x&sslmode=require", "app", "secret").expect("reads");
        assert_eq!(password_of("postgres://a:b%21@h:5/d").as_deref(), Some("b!"));
        assert_eq!(password_of(&url).as_deref(), Some("secret"));
        let options: PgConnectOptions = url.parse().expect("options");
        assert_eq!((options.get_username(), options.get_database(), options.get_port()), ("app", Some("d"), 5));
        assert_eq!(options.get_socket().and_then(|s| s.to_str()), Some("/tmp/x"));
    }
}
