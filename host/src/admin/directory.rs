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

/// Every file in the plugins directory: what it is and who uses it, or why it is not used.
pub fn plugins(config: &Config, plugins: &Plugins) -> Vec<views::Plugin> {
    let loaded = plugins.list().map(|plugin| {
        let info = plugin.info();
        let handlers = config
            .handlers
            .iter()
            .filter(|(_, handler)| handler.plugin == info.note.id);
        views::Plugin {
            file: info.file.display().to_string(),
            id: Some(info.note.id.to_string()),
            version: Some(info.note.version.clone()),
            vendor: Some(info.note.vendor.clone()),
            api_version: Some(info.note.api_version.clone()),
            trusted: Some(info.trusted.to_string()),
            handlers: handlers.map(|(name, _)| name.to_string()).collect(),
            refused: None,
        }
    });
    let rejected = plugins.rejected().iter().map(|rejected| views::Plugin {
        file: rejected.file.display().to_string(),
        refused: Some(rejected.reason.clone()),
        ..views::Plugin::default()
    });
    loaded.chain(rejected).collect()
}
