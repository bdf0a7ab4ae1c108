//! `certdock order …`

use clap::Subcommand;

use super::client::{self, Client, segment};
use super::failure::Failure;
use super::listing::{Format, Part};
use super::{enrollment, output};
use crate::admin::views::Order;
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List orders, the oldest first
    List(Part),
    /// Show one order with its authorizations, and what its handler was asked
    Show {
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// Have the CA asked at once about an order that waits: again if it is held, polled if it is pending
    Retry {
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// End an order that waits; a certificate that still comes for it is kept, and revoked
    Cancel {
        id: String,
        #[command(flatten)]
        format: Format,
    },
}

pub(super) fn run(command: &Command, config: &Config) -> Result<(), Failure> {
    client::with(config, async |mut client: Client| match command {
        Command::List(part) => {
            let headings = ["ID", "ENDPOINT", "STATUS", "CREATED", "IDENTIFIERS"];
            part.print(&mut client, "/orders", &headings, |order: &Order| {
                vec![
                    order.id.clone(),
                    order.endpoint.clone(),
                    order.status.clone(),
                    order.created.clone(),
                    order.identifiers.join(" "),
                ]
            })
            .await
        }
        Command::Show { id, format } => {
            let order: Order = client.get(&format!("/orders/{}", segment(id))).await?;
            show(&order, format)
        }
        Command::Retry { id, format } => {
            let path = format!("/orders/{}/retry", segment(id));
            show(&client.act(&path).await?, format)
        }
        Command::Cancel { id, format } => {
            let path = format!("/orders/{}/cancel", segment(id));
            show(&client.act(&path).await?, format)
        }
    })
}

fn show(order: &Order, format: &Format) -> Result<(), Failure> {
    if format.json {
        return output::print_json(order);
    }
    output::print(&describe(order))
}

fn describe(order: &Order) -> String {
    let mut text = output::facts(&[
        ("id", Some(order.id.clone())),
        ("account", Some(order.account.clone())),
        ("endpoint", Some(order.endpoint.clone())),
        ("status", Some(order.status.clone())),
        ("identifiers", Some(order.identifiers.join(" "))),
        ("created", Some(order.created.clone())),
        ("expires", Some(order.expires.clone())),
        ("not before", order.not_before.clone()),
        ("not after", order.not_after.clone()),
        ("certificate", order.certificate.clone()),
        (
            "failure",
            order.failure.as_ref().map(|failure| failure.detail.clone()),
        ),
    ]);
    if let Some(enrollment) = &order.enrollment {
        text.push('\n');
        text.push_str(&enrollment::describe(enrollment));
    }
    if !order.authorizations.is_empty() {
        let rows: Vec<Vec<String>> = order
            .authorizations
            .iter()
            .map(|authorization| {
                let failure = authorization.failure.as_ref();
                vec![
                    authorization.id.clone(),
                    authorization.identifier.clone(),
                    authorization.status.clone(),
                    authorization.expires.clone(),
                    failure.map_or(String::new(), |failure| failure.detail.clone()),
                ]
            })
            .collect();
        let headings = [
            "AUTHORIZATION",
            "IDENTIFIER",
            "STATUS",
            "EXPIRES",
            "FAILURE",
        ];
        text.push('\n');
        text.push_str(&output::table(&headings, &rows));
    }
    text
}
