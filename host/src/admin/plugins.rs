//! The plugins directory.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::{Admin, views};

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/plugins", get(list))
}

async fn list(State(admin): State<Admin>) -> Json<views::Page<views::Plugin>> {
    let items = (admin.plugins)();
    Json(views::Page { items, next: None })
}
