//! Users of EST (RFC 7030 §3.2.3).

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::error::Error;
use super::{Admin, views};
use crate::ids::EndpointName;
use crate::observe::audit;
use crate::password;
use crate::store::EstUser;
use crate::time::UnixTime;
use crate::x509::NamePattern;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/est-users", get(list).post(add))
        .route("/est-users/{name}/remove", post(remove))
}

async fn list(State(admin): State<Admin>) -> Result<Json<views::Page<views::EstUser>>, Error> {
    let users = admin.store.est_users().await?;
    let now = UnixTime::now();
    let items = users
        .iter()
        .map(|user| views::EstUser::new(user, now))
        .collect();
    Ok(Json(views::Page { items, next: None }))
}

async fn add(
    State(admin): State<Admin>,
    request: Result<Json<views::NewEstUser>, JsonRejection>,
) -> Result<Json<views::AddedEstUser>, Error> {
    let Json(mut request) = request?;
    let name = check_name(request.name)?;
    let now = UnixTime::now();
    let expires = request
        .expires
        .as_deref()
        .map(|text| expiry(text, now))
        .transpose()?;
    let names = request
        .names
        .iter()
        .map(|text| pattern(text))
        .collect::<Result<_, _>>()?;
    let labels = request
        .labels
        .iter()
        .map(|text| label(&admin, text))
        .collect::<Result<_, _>>()?;
    let given = request.password.take().map(Zeroizing::new);
    let made = given.is_none().then(make_password);
    let chosen = given.or_else(|| made.clone()).unwrap_or_default();
    check_password(&chosen)?;
    let hashed = password::aside(move || password::hash(chosen.as_bytes())).await;
    let hash = match hashed {
        Some(Ok(hash)) => hash,
        Some(Err(error)) => return Err(Error::Unavailable(error.to_string())),
        None => {
            return Err(Error::Unavailable(
                "the password can't be hashed".to_owned(),
            ));
        }
    };
    let user = EstUser {
        name: name.clone(),
        password: hash,
        once: request.once,
        expires,
        names,
        labels,
        created: now,
        used_by: None,
    };
    if !admin.store.add_est_user(user, request.replace).await? {
        return Err(Error::Conflict(format!(
            "there is a user '{name}' already; choose another name, remove it first, or give --replace"
        )));
    }
    audit::est_user_added(&name, request.once, expires);
    Ok(Json(views::AddedEstUser {
        name,
        password: made.map(|made| made.to_string()),
    }))
}

async fn remove(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<Json<views::RemovedEstUser>, Error> {
    if !admin.store.remove_est_user(&name).await? {
        return Err(Error::NotFound(format!(
            "there is no user '{name}'; `certdock est-user list` shows them"
        )));
    }
    audit::est_user_removed(&name);
    Ok(Json(views::RemovedEstUser { name }))
}

/// 24 letters, digits, '-' and '_'; the first is a letter or digit, for programs that take what begins
/// with '-' for an option.
fn make_password() -> Zeroizing<String> {
    loop {
        let bytes = Zeroizing::new(crate::random::bytes::<18>());
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        if text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return text;
        }
    }
}

/// Control characters can't stand in HTTP Basic (RFC 7617 §2).
fn check_password(password: &str) -> Result<(), Error> {
    let (least, most) = (password::SHORTEST, password::LONGEST);
    if (least..=most).contains(&password.len()) && !password.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a password has {least} to {most} bytes and no control characters; or give none, and one is made"
    )))
}

/// Names stand before a ':' in HTTP Basic (RFC 7617 §2), in URLs and in shell commands.
fn check_name(name: String) -> Result<String, Error> {
    let fine =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@' | b' ');
    let well_begun = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if well_begun && !name.ends_with(' ') && name.len() <= 64 && name.bytes().all(fine) {
        Ok(name)
    } else {
        Err(Error::Invalid(
            "a user's name has 1 to 64 letters, digits, '-', '_', '.', '@' or spaces, and begins with a letter \
             or digit"
                .to_owned(),
        ))
    }
}

fn expiry(text: &str, now: UnixTime) -> Result<UnixTime, Error> {
    match UnixTime::parse_rfc3339(text) {
        Some(expires) if expires.as_secs() > now.as_secs() => Ok(expires),
        Some(expires) => Err(Error::Invalid(format!(
            "the password would expire at {expires}, which is past; give a later time"
        ))),
        None => Err(Error::Invalid(format!("'{text}' is no time (RFC 3339)"))),
    }
}

fn pattern(text: &str) -> Result<NamePattern, Error> {
    text.parse().map_err(|wrong| {
        Error::Invalid(format!(
            "'{text}': {wrong}; write \"example.com\" for that name, \"*.example.com\" for those below it"
        ))
    })
}

fn label(admin: &Admin, text: &str) -> Result<EndpointName, Error> {
    let name: Option<EndpointName> = text.parse().ok();
    let known = admin.configured.labels();
    name.filter(|name| known.contains(name)).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(EndpointName::as_str).collect();
        Error::NotFound(format!(
            "there is no EST label '{text}'; configured are: {}",
            known.join(", ")
        ))
    })
}
