//! [`Target`]: where http-01 asks next, and the rules that a redirect has to keep. Does no I/O.

use std::str::FromStr;

use http::Uri;
use url::{Host, Url};

use crate::order::{DnsName, Failure, FailureKind, Token};

/// A URL that a validator may fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: DnsName,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// Path and query.
    pub(super) path: Uri,
    url: Url,
}

/// The ports that redirects may lead to.
#[derive(Clone, Debug)]
pub(super) struct RedirectPorts(Vec<u16>);

impl RedirectPorts {
    pub(super) fn new(http01_port: u16, more: &[u16]) -> Self {
        Self([&[80, 443, http01_port], more].concat())
    }
}

impl Target {
    /// RFC 8555 §8.3: where the proof is to be found.
    ///
    /// # Errors
    /// None for a valid name and token; a URL parser has the last word.
    pub(super) fn first(name: &DnsName, port: u16, token: &Token) -> Result<Self, Failure> {
        let path = format!("/.well-known/acme-challenge/{}", token.as_str());
        let url = Url::parse(&format!("http://{name}:{port}{path}"));
        url.ok()
            .and_then(|url| Self::from_url(url).ok())
            .ok_or_else(|| Failure::new(FailureKind::Connection, "the name makes no URL"))
    }

    /// Where a `Location` leads from here.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn redirect(&self, location: &str, ports: &RedirectPorts) -> Result<Self, Failure> {
        let next = self.join(location).map_err(refusal)?;
        if !ports.0.contains(&next.port) {
            return Err(refusal("leads to a port that this server does not dial"));
        }
        Ok(next)
    }

    fn join(&self, location: &str) -> Result<Self, &'static str> {
        if location.len() > MAX_URL {
            return Err("is too long");
        }
        let url = self.url.join(location).map_err(|_| "is not a URL")?;
        Self::from_url(url)
    }

    fn from_url(mut url: Url) -> Result<Self, &'static str> {
        url.set_fragment(None);
        if url.as_str().len() > MAX_URL {
            return Err("is too long");
        }
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err("leads to something other than http and https"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("carries a user name");
        }
        // An address in a redirect never proves control of a name; as Boulder, we refuse it. The
        // parser has already made 2130706433 and 0x7f.1 into addresses.
        let Some(Host::Domain(host)) = url.host() else {
            return Err("leads to an address instead of a name");
        };
        let host =
            DnsName::from_str(host).map_err(|_| "leads to something that is no host name")?;
        let port = url.port_or_known_default().ok_or("has no port")?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let path = path.parse().map_err(|_| "is not a URL")?;
        Ok(Self {
            host,
            port,
            tls,
            path,
            url,
        })
    }

    /// The `Host` header: the port stands there unless it is the scheme's own (RFC 9110 §7.2).
    pub(super) fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }
}

/// The longest URL that is fetched; Boulder's limit.
const MAX_URL: usize = 2000;

fn refusal(rule: &'static str) -> Failure {
    Failure::new(
        FailureKind::Connection,
        format!("the web server sent a redirect that {rule}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first() -> Target {
        let name = "a.example".parse().unwrap();
        Target::first(&name, 5002, &Token::random()).unwrap()
    }

    fn ports() -> RedirectPorts {
        RedirectPorts::new(5002, &[8443])
    }

    #[test]
    fn the_first_target_is_the_well_known_place() {
        let (name, token) = ("a.example".parse().unwrap(), Token::random());
        let target = Target::first(&name, 5002, &token).unwrap();
        let path = format!("/.well-known/acme-challenge/{}", token.as_str());
        assert_eq!(target.path, path.as_str());
        assert_eq!(target.authority(), "a.example:5002");
        let target = Target::first(&name, 80, &token).unwrap();
        assert_eq!(target.authority(), "a.example");
        assert_eq!(target.port, 80);
    }

    #[test]
    fn redirects_that_are_followed() {
        for (location, host, port, path) in [
            ("/x?y=1#z", "a.example", 5002, "/x?y=1"),
            ("x", "a.example", 5002, "/.well-known/acme-challenge/x"),
            ("../x", "a.example", 5002, "/.well-known/x"),
            ("//b.example/x", "b.example", 80, "/x"),
            ("http://B.example", "b.example", 80, "/"),
            ("https://b.example/x", "b.example", 443, "/x"),
            ("https://b.example:8443/x", "b.example", 8443, "/x"),
            ("http://b.example:443/x", "b.example", 443, "/x"),
            ("http://bücher.example/", "xn--bcher-kva.example", 80, "/"),
        ] {
            let target = first().redirect(location, &ports()).unwrap();
            assert_eq!(target.host.as_str(), host, "{location}");
            assert_eq!(
                (target.port, target.path.to_string().as_str()),
                (port, path),
                "{location}"
            );
            assert_eq!(target.tls, target.url.scheme() == "https");
        }
    }

    #[test]
    fn redirects_that_are_refused() {
        let long = format!("/{}", "a".repeat(2000));
        let grows = format!("/{}", "é".repeat(500));
        for (location, rule) in [
            ("http://127.0.0.1/", "address"),
            ("http://2130706433/", "address"),
            ("http://0x7f.1/", "address"),
            ("http://0177.0.0.1/", "address"),
            ("http://[::1]/", "address"),
            ("http://[::ffff:127.0.0.1]/", "address"),
            ("http://①②⑦.0.0.1/", "address"),
            ("http://a.example:22/", "port"),
            ("https://a.example:8444/", "port"),
            ("ftp://a.example/", "http and https"),
            ("file:///etc/passwd", "http and https"),
            ("gopher://a.example:80/", "http and https"),
            ("javascript:1", "http and https"),
            ("http://user@a.example/", "user name"),
            ("http://:pw@a.example/", "user name"),
            ("http://a_b.example/", "no host name"),
            ("http://a.example./", "no host name"),
            ("http://", "not a URL"),
            ("http://a b/", "not a URL"),
            ("http://a.example:99999/", "not a URL"),
            (&long, "too long"),
            (&grows, "too long"),
        ] {
            let failure = first().redirect(location, &ports()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Connection);
            assert!(
                failure.detail.contains(rule),
                "{location}: {}",
                failure.detail
            );
        }
    }

    proptest! {
        #[test]
        fn any_location_gives_a_target_within_the_rules_or_a_refusal(location in ".{0,200}") {
            if let Ok(target) = first().redirect(&location, &ports()) {
                prop_assert!(ports().0.contains(&target.port));
                prop_assert!(target.url.as_str().len() <= MAX_URL);
                prop_assert!(target.path.to_string().starts_with('/'));
            }
        }

        #[test]
        fn so_does_any_authority(
            scheme in "(http|https|HTTP|ws|)",
            authority in "[a-z0-9@:.%\\[\\]_*-]{0,40}",
            path in "[ -~]{0,40}",
        ) {
            let location = format!("{scheme}://{authority}/{path}");
            if let Ok(target) = first().redirect(&location, &ports()) {
                prop_assert!(target.host.as_str().parse::<std::net::IpAddr>().is_err());
                prop_assert!(!target.authority().contains('@'));
            }
        }
    }
}
