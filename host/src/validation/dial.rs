//! [`Dialer`]: the one place from which validators connect. What is dialled is the address that was
//! checked: a name is looked up once, so a second, different answer can't lead elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::order::{DnsName, Failure, FailureKind};
use crate::validation::policy::AddressPolicy;
use crate::validation::resolver::{LookupError, Resolver};

/// Resolves, checks, connects.
#[derive(Debug)]
pub(super) struct Dialer {
    resolver: Resolver,
    policy: AddressPolicy,
}

impl Dialer {
    pub(super) fn new(resolver: Resolver, policy: AddressPolicy) -> Self {
        Self { resolver, policy }
    }

    pub(super) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// A connection to `host`.
    ///
    /// # Errors
    /// What keeps us from there, without a word about addresses: a client must not learn from us
    /// what inner names stand for, or which inner ports are open.
    pub(super) async fn connect(&self, host: &DnsName, port: u16) -> Result<TcpStream, Failure> {
        let addresses = self
            .resolver
            .addresses(host.as_str())
            .await
            .map_err(|error| lookup_failure(host.as_str(), error))?;
        if addresses.is_empty() {
            return Err(Failure::new(
                FailureKind::Dns,
                format!("{host} has neither A nor AAAA records"),
            ));
        }
        let mut refused = true;
        for address in candidates(&addresses) {
            // Checked here, right before the connect, and nowhere else.
            if !self.policy.permits(address) {
                tracing::debug!(%host, %address, "address is not one that validators may dial");
                continue;
            }
            refused = false;
            match timeout(PATIENCE, TcpStream::connect(SocketAddr::new(address, port))).await {
                Ok(Ok(stream)) => {
                    // One small request: waiting to fill a packet only delays it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => tracing::debug!(%host, %address, port, %error, "no connection"),
                Err(_) => tracing::debug!(%host, %address, port, "no connection in time"),
            }
        }
        Err(Failure::new(
            FailureKind::Connection,
            if refused {
                format!("{host} resolves to an address that this server does not dial")
            } else {
                format!("{host} does not accept connections on port {port}")
            },
        ))
    }
}

/// A failed look-up of `name`, for the client.
pub(super) fn lookup_failure(name: &str, error: LookupError) -> Failure {
    Failure::new(FailureKind::Dns, format!("looking up {name}: {error}"))
}

/// How long one address may take to accept.
const PATIENCE: Duration = Duration::from_secs(4);

/// The addresses to try: one of each family, IPv6 first (as RFC 6724 would), then one more.
fn candidates(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let mut v6 = addresses.iter().copied().filter(IpAddr::is_ipv6);
    let mut v4 = addresses.iter().copied().filter(IpAddr::is_ipv4);
    let first = [v6.next(), v4.next()];
    let spare = v4.next().or_else(|| v6.next());
    first.into_iter().chain([spare]).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_family_and_one_more() {
        for (given, expect) in [
            (vec!["1.1.1.1"], vec!["1.1.1.1"]),
            (vec!["1.1.1.1", "2::2"], vec!["2::2", "1.1.1.1"]),
            (
                vec!["2::2", "2::3", "2::4", "1.1.1.1", "1.1.1.2", "1.1.1.3"],
                vec!["2::2", "1.1.1.1", "1.1.1.2"],
            ),
            (vec!["2::2", "2::3", "2::4"], vec!["2::2", "2::3"]),
        ] {
            let given: Vec<IpAddr> = given.iter().map(|text| text.parse().unwrap()).collect();
            let tried: Vec<String> = candidates(&given)
                .map(|address| address.to_string())
                .collect();
            assert_eq!(tried, expect);
        }
    }
}
