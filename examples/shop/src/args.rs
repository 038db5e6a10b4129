//! What can be said on the command line, each also by environment.

use std::{error::Error, net::SocketAddr, num::NonZeroU32, path::PathBuf};

use clap::{
    Parser,
    builder::{FalseyValueParser, PossibleValuesParser, TypedValueParser},
};
use tenantry::{Isolation, RequestLimits, Seconds};

const EXAMPLES: &str = "\
Examples:
  shop                                                      SQLite, a file per tenant, all in ./data
  shop --server postgres://admin:secret@db.example/shop     PostgreSQL, a schema per tenant
  shop --server 'postgres:///shop?host=/run/postgresql' --isolation row
  shop --catalog postgres://admin:secret@db.example/shop --server postgres://admin:secret@db.example/shop";

/// The example app of tenantry: a small shop for many companies, whose data the database keeps apart.
#[derive(Parser)]
#[command(version, args_override_self = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "SHOP_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// The domain under which each tenant has a host of its own: {tenant}.NAME
    #[arg(long, env = "SHOP_BASE_DOMAIN", value_name = "NAME", default_value = "localhost")]
    pub(crate) base_domain: String,

    /// The secret of bearer tokens: HS256, `iss` and `aud` `shop`, with `exp`, `tenant` and `sub`; with `tenant_id`, its id,
    /// a token is no good for a later tenant of the same key. Without the secret no token
    /// is good.
    #[arg(long, env = "SHOP_JWT_SECRET", value_name = "S", hide_env_values = true)]
    pub(crate) jwt_secret: Option<String>,

    /// How new tenants are kept apart: rows of common tables, a schema or a database each. The default is `schema` on
    /// PostgreSQL and `database` on SQLite, which has nothing else.
    #[arg(long, env = "SHOP_ISOLATION", value_parser = isolations())]
    pub(crate) isolation: Option<Isolation>,

    /// Where tenants live, and how to administer it: `postgres://USER:PASSWORD@HOST/DATABASE` or `sqlite://DIRECTORY`.
    /// Read at the first start; the default is `sqlite://DATA/local`. On PostgreSQL tenants of row and schema isolation
    /// live in the database that it names, and apps sign in by restricted logins that are made there.
    #[arg(long, env = "SHOP_SERVER", value_name = "URL", hide_env_values = true)]
    pub(crate) server: Option<String>,

    /// Where the catalog of tenants is: a `postgres://` URL, or a file as `sqlite://FILE`. The default is
    /// `sqlite://DATA/catalog.db`.
    #[arg(long, env = "SHOP_CATALOG", value_name = "URL", hide_env_values = true)]
    pub(crate) catalog: Option<String>,

    /// Where the shop keeps everything.
    #[arg(long, env = "SHOP_DATA", value_name = "DIR", default_value = "./data")]
    pub(crate) data: PathBuf,

    /// How long a client may take over the headers of a request.
    #[arg(long, env = "SHOP_HEADER_TIMEOUT", value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub(crate) header_timeout: Seconds,

    /// How long a client may take over the body of a request.
    #[arg(long, env = "SHOP_BODY_TIMEOUT", value_name = "SECONDS", value_parser = seconds, default_value = "20")]
    pub(crate) body_timeout: Seconds,

    /// How long a whole request may take.
    #[arg(long, env = "SHOP_TOTAL_TIMEOUT", value_name = "SECONDS", value_parser = seconds, default_value = "30")]
    pub(crate) total_timeout: Seconds,

    /// The largest body of a request.
    #[arg(long, env = "SHOP_BODY_BYTES", value_name = "BYTES", default_value = "65536")]
    pub(crate) body_bytes: NonZeroU32,

    /// Make no demo tenants.
    #[arg(long, env = "SHOP_NO_DEMO", value_parser = FalseyValueParser::new())]
    pub(crate) no_demo: bool,
}

impl Args {
    pub(crate) const fn limits(&self) -> RequestLimits {
        RequestLimits {
            header_timeout: self.header_timeout,
            body_timeout: self.body_timeout,
            total_timeout: self.total_timeout,
            body_bytes: self.body_bytes,
        }
    }
}

fn seconds(text: &str) -> Result<Seconds, Box<dyn Error + Send + Sync>> {
    Ok(Seconds::new(text.parse()?)?)
}

fn isolations() -> impl TypedValueParser<Value = Isolation> {
    PossibleValuesParser::new(Isolation::ALL.iter().map(|i| i.as_str())).try_map(|word| word.parse())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_make_sense_to_clap() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_isolation_that_is_none_is_refused_with_those_that_are() {
        let error = Args::try_parse_from(["shop", "--isolation", "cell"]).err().expect("is refused").to_string();
        assert!(error.contains("row, schema, database"), "{error}");
    }

    #[test]
    fn a_limit_that_would_limit_nothing_is_refused() {
        for (flag, value) in [("--header-timeout", "0"), ("--body-timeout", "inf"), ("--total-timeout", "nan")] {
            let error = Args::try_parse_from(["shop", flag, value]).err().expect("is refused").to_string();
            assert!(error.contains(flag) && error.contains("from 0.001 to 2000000"), "{error}");
        }
        assert!(Args::try_parse_from(["shop", "--body-bytes", "0"]).is_err());
    }
}
