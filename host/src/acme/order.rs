//! Orders: newOrder (RFC 8555 §7.4), an order, and an account's list of them (§7.1.2.1).

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::acme::Acme;
use crate::acme::authorization::{covering, open, usable_from};
use crate::acme::headers::{add_link, set_location, set_retry_after};
use crate::acme::identifiers::{NamePolicy, WireIdentifier};
use crate::acme::problem::{Problem, ProblemType};
use crate::acme::request::{Fetch, Resource, Signed};
use crate::acme::urls::path;
use crate::ids::{AccountId, CertificateId, OrderId};
use crate::order::{
    Authorization, AuthorizationState, ChallengeState, Failure, Identifier, Order, OrderStatus,
    Progress, Validity,
};
use crate::store::Account;
use crate::time::UnixTime;

/// Orders on one page of an account's list.
const PAGE: usize = 100;

/// When to look again at an order in processing.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

pub(super) fn routes() -> Router<Acme> {
    Router::new()
        .route(path::NEW_ORDER, post(create))
        .route(path::ORDER, post(read))
        .route(path::ORDERS, post(list))
}

/// RFC 8555 §7.4
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewOrder {
    identifiers: Vec<WireIdentifier>,
    not_before: Option<String>,
    not_after: Option<String>,
}

async fn create(State(acme): State<Acme>, request: Signed<NewOrder>) -> Result<Response, Problem> {
    let Signed {
        account, payload, ..
    } = request;
    let now = UnixTime::now();
    let identifiers = NamePolicy::new(&acme.config).identifiers(&payload.identifiers)?;
    let validity = validity(&payload, now, acme.config.max_validity)?;

    let (authorizations, fresh) = authorize(&acme, &account, &identifiers, now).await?;
    // An order can't outlive what it rests on.
    let expires = authorizations
        .iter()
        .map(|authorization| authorization.expires)
        .fold(now.plus(acme.config.order_lifetime), UnixTime::min);
    let order = Order {
        id: OrderId::random(now),
        account: account.id,
        endpoint: account.endpoint,
        identifiers,
        not_before: validity.not_before,
        not_after: validity.not_after,
        created: now,
        expires,
        authorizations: authorizations.iter().map(|each| each.id).collect(),
        progress: Progress::Open,
    };
    acme.store.create_order(order.clone(), fresh).await?;
    let mut response = Shown::of(&order, &authorizations, now).response(&acme);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

fn validity(payload: &NewOrder, now: UnixTime, longest: Duration) -> Result<Validity, Problem> {
    let date = |member: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => match UnixTime::parse_rfc3339(text) {
            Some(at) => Ok(Some(at)),
            None => Err(Problem::malformed(format!(
                "'{member}' is not an RFC 3339 date"
            ))),
        },
    };
    let validity = Validity {
        not_before: date("notBefore", &payload.not_before)?,
        not_after: date("notAfter", &payload.not_after)?,
    };
    match validity.check(now, longest) {
        Ok(()) => Ok(validity),
        Err(error) => Err(Problem::malformed(error.to_string())),
    }
}

/// An authorization for each identifier, one that the account has or a fresh one; and once more those
/// that are fresh.
async fn authorize(
    acme: &Acme,
    account: &Account,
    identifiers: &[Identifier],
    now: UnixTime,
) -> Result<(Vec<Authorization>, Vec<Authorization>), Problem> {
    let mut names: Vec<_> = identifiers.iter().map(|each| each.name.clone()).collect();
    names.sort();
    names.dedup();
    let valid = acme
        .store
        .valid_authorizations(account.id, &names, usable_from(&acme.config, now))
        .await?;
    let mut all = Vec::with_capacity(identifiers.len());
    let mut fresh = Vec::new();
    for identifier in identifiers {
        if let Some(valid) = covering(&valid, &account.endpoint, identifier) {
            all.push(valid.clone());
        } else {
            let new = open(&acme.config, account, identifier, now);
            all.push(new.clone());
            fresh.push(new);
        }
    }
    Ok((all, fresh))
}

async fn read(
    State(acme): State<Acme>,
    Resource(id): Resource<OrderId>,
    request: Fetch,
) -> Result<Response, Problem> {
    let (order, authorizations) = acme.order_of(&request.account, id).await?;
    let mut shown = Shown::of(&order, &authorizations, UnixTime::now());
    if let Progress::Processing { enrollment } = order.progress
        && let Some(enrollment) = acme.store.enrollment(enrollment).await?
    {
        shown.come_back(acme.issuance.news_of(&enrollment));
    }
    Ok(shown.response(&acme))
}

/// Where a page of the list begins.
#[derive(Debug, Deserialize)]
struct Cursor {
    after: Option<OrderId>,
}

async fn list(
    State(acme): State<Acme>,
    Resource(id): Resource<AccountId>,
    cursor: Result<Query<Cursor>, QueryRejection>,
    request: Fetch,
) -> Result<Response, Problem> {
    let Ok(Query(Cursor { after })) = cursor else {
        return Err(Problem::not_found());
    };
    if id != request.account.id {
        return Err(Problem::not_found());
    }
    let mut ids = acme.store.orders_of_account(id, after, PAGE + 1).await?;
    let more = ids.len() > PAGE;
    ids.truncate(PAGE);
    let last = ids.last().copied();
    leave_out_the_dead(&acme, &mut ids).await?;

    let urls: Vec<_> = ids.iter().map(|&id| acme.urls.order(id)).collect();
    let mut response = Json(json!({ "orders": urls })).into_response();
    if let Some(last) = last.filter(|_| more) {
        let next = format!("{}?after={last}", acme.urls.orders(id));
        add_link(&mut response, &next, "next");
    }
    Ok(response)
}

/// RFC 8555 §7.1.2.1: invalid orders do not belong in the list. That an open one has died is stored
/// nowhere; the first who sees it has it left out for good, so that nobody walks over it again.
async fn leave_out_the_dead(acme: &Acme, ids: &mut Vec<OrderId>) -> Result<(), Problem> {
    let now = UnixTime::now();
    let mut dead = Vec::new();
    for &id in ids.iter() {
        let found = acme.store.order(id).await?;
        let is_dead = found.is_none_or(|(order, authorizations)| {
            order.status(&authorizations, now) == OrderStatus::Invalid
        });
        if is_dead {
            dead.push(id);
        }
    }
    if !dead.is_empty() {
        ids.retain(|id| !dead.contains(id));
        acme.store.unlist_orders(dead).await?;
    }
    Ok(())
}

/// An order as its account sees it.
pub(super) struct Shown<'a> {
    order: &'a Order,
    pub(super) status: OrderStatus,
    certificate: Option<CertificateId>,
    error: Option<Problem>,
    retry_after: Option<Duration>,
}

impl<'a> Shown<'a> {
    /// As it was read.
    pub(super) fn of(order: &'a Order, authorizations: &[Authorization], now: UnixTime) -> Self {
        match (order.status(authorizations, now), &order.progress) {
            (_, Progress::Processing { .. }) => Self::processing(order, LOOK_AGAIN),
            (_, Progress::Valid { certificate, .. }) => Self::valid(order, *certificate),
            (_, Progress::Invalid { failure, .. }) => Self::invalid(order, failure),
            (status, Progress::Open) => Self {
                error: why_dead(authorizations),
                ..Self::new(order, status)
            },
        }
    }

    /// As it has become.
    pub(super) fn processing(order: &'a Order, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(order, OrderStatus::Processing)
        }
    }

    pub(super) fn valid(order: &'a Order, certificate: CertificateId) -> Self {
        Self {
            certificate: Some(certificate),
            ..Self::new(order, OrderStatus::Valid)
        }
    }

    pub(super) fn invalid(order: &'a Order, failure: &Failure) -> Self {
        Self {
            error: Some(failure.into()),
            ..Self::new(order, OrderStatus::Invalid)
        }
    }

    fn new(order: &'a Order, status: OrderStatus) -> Self {
        Self {
            order,
            status,
            certificate: None,
            error: None,
            retry_after: None,
        }
    }

    /// When there will be news of one in processing.
    pub(super) fn come_back(&mut self, news: Option<Duration>) {
        if self.status == OrderStatus::Processing {
            self.retry_after = news.or(self.retry_after);
        }
    }

    pub(super) fn response(&self, acme: &Acme) -> Response {
        let Self { order, .. } = self;
        let urls = acme.urls();
        let ids = order.authorizations.iter();
        let mut response = Json(OrderObject {
            status: self.status.as_str(),
            expires: order.expires.to_string(),
            identifiers: order.identifiers.iter().map(Into::into).collect(),
            not_before: order.not_before.map(|at| at.to_string()),
            not_after: order.not_after.map(|at| at.to_string()),
            error: self.error.as_ref(),
            authorizations: ids.map(|&id| urls.authorization(id)).collect(),
            finalize: urls.finalize(order.id),
            certificate: self.certificate.map(|id| urls.certificate(id)),
        })
        .into_response();
        set_location(&mut response, &urls.order(order.id));
        if let Some(wait) = self.retry_after {
            set_retry_after(&mut response, wait);
        }
        response
    }
}

/// RFC 8555 §7.1.3
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderObject<'a> {
    status: &'static str,
    expires: String,
    identifiers: Vec<WireIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Problem>,
    authorizations: Vec<String>,
    finalize: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

/// What failed in an order's authorizations: one subproblem for each (RFC 8555 §6.7.1).
fn why_dead(authorizations: &[Authorization]) -> Option<Problem> {
    let mut error: Option<Problem> = None;
    for authorization in authorizations {
        if authorization.state != AuthorizationState::Invalid {
            continue;
        }
        for challenge in &authorization.challenges {
            let ChallengeState::Invalid { failure, .. } = &challenge.state else {
                continue;
            };
            let problem = Problem::from(failure);
            let error = error.get_or_insert_with(|| problem.clone());
            if error.kind != problem.kind {
                error.kind = ProblemType::Compound;
                error.detail = "several authorizations of the order have failed".into();
            }
            let identifier = (&authorization.identifier()).into();
            error.subproblems.push((identifier, problem));
        }
    }
    error
}
