//! A certificate authority and a server's certificate, by `openssl`.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{During, Result, area::Home, programs, user::ServerUser};

/// The names of a server on this machine.
pub const LOCALHOST: &[&str] = &["localhost", "127.0.0.1"];

/// For which names and addresses the server's certificate is.
#[derive(Debug)]
pub(crate) struct Certificates {
    names: String,
}

#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) ca: PathBuf,
    certificate: String,
    key: String,
}

impl Certificates {
    pub(crate) fn for_names(names: &[&str]) -> Self {
        let kind = |name: &&str| if name.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
        let names: Vec<String> = names.iter().map(|name| format!("{}:{name}", kind(name))).collect();
        Self { names: names.join(",") }
    }

    pub(crate) fn make(&self, home: &Home, user: ServerUser) -> Result<Files> {
        let folder = home.path();
        let (ca, key) = (folder.join("ca.crt"), folder.join("server.key"));
        let authority = ["-subj", "/CN=tenantry test authority", "-addext", "keyUsage=critical,keyCertSign"];
        certificate(folder, "ca", &authority)?;
        let names = format!("subjectAltName={}", self.names);
        let signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-subj", "/CN=tenantry test server", "-addext", &names];
        certificate(folder, "server", &[&signed[..], &["-addext", "basicConstraints=critical,CA:FALSE"]].concat())?;
        user.own(&key)?;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        Ok(Files { ca, certificate: text(folder.join("server.crt")), key: text(key) })
    }
}

impl Files {
    pub(crate) fn settings(&self) -> [(&str, &str); 3] {
        [("ssl", "on"), ("ssl_cert_file", &self.certificate), ("ssl_key_file", &self.key)]
    }
}

/// `NAME.crt` and `NAME.key`; openssl gives the key to its owner alone.
fn certificate(folder: &Path, name: &str, args: &[&str]) -> Result {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    command.args(["-nodes", "-days", "30", "-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")]);
    programs::output(command.args(args)).map(drop).during("make a certificate")
}
