//! ACME accounts.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::error::Error;
use super::page::Paging;
use super::{Admin, views};
use crate::ids::AccountId;
use crate::observe::audit;
use crate::store;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/accounts", get(list))
        .route("/accounts/{id}", get(show))
        .route("/accounts/{id}/deactivate", post(deactivate))
}

async fn list(
    State(admin): State<Admin>,
    paging: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<views::Page<views::Account>>, Error> {
    let Query(paging) = paging?;
    let records = admin
        .store
        .accounts(paging.after()?, paging.limit())
        .await?;
    let items = records.iter().map(views::Account::from).collect();
    Ok(Json(paging.page(
        &records,
        |record| record.id.to_string(),
        items,
    )))
}

async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<Json<views::Account>, Error> {
    Ok(Json(views::Account::from(&find(&admin, &id).await?)))
}

async fn deactivate(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<Json<views::Account>, Error> {
    let account = find(&admin, &id).await?;
    if !admin.store.deactivate_account(account.id).await? {
        let status = account.status.as_str();
        return Err(Error::Conflict(format!(
            "the account {id} is not live any more (it was {status})"
        )));
    }
    audit::account_deactivated(account.id, &account.endpoint, audit::By::Operator);
    show(State(admin), Path(id)).await
}

async fn find(admin: &Admin, text: &str) -> Result<store::Account, Error> {
    let missing = || {
        Error::NotFound(format!(
            "there is no account '{text}'; `certdock account list` shows them"
        ))
    };
    let id: AccountId = text.parse().map_err(|_| missing())?;
    admin.store.account(id).await?.ok_or_else(missing)
}
