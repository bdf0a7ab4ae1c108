//! The plugins directory.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::{Admin, Error, Exchange, views};
use crate::config::Config;
use crate::plugins::{PluginInfo, Plugins};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/plugins", get(list))
        .route("/handlers/{handler}/rollback", post(roll_back))
        .route("/handlers/{handler}/release", post(release))
}

async fn list(State(admin): State<Admin>) -> Json<views::Page<views::Plugin>> {
    let items = admin.configured.plugins();
    Json(views::Page { items, next: None })
}

async fn roll_back(
    State(admin): State<Admin>,
    Path(handler): Path<String>,
) -> Result<Json<views::Generation>, Error> {
    let exchanged = admin.configured.exchange(&handler, Exchange::Former);
    exchanged.await.map(Json)
}

async fn release(
    State(admin): State<Admin>,
    Path(handler): Path<String>,
) -> Result<Json<views::Generation>, Error> {
    let exchanged = admin.configured.exchange(&handler, Exchange::File);
    exchanged.await.map(Json)
}

/// Every file in the plugins directory: what it is and who uses it, or why it is not used.
pub fn plugins(config: &Config, plugins: &Plugins) -> Vec<views::Plugin> {
    let usable = plugins.list().map(|found| {
        let info = found.info();
        let handlers = config
            .handlers
            .iter()
            .filter(|(_, handler)| handler.plugin == info.note.id);
        views::Plugin {
            handlers: handlers.map(|(name, _)| name.to_string()).collect(),
            ..plugin(info)
        }
    });
    let rejected = plugins.rejected().iter().map(|rejected| views::Plugin {
        file: rejected.file.display().to_string(),
        refused: Some(rejected.reason.clone()),
        ..views::Plugin::default()
    });
    usable.chain(rejected).collect()
}

/// What a plugin says of itself.
pub fn plugin(info: &PluginInfo) -> views::Plugin {
    views::Plugin {
        file: info.file.display().to_string(),
        id: Some(info.note.id.to_string()),
        version: Some(info.note.version.clone()),
        vendor: Some(info.note.vendor.clone()),
        api_version: Some(info.note.api_version.clone()),
        trusted: Some(info.trusted.to_string()),
        sha256: Some(info.sha256.clone()),
        ..views::Plugin::default()
    }
}
