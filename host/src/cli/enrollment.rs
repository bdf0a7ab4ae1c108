//! `certdock enrollment …`

use clap::Subcommand;

use super::client::{self, Client, segment};
use super::failure::Failure;
use super::listing::{Format, Part};
use super::output;
use crate::admin::views::Enrollment;
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List what waits, the oldest first
    List(Part),
    /// Show one, ended or not
    Show {
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// Have the CA asked at once: again if it is held, polled if it is pending
    Retry {
        id: String,
        #[command(flatten)]
        format: Format,
    },
    /// End one that waits; a certificate that still comes for it is kept, and revoked
    Cancel {
        id: String,
        #[command(flatten)]
        format: Format,
    },
}

pub(super) fn run(command: &Command, config: &Config) -> Result<(), Failure> {
    client::with(config, async |mut client: Client| match command {
        Command::List(part) => {
            let headings = [
                "ID",
                "PROTOCOL",
                "ENDPOINT",
                "HANDLER",
                "STATE",
                "SINCE",
                "IDENTIFIERS",
            ];
            part.print(
                &mut client,
                "/enrollments",
                &headings,
                |one: &Enrollment| {
                    vec![
                        one.id.clone(),
                        one.protocol.clone(),
                        one.endpoint.clone(),
                        one.handler.clone(),
                        one.state.clone(),
                        one.requested_at.clone(),
                        one.identifiers.join(" "),
                    ]
                },
            )
            .await
        }
        Command::Show { id, format } => {
            let path = format!("/enrollments/{}", segment(id));
            show(&client.get(&path).await?, format)
        }
        Command::Retry { id, format } => {
            let path = format!("/enrollments/{}/retry", segment(id));
            show(&client.act(&path).await?, format)
        }
        Command::Cancel { id, format } => {
            let path = format!("/enrollments/{}/cancel", segment(id));
            show(&client.act(&path).await?, format)
        }
    })
}

fn show(enrollment: &Enrollment, format: &Format) -> Result<(), Failure> {
    if format.json {
        return output::print_json(enrollment);
    }
    output::print(&describe(enrollment))
}

pub(super) fn describe(enrollment: &Enrollment) -> String {
    output::facts(&[
        ("enrollment", Some(enrollment.id.clone())),
        ("protocol", Some(enrollment.protocol.clone())),
        ("endpoint", Some(enrollment.endpoint.clone())),
        ("handler", Some(enrollment.handler.clone())),
        ("requester", Some(enrollment.requester.clone())),
        ("order", enrollment.order.clone()),
        ("identifiers", Some(enrollment.identifiers.join(" "))),
        ("state", Some(enrollment.state.clone())),
        ("requested at", Some(enrollment.requested_at.clone())),
        ("attempts", Some(enrollment.attempts.to_string())),
        ("waiting for", enrollment.waiting_for.clone()),
        ("waiting since", enrollment.waiting_since.clone()),
        ("poll id", enrollment.poll_id.clone()),
        ("next attempt", enrollment.next_attempt.clone()),
        ("request id", Some(enrollment.request_id.clone())),
    ])
}
