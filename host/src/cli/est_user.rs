//! `certdock est-user …`: users of EST (RFC 7030 §3.2.3).

use std::io::{self, BufRead as _};
use std::time::Duration;

use clap::Subcommand;
use zeroize::Zeroizing;

use super::client::{self, Client, segment};
use super::failure::Failure;
use super::listing::{self, Format};
use super::output;
use crate::admin::views::{AddedEstUser, EstUser, NewEstUser, Page, RemovedEstUser};
use crate::config::{self, Config};
use crate::password;
use crate::time::UnixTime;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make a user, and show its password: this once
    Add {
        name: String,
        /// The password is good for one certificate
        #[arg(long)]
        once: bool,
        /// How long the password is good: 12h, 30d
        #[arg(long, value_name = "DURATION", value_parser = config::duration)]
        expires: Option<Duration>,
        /// A name that it may ask for; "*.example.com" is every name below example.com
        #[arg(long = "name", value_name = "PATTERN")]
        names: Vec<String>,
        /// An EST label that it may ask; all, if none is given
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<String>,
        /// Read the password from standard input, one line; without this, one is made
        #[arg(long)]
        password_stdin: bool,
        /// Put it in the place of the user of this name, if there is one
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        format: Format,
    },
    /// List users, without their passwords
    List(Format),
    /// Remove a user: its password is good for nothing any more
    Remove { name: String },
}

pub(super) fn run(command: &Command, config: &Config) -> Result<(), Failure> {
    client::with(config, async |mut client: Client| match command {
        Command::Add {
            name,
            once,
            expires,
            names,
            labels,
            password_stdin,
            replace,
            format,
        } => {
            let password = if *password_stdin {
                Some(read_password(io::stdin().lock())?)
            } else {
                None
            };
            let request = NewEstUser {
                name: name.clone(),
                password: password.map(|password| password.to_string()),
                once: *once,
                expires: expires.map(|expires| UnixTime::now().plus(expires).to_string()),
                names: names.clone(),
                labels: labels.clone(),
                replace: *replace,
            };
            let added = client.post("/est-users", &request).await?;
            show(&added, format)
        }
        Command::List(format) => {
            let page: Page<EstUser> = client.get("/est-users").await?;
            let headings = ["NAME", "STATUS", "ONCE", "EXPIRES", "NAMES", "LABELS"];
            listing::print(&page, format, &headings, row)
        }
        Command::Remove { name } => {
            let path = format!("/est-users/{}/remove", segment(name));
            let removed: RemovedEstUser = client.act(&path).await?;
            output::print(&format!("Removed user {}.\n", removed.name))
        }
    })
}

fn row(user: &EstUser) -> Vec<String> {
    let list = |items: &[String], none: &str| match items {
        [] => none.to_owned(),
        items => items.join(" "),
    };
    vec![
        user.name.clone(),
        user.status.clone(),
        if user.once { "yes" } else { "no" }.to_owned(),
        user.expires.clone().unwrap_or_else(|| "-".to_owned()),
        list(&user.names, "-"),
        list(&user.labels, "all"),
    ]
}

fn show(added: &AddedEstUser, format: &Format) -> Result<(), Failure> {
    if format.json {
        return output::print_json(added);
    }
    let facts = output::facts(&[
        ("user", Some(added.name.clone())),
        ("password", added.password.clone()),
    ]);
    let note = match added.password {
        Some(_) => "\nThe password is not shown again.\n",
        None => "",
    };
    output::print(&format!("{facts}{note}"))
}

/// One line, without its end.
fn read_password(input: impl io::BufRead) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(2 * password::LONGEST));
    let most = u64::try_from(password::LONGEST).unwrap_or(u64::MAX) + 3;
    let read = input.take(most).read_line(&mut line);
    read.map_err(|error| {
        Failure::Failed(format!(
            "no password can be read from standard input: {error}"
        ))
    })?;
    Ok(Zeroizing::new(
        line.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line() {
        for (input, expect) in [
            ("secret word\nmore", "secret word"),
            ("secret\r\n", "secret"),
            ("secret", "secret"),
            ("", ""),
        ] {
            assert_eq!(read_password(input.as_bytes()).unwrap().as_str(), expect);
        }
    }
}
