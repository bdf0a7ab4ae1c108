//! `certdock account …`

use clap::Subcommand;

use super::client::{self, Client, segment};
use super::failure::Failure;
use super::listing::{Format, Part};
use super::output;
use crate::admin::views::Account;
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List accounts, the oldest first
    List(Part),
    /// Show one account
    Show {
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// Deactivate an account: it can do nothing any more, its certificates stay valid
    Deactivate { id: String },
}

pub(super) fn run(command: &Command, config: &Config) -> Result<(), Failure> {
    client::with(config, async |mut client: Client| match command {
        Command::List(part) => {
            let headings = ["ID", "ENDPOINT", "STATUS", "CREATED", "CONTACTS"];
            part.print(&mut client, "/accounts", &headings, |account: &Account| {
                vec![
                    account.id.clone(),
                    account.endpoint.clone(),
                    account.status.clone(),
                    account.created.clone(),
                    account.contacts.join(" "),
                ]
            })
            .await
        }
        Command::Show { id, format } => {
            let account = client.get(&format!("/accounts/{}", segment(id))).await?;
            show(&account, format)
        }
        Command::Deactivate { id } => {
            let path = format!("/accounts/{}/deactivate", segment(id));
            let account: Account = client.act(&path).await?;
            output::print(&format!("Deactivated account {}.\n", account.id))
        }
    })
}

fn show(account: &Account, format: &Format) -> Result<(), Failure> {
    if format.json {
        return output::print_json(account);
    }
    output::print(&output::facts(&[
        ("id", Some(account.id.clone())),
        ("endpoint", Some(account.endpoint.clone())),
        ("status", Some(account.status.clone())),
        ("created", Some(account.created.clone())),
        ("contacts", Some(account.contacts.join(" "))),
        ("terms agreed", Some(account.terms_agreed.to_string())),
        ("key thumbprint", Some(account.key_thumbprint.clone())),
        ("external key", account.external_key.clone()),
    ]))
}
