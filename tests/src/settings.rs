//! The configuration that a test gives to its server.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// What differs between tests; the rest is the same for all. See [`Settings::toml`].
#[derive(Clone)]
pub struct Settings {
    pub port: u16,
    pub admin_port: u16,
    pub resolver: Option<SocketAddr>,
    pub http01_port: u16,
    pub tls_alpn01_port: u16,
    /// Lines of `[plugins]`, `[validation]`, `[handlers.local.config]`, `[handlers.local]` and `[acme.default]`.
    pub plugins: String,
    pub validation: String,
    pub ca: String,
    pub handler: String,
    pub endpoint: String,
    /// Whole tables, appended.
    pub more: String,
    /// The server's own certificate comes from its own handler.
    pub own_certificate: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: crate::ports::free(),
            admin_port: crate::ports::free(),
            resolver: None,
            http01_port: 80,
            tls_alpn01_port: 443,
            plugins: String::new(),
            validation: String::new(),
            ca: String::new(),
            handler: String::new(),
            endpoint: String::new(),
            more: String::new(),
            own_certificate: false,
        }
    }
}

impl Settings {
    pub fn base_url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub fn toml(&self) -> String {
        let Self {
            port,
            admin_port,
            http01_port,
            tls_alpn01_port,
            plugins,
            ..
        } = self;
        let tls = if self.own_certificate {
            "handler = \"local\""
        } else {
            "certificate = \"tls.pem\"\nkey = \"tls.key\""
        };
        let mut text = format!(
            r#"[server]
listen = "127.0.0.1:{port}"
base_url = "{base_url}"

[server.tls]
{tls}

[store]
url = "sqlite:certdock.db"

[plugins]
directory = "plugins"
{plugins}

[admin]
socket = "admin.sock"
listen = "127.0.0.1:{admin_port}"

[validation]
http01_port = {http01_port}
tls_alpn01_port = {tls_alpn01_port}
allow = ["127.0.0.0/8"]
"#,
            base_url = self.base_url(),
        );
        if let Some(resolver) = self.resolver {
            let _ = writeln!(text, "resolver = \"{resolver}\"");
        }
        let Self {
            validation,
            handler,
            ca,
            endpoint,
            more,
            ..
        } = self;
        let _ = write!(
            text,
            r#"{validation}

[handlers.local]
plugin = "openssl-local"
{handler}

[handlers.local.config]
create = true
ca_certificate = "ca/issuing.pem"
ca_key = "ca/issuing.key"
{ca}

[acme.default]
handler = "local"
{endpoint}

{more}
"#
        );
        text
    }
}
