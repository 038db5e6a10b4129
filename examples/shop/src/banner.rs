//! What the shop says when it serves: where to look, and what to try.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
};

use crate::demo;

/// At most six lines on stdout. Nobody may be reading, and that is no reason to fail.
pub(crate) fn print(address: SocketAddr, data: &Path, with_demo: bool) {
    if let Err(error) = io::stdout().lock().write_all(text(address, data, with_demo).as_bytes()) {
        tracing::debug!(%error, "nobody reads the banner");
    }
}

fn text(address: SocketAddr, data: &Path, with_demo: bool) -> String {
    let url = format!("http://{address}");
    let config = data.join("tenantry.toml");
    let tries = if with_demo {
        format!(
            "  curl {url}/tenant_a/users                  userA and userB\n  \
             curl {url}/tenant_b/users                  the same address, another tenant: userA and userC\n  \
             curl -u client1@shop.test:{} {url}/me/priced-orders\n",
            demo::PASSWORD
        )
    } else {
        String::new()
    };
    format!(
        "shop: serving {url}, everything is kept in {}\n\
         {tries}  \
         curl -d '{{\"tenant\":\"acme\"}}' {url}/signup && curl {url}/acme/dashboard\n  \
         tenantry --config {} tenant list\n",
        data.display(),
        config.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_has_six_lines_at_most() {
        for with_demo in [true, false] {
            let text = text(([127, 0, 0, 1], 8080).into(), Path::new("./data"), with_demo);
            assert!(text.lines().count() <= 6 && text.lines().all(|line| line.len() <= 120), "{text}");
        }
    }
}
