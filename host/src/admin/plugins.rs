//! The plugins directory.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::{Admin, views};
use crate::config::Config;
use crate::plugins::Plugins;

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/plugins", get(list))
}

async fn list(State(admin): State<Admin>) -> Json<views::Page<views::Plugin>> {
    let items = (admin.plugins)();
    Json(views::Page { items, next: None })
}

/// What was found in the plugins directory, with the handlers that use it.
#[must_use]
pub fn found(plugins: &Plugins, config: &Config) -> Vec<views::Plugin> {
    let loaded = plugins.list().map(|plugin| {
        let info = plugin.info();
        let uses = |(name, handler): (&_, &crate::config::Handler)| {
            (handler.plugin == info.note.id).then(|| ToString::to_string(name))
        };
        views::Plugin {
            file: info.file.display().to_string(),
            id: Some(info.note.id.to_string()),
            version: Some(info.note.version.clone()),
            vendor: Some(info.note.vendor.clone()),
            api_version: Some(info.note.api_version.clone()),
            handlers: config.handlers.iter().filter_map(uses).collect(),
            refused: None,
        }
    });
    let refused = plugins.rejected().iter().map(|rejected| views::Plugin {
        file: rejected.file.display().to_string(),
        refused: Some(rejected.reason.clone()),
        ..views::Plugin::default()
    });
    loaded.chain(refused).collect()
}
