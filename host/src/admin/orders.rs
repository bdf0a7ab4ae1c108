//! ACME orders.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};

use super::error::Error;
use super::page::Paging;
use super::{Admin, views};
use crate::ids::OrderId;
use crate::order::Progress;
use crate::time::UnixTime;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/orders", get(list))
        .route("/orders/{id}", get(show))
}

async fn list(
    State(admin): State<Admin>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<views::Page<views::Order>>, Error> {
    let Query(paging) = paging?;
    let records = admin.store.orders(paging.after()?, paging.limit()).await?;
    let now = UnixTime::now();
    let mut items = Vec::with_capacity(records.len());
    for order in &records {
        // Only an open order's status follows from its authorizations.
        let whole = match order.progress {
            Progress::Open => admin.store.order(order.id).await?,
            _ => None,
        };
        items.push(match whole {
            Some((order, authorizations)) => views::Order::new(&order, &authorizations, now),
            None => views::Order::new(order, &[], now),
        });
    }
    Ok(Json(paging.page(
        &records,
        |record| record.id.to_string(),
        items,
    )))
}

async fn show(
    State(admin): State<Admin>,
    Path(text): Path<String>,
) -> Result<Json<views::Order>, Error> {
    let missing = || {
        Error::NotFound(format!(
            "there is no order '{text}'; `certdock order list` shows them"
        ))
    };
    let id: OrderId = text.parse().map_err(|_| missing())?;
    let (order, authorizations) = admin.store.order(id).await?.ok_or_else(missing)?;
    let now = UnixTime::now();
    let mut view = views::Order::new(&order, &authorizations, now);
    view.authorizations = authorizations
        .iter()
        .map(|authorization| views::Authorization::new(authorization, now))
        .collect();
    let enrollment = match order.progress {
        Progress::Open => None,
        Progress::Processing { enrollment } | Progress::Valid { enrollment, .. } => {
            Some(enrollment)
        }
        Progress::Invalid { enrollment, .. } => enrollment,
    };
    if let Some(id) = enrollment {
        let enrollment = admin.store.enrollment(id).await?;
        view.enrollment = enrollment.as_ref().map(views::Enrollment::from);
    }
    Ok(Json(view))
}
