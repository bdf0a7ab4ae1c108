//! Listings: arguments that all of them have, and how they are printed.

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::{Client, segment};
use super::failure::Failure;
use super::output;
use crate::admin::views::Page;

#[derive(Args)]
pub(super) struct Format {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(super) struct Part {
    #[command(flatten)]
    pub(super) format: Format,
    /// Print so many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    limit: usize,
    /// Go on after this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

impl Part {
    /// Fetches and prints a listing, from the oldest to the newest.
    pub(super) async fn print<T: DeserializeOwned + Serialize>(
        &self,
        client: &mut Client,
        resource: &str,
        headings: &[&str],
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Failure> {
        let mut page = Page::<T> {
            items: Vec::new(),
            next: self.after.clone(),
        };
        while page.items.len() < self.limit {
            let limit = self.limit - page.items.len();
            let after = page.next.as_deref().map(segment);
            let after = after.map_or(String::new(), |after| format!("&after={after}"));
            let path = format!("{resource}?limit={limit}{after}");
            let more: Page<T> = client.get(&path).await?;
            page.items.extend(more.items);
            page.next = more.next;
            if page.next.is_none() {
                break;
            }
        }
        print(&page, &self.format, headings, row)
    }
}

/// Prints what was fetched.
pub(super) fn print<T: Serialize>(
    page: &Page<T>,
    format: &Format,
    headings: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<(), Failure> {
    if format.json {
        return output::print_json(page);
    }
    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
    output::print(&output::table(headings, &rows))?;
    if let Some(next) = &page.next {
        output::complain(&format!("There are more: add --after {next}"));
    }
    Ok(())
}
