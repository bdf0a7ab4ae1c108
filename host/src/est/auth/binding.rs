//! Proof of possession by channel binding (RFC 7030 §3.5): the CSR's challengePassword is the name of
//! the TLS connection that it comes over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Client;
use crate::config::ChannelBinding;
use crate::est::status::Refusal;
use crate::x509::Csr;

/// RFC 2985 §5.4.1
const CHALLENGE_PASSWORD: &str = "1.2.840.113549.1.9.7";
/// RFC 7894 §3.3: the same value in an attribute of its own.
const EST_IDENTITY_LINKING: &str = "1.2.840.113549.1.9.16.2.56";

pub(super) fn check(demand: ChannelBinding, client: &Client, csr: &Csr) -> Result<(), Refusal> {
    if demand == ChannelBinding::Ignored {
        return Ok(());
    }
    let given = [CHALLENGE_PASSWORD, EST_IDENTITY_LINKING]
        .into_iter()
        .filter_map(|oid| csr.attribute(oid))
        .collect::<Vec<_>>();
    let required = demand == ChannelBinding::Required;
    let Some(exporter) = client.exporter else {
        if required || !given.is_empty() {
            return Err(Refusal::forbidden(
                "channel binding works over TLS 1.3 alone here, with tls-exporter in challengePassword \
                 (RFC 9266); this connection is TLS 1.2",
            ));
        }
        return Ok(());
    };
    if given.is_empty() {
        if required {
            return Err(Refusal::forbidden(
                "this label needs channel binding: put the connection's tls-exporter value in \
                 challengePassword, base64 (RFC 9266)",
            ));
        }
        return Ok(());
    }
    let expected = STANDARD.encode(exporter);
    for attribute in given {
        if text(&attribute.values) != Some(expected.as_bytes()) {
            return Err(Refusal::forbidden(
                "the CSR's challengePassword is not this connection's tls-exporter value",
            ));
        }
    }
    Ok(())
}

/// The content of the one string in a SET of values: UTF8String, PrintableString, T61String or
/// IA5String, of less than 128 bytes, which a right value always is.
fn text(values: &[u8]) -> Option<&[u8]> {
    match values {
        [0x0c | 0x13 | 0x14 | 0x16, length @ 0..=127, content @ ..]
            if content.len() == usize::from(*length) =>
        {
            Some(content)
        }
        _ => None,
    }
}
