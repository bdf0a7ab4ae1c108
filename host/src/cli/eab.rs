//! `certdock eab …`: keys for external account binding (RFC 8555 §7.3.4).

use clap::Subcommand;

use super::client::{self, Client, segment};
use super::failure::Failure;
use super::listing::{self, Format};
use super::output;
use crate::admin::views::{AddedExternalKey, ExternalKey, NewExternalKey, Page};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a key, and show it: this once
    Add {
        /// Its id; a random one if it is not given
        id: Option<String>,
        /// The ACME endpoint that it is for
        #[arg(long, value_name = "NAME", default_value = "default")]
        endpoint: String,
        #[command(flatten)]
        format: Format,
    },
    /// List keys, without their secrets
    List(Format),
    /// Revoke a key: no new account can be bound to it
    Revoke {
        id: String,
        /// The ACME endpoint that it is for
        #[arg(long, value_name = "NAME", default_value = "default")]
        endpoint: String,
    },
}

pub(super) fn run(command: &Command, config: &Config) -> Result<(), Failure> {
    client::with(config, async |mut client: Client| match command {
        Command::Add {
            id,
            endpoint,
            format,
        } => {
            let request = NewExternalKey {
                endpoint: endpoint.clone(),
                id: id.clone(),
            };
            let key = client.post("/external-keys", &request).await?;
            show(&key, format)
        }
        Command::List(format) => {
            let page: Page<ExternalKey> = client.get("/external-keys").await?;
            let headings = ["ID", "ENDPOINT", "CREATED", "REVOKED"];
            listing::print(&page, format, &headings, |key| {
                vec![
                    key.id.clone(),
                    key.endpoint.clone(),
                    key.created.clone(),
                    key.revoked.clone().unwrap_or_else(|| "-".to_owned()),
                ]
            })
        }
        Command::Revoke { id, endpoint } => {
            let (endpoint, id) = (segment(endpoint), segment(id));
            let path = format!("/external-keys/{endpoint}/{id}/revoke");
            let key: ExternalKey = client.act(&path).await?;
            let (id, endpoint) = (key.id, key.endpoint);
            output::print(&format!("Revoked key {id} of endpoint {endpoint}.\n"))
        }
    })
}

fn show(key: &AddedExternalKey, format: &Format) -> Result<(), Failure> {
    if format.json {
        return output::print_json(key);
    }
    let facts = output::facts(&[
        ("key id", Some(key.id.clone())),
        ("HMAC key", Some(key.hmac_key.clone())),
    ]);
    output::print(&format!(
        "{facts}\nThe HMAC key is not shown again. certbot takes these as --eab-kid and --eab-hmac-key, \
         lego as --eab --kid and --hmac.\n"
    ))
}
