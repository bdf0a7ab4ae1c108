//! `certdock cert …`

use clap::Subcommand;
use clap::builder::PossibleValuesParser;

use super::client::{self, Client, segment};
use super::failure::Failure;
use super::listing::{Format, Part};
use super::output;
use crate::admin::views::{Certificate, REASONS, Revoke};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List certificates, the oldest first
    List(Part),
    /// Show one certificate, with its chain
    Show {
        /// Its id, its serial number or its SHA-256 fingerprint
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// Revoke a certificate at its CA; the server must run
    Revoke {
        /// Its id, its serial number or its SHA-256 fingerprint
        id: String,
        /// Why, in the words of RFC 5280
        #[arg(long, default_value = "unspecified", value_parser = reasons())]
        reason: String,
    },
}

fn reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(REASONS.map(|(name, _)| name))
}

pub(super) fn run(command: &Command, config: &Config) -> Result<(), Failure> {
    client::with(config, async |mut client: Client| match command {
        Command::List(part) => {
            let headings = ["ID", "STATUS", "NOT AFTER", "HANDLER", "SERIAL", "NAMES"];
            let row = |certificate: &Certificate| {
                vec![
                    certificate.id.clone(),
                    certificate.status.clone(),
                    certificate.not_after.clone(),
                    certificate.handler.clone(),
                    certificate.serial.clone(),
                    certificate.names.join(" "),
                ]
            };
            part.print(&mut client, "/certificates", &headings, row)
                .await
        }
        Command::Show { id, format } => {
            let path = format!("/certificates/{}", segment(id));
            let certificate: Certificate = client.get(&path).await?;
            if format.json {
                return output::print_json(&certificate);
            }
            let pem = certificate.pem.as_deref().unwrap_or_default();
            output::print(&format!("{}\n{pem}", describe(&certificate)))
        }
        Command::Revoke { id, reason } => {
            let path = format!("/certificates/{}/revoke", segment(id));
            let request = Revoke {
                reason: reason.clone(),
            };
            let certificate: Certificate = client.post(&path, &request).await?;
            let (id, names) = (&certificate.id, certificate.names.join(", "));
            output::print(&format!("Revoked certificate {id} for {names}.\n"))
        }
    })
}

fn describe(certificate: &Certificate) -> String {
    let revoked = certificate.revoked.as_ref();
    let open = certificate.open_revocation.as_ref();
    output::facts(&[
        ("id", Some(certificate.id.clone())),
        ("status", Some(certificate.status.clone())),
        ("names", Some(certificate.names.join(" "))),
        ("serial", Some(certificate.serial.clone())),
        ("fingerprint", Some(certificate.fingerprint.clone())),
        ("not before", Some(certificate.not_before.clone())),
        ("not after", Some(certificate.not_after.clone())),
        ("issued at", Some(certificate.issued_at.clone())),
        ("handler", Some(certificate.handler.clone())),
        ("endpoint", Some(certificate.endpoint.clone())),
        ("account", certificate.account.clone()),
        (
            "revoked",
            revoked.map(|revocation| format!("{} ({})", revocation.at, revocation.reason)),
        ),
        (
            "revocation",
            open.map(|open| format!("{} since {} ({})", open.state, open.since, open.reason)),
        ),
        ("  the CA said", open.and_then(|open| open.problem.clone())),
        (
            "  next attempt",
            open.and_then(|open| open.next_attempt.clone()),
        ),
    ])
}
