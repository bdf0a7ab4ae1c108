//! Enrollments: what handlers were asked for, by ACME's orders and by EST's clients.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::error::Error;
use super::page::Paging;
use super::{Admin, views};
use crate::ids::EnrollmentId;
use crate::issuance::{Issuance, NotWaiting};
use crate::store::Enrollment;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/enrollments", get(list))
        .route("/enrollments/{id}", get(show))
        .route("/enrollments/{id}/retry", post(retry))
        .route("/enrollments/{id}/cancel", post(cancel))
}

/// Those that have not ended.
async fn list(
    State(admin): State<Admin>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<views::Page<views::Enrollment>>, Error> {
    let Query(paging) = paging?;
    let after = paging.after()?;
    let records = admin
        .store
        .unfinished_enrollments(after, paging.limit())
        .await?;
    let items = records.iter().map(views::Enrollment::from).collect();
    Ok(Json(paging.page(
        &records,
        |record| record.id.to_string(),
        items,
    )))
}

async fn show(
    State(admin): State<Admin>,
    Path(text): Path<String>,
) -> Result<Json<views::Enrollment>, Error> {
    let enrollment = find(&admin, &text).await?;
    Ok(Json(views::Enrollment::from(&enrollment)))
}

async fn retry(
    State(admin): State<Admin>,
    Path(text): Path<String>,
) -> Result<Json<views::Enrollment>, Error> {
    let id = find(&admin, &text).await?.id;
    issuance(&admin)?.retry(id).await.map_err(refusal)?;
    show(State(admin), Path(text)).await
}

async fn cancel(
    State(admin): State<Admin>,
    Path(text): Path<String>,
) -> Result<Json<views::Enrollment>, Error> {
    let id = find(&admin, &text).await?.id;
    issuance(&admin)?.cancel(id).await.map_err(refusal)?;
    show(State(admin), Path(text)).await
}

/// Who can do something about an enrollment that waits.
pub(super) fn issuance(admin: &Admin) -> Result<Arc<Issuance>, Error> {
    admin.issuance.clone().ok_or_else(|| {
        Error::Unavailable(
            "what waits for its CA is in the running server's hands: start `certdock serve` first"
                .to_owned(),
        )
    })
}

pub(super) fn refusal(error: NotWaiting) -> Error {
    match error {
        NotWaiting::Store(error) => Error::Store(error),
        other => Error::Conflict(other.to_string()),
    }
}

async fn find(admin: &Admin, text: &str) -> Result<Enrollment, Error> {
    let id: Option<EnrollmentId> = text.parse().ok();
    let found = match id {
        Some(id) => admin.store.enrollment(id).await?,
        None => None,
    };
    found.ok_or_else(|| {
        Error::NotFound(format!(
            "there is no enrollment '{text}'; `certdock enrollment list` shows those that wait"
        ))
    })
}
