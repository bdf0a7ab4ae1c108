//! The REST API below `/v1`. Which answers are known and which are inferred: see the module's page.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use rcgen::RevocationReason;
use serde_json::{Map, Value, json};

use super::authority::read_csr;
use super::ledger::{Ledger, State};
use super::{Mode, Options};

/// Most objects on one page.
const PAGE: usize = 50;

/// A status with a JSON body, and how long it is held back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    pub(super) after: Duration,
    /// The certificate that was issued just now, for publishing.
    pub(super) issued: Option<String>,
}

impl Reply {
    fn ok(body: Value) -> Self {
        Self {
            status: StatusCode::OK,
            body,
            after: Duration::ZERO,
            issued: None,
        }
    }

    /// The error object.
    pub(super) fn error(status: StatusCode, message: &str) -> Self {
        let body = json!({
            "status": status.as_u16(),
            "message": message,
            "statusMessage": status.canonical_reason().unwrap_or_default(),
        });
        Self {
            status,
            ..Self::ok(body)
        }
    }
}

/// One request, taken apart.
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
    /// `http(s)://host:port`, in front of every link.
    pub(super) base: &'a str,
}

pub(super) fn answer(ledger: &mut Ledger, options: &Options, call: &Call<'_>) -> Reply {
    let path = call.path.strip_prefix("/v1/").unwrap_or_default();
    let parts: Vec<_> = path.split('/').collect();
    let answer = match (call.method, parts.as_slice()) {
        (&Method::GET, ["cas"]) => Ok(cas(ledger, call)),
        (&Method::GET, ["cas", id]) => ca(ledger, call, id),
        (&Method::POST, ["requests"]) => enroll(ledger, options, call),
        (&Method::GET, ["requests", id]) => request(ledger, call, id),
        (&Method::GET, ["certificates"]) => certificates(ledger, options, call),
        (&Method::GET, ["certificates", id]) => certificate(ledger, options, call, id),
        (&Method::POST, ["certificates", id, "status"]) => revoke(ledger, call, id),
        _ => Err(not_found("Resource not found")),
    };
    answer.unwrap_or_else(|reply| reply)
}

fn not_found(message: &str) -> Reply {
    Reply::error(StatusCode::NOT_FOUND, message)
}

fn bad(message: &str) -> Reply {
    Reply::error(StatusCode::BAD_REQUEST, message)
}

/// Call 1.
fn cas(ledger: &Ledger, call: &Call<'_>) -> Reply {
    let wanted = term(call.query, "name");
    let found: Vec<_> = ledger
        .cas
        .iter()
        .filter(|ca| {
            wanted
                .as_ref()
                .is_none_or(|name| ca.name.contains(name.as_str()))
        })
        .map(|ca| ca_object(ca, call.base))
        .collect();
    page(call, "cas", &found)
}

/// Call 5.
fn ca(ledger: &Ledger, call: &Call<'_>, id: &str) -> Result<Reply, Reply> {
    let place = ledger.ca(id).ok_or_else(|| not_found("CA not found"))?;
    Ok(Reply::ok(ca_object(&ledger.cas[place], call.base)))
}

fn ca_object(ca: &super::authority::Ca, base: &str) -> Value {
    json!({
        "href": format!("{base}/v1/cas/{}", ca.id),
        "name": ca.name,
        "description": ca.description,
        "status": "active",
        "type": "online",
        "certificates": {
            "active": format!("{base}/v1/certificates/{}", ca.certificate_id),
        },
    })
}

/// Call 2.
fn enroll(ledger: &mut Ledger, options: &Options, call: &Call<'_>) -> Result<Reply, Reply> {
    let body: Value = serde_json::from_slice(call.body).map_err(|_| bad("Malformed JSON"))?;
    let ca = body["ca"].as_str().unwrap_or_default();
    let ca = id_of(ca, call.base, "cas").and_then(|id| ledger.ca(id));
    let ca = ca.ok_or_else(|| bad("Unknown CA"))?;
    let profile = match &body["profileId"] {
        Value::Null => options.profiles.first().cloned().unwrap_or_default(),
        Value::String(id) if options.profiles.contains(id) => id.clone(),
        other => return Err(bad(&format!("Unknown profile: {other}"))),
    };
    let csr = STANDARD
        .decode(body["pkcs10"].as_str().unwrap_or_default())
        .map_err(|_| bad("Malformed PKCS#10 request: not base64"))?;
    let csr = read_csr(&csr, options.allow_empty_subject).map_err(|message| bad(&message))?;
    ledger.counts.requests += 1;
    let href = |id: &str| json!({ "href": format!("{}/v1/requests/{id}", call.base) });
    Ok(match ledger.mode_of(&profile) {
        Mode::Automatic => issued(ledger, options, call, ca, csr, Duration::ZERO),
        Mode::Slow(span) => issued(ledger, options, call, ca, csr, span),
        Mode::Manual => Reply::ok(href(&ledger.keep(ca, csr, None, true))),
        Mode::Never => Reply::ok(href(&ledger.keep(ca, csr, None, false))),
        Mode::Later(span) => Reply::ok(href(&ledger.keep(ca, csr, Some(span), true))),
        Mode::Reject => {
            let id = ledger.keep(ca, csr, None, true);
            ledger.reject(&id, "Request rejected by policy".to_owned());
            Reply::ok(href(&id))
        }
    })
}

fn issued(
    ledger: &mut Ledger,
    options: &Options,
    call: &Call<'_>,
    ca: usize,
    csr: rcgen::CertificateSigningRequestParams,
    after: Duration,
) -> Reply {
    let id = ledger.issue(ca, csr);
    let body = certificate_object(ledger, options, call.base, &id).unwrap_or_default();
    Reply {
        after,
        issued: Some(id),
        ..Reply::ok(body)
    }
}

/// Call 3.
fn request(ledger: &mut Ledger, call: &Call<'_>, id: &str) -> Result<Reply, Reply> {
    let href = format!("{}/v1/requests/{id}", call.base);
    let mut reply = match ledger.state(id) {
        None => return Err(not_found("Request not found")),
        Some(State::Waiting { .. }) => json!({ "status": "pending" }),
        Some(State::Accepted(certificate)) => json!({
            "status": "accepted",
            "certificate": format!("{}/v1/certificates/{certificate}", call.base),
        }),
        Some(State::Rejected(message)) => json!({ "status": "rejected", "message": message }),
    };
    reply["href"] = href.into();
    Ok(Reply::ok(reply))
}

/// Call 4.
fn certificate(
    ledger: &Ledger,
    options: &Options,
    call: &Call<'_>,
    id: &str,
) -> Result<Reply, Reply> {
    certificate_object(ledger, options, call.base, id)
        .map(Reply::ok)
        .ok_or_else(|| not_found("Certificate not found"))
}

fn certificate_object(ledger: &Ledger, options: &Options, base: &str, id: &str) -> Option<Value> {
    let certificate = ledger.certificates.get(id)?;
    let mut object = Map::new();
    let href = format!("{base}/v1/certificates/{id}");
    object.insert("href".to_owned(), href.into());
    let der = STANDARD.encode(&certificate.der);
    object.insert("certificateBase64".to_owned(), der.into());
    let issuer = match certificate.issuer {
        Some(place) => Some(place),
        None if options.self_naming_root => {
            ledger.cas.iter().position(|ca| ca.certificate_id == *id)
        }
        None => None,
    };
    if let Some(place) = issuer {
        let href = format!("{base}/v1/cas/{}", ledger.cas[place].id);
        // Both names of the key occur: a CA's certificate has one, an end entity's the other.
        let is_ca = ledger.cas.iter().any(|ca| ca.certificate_id == *id);
        let key = if is_ca { "issuerCa" } else { "issuer" };
        object.insert(key.to_owned(), href.into());
    }
    Some(Value::Object(object))
}

/// Call 6.
fn certificates(ledger: &Ledger, options: &Options, call: &Call<'_>) -> Result<Reply, Reply> {
    let issuer = term(call.query, "issuer-id").ok_or_else(|| bad("issuer-id is missing"))?;
    let serial =
        term(call.query, "serial-number").ok_or_else(|| bad("serial-number is missing"))?;
    if !serial.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("serial-number is not a decimal number"));
    }
    let ca = id_of(&issuer, call.base, "cas").and_then(|id| ledger.ca(id));
    let ca = ca.ok_or_else(|| bad("Unknown issuer"))?;
    let found = ledger.by_serial(ca, &serial);
    let found: Vec<_> = found
        .and_then(|id| certificate_object(ledger, options, call.base, id))
        .into_iter()
        .collect();
    Ok(page(call, "certificates", &found))
}

/// Call 7.
fn revoke(ledger: &mut Ledger, call: &Call<'_>, id: &str) -> Result<Reply, Reply> {
    let body: Value = serde_json::from_slice(call.body).map_err(|_| bad("Malformed JSON"))?;
    if body["newStatus"] != "revoked" {
        return Err(bad("newStatus must be revoked"));
    }
    let reason = match body["crlReason"].as_str().unwrap_or_default() {
        "unspecified" => RevocationReason::Unspecified,
        "keyCompromise" => RevocationReason::KeyCompromise,
        "affiliationChanged" => RevocationReason::AffiliationChanged,
        "superseded" => RevocationReason::Superseded,
        "cessationOfOperation" => RevocationReason::CessationOfOperation,
        "certificateHold" => RevocationReason::CertificateHold,
        other => return Err(bad(&format!("Unknown crlReason: {other}"))),
    };
    let date = body["invalidityDate"].as_str().unwrap_or_default();
    let since = utc(date).ok_or_else(|| bad("invalidityDate must be YYYY-MM-DDTHH:MM:SSZ"))?;
    match ledger.certificates.get(id).map(|known| known.revoked) {
        None => Err(not_found("Certificate not found")),
        Some(true) => Err(bad("Certificate is already revoked")),
        Some(false) => {
            ledger.revoke(id, reason, since);
            Ok(Reply::ok(json!({})))
        }
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ`
fn utc(text: &str) -> Option<SystemTime> {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let time = time::PrimitiveDateTime::parse(text, format).ok()?;
    Some(time.assume_utc().into())
}

/// One page of a list, as `offset` and `limit` ask for.
fn page(call: &Call<'_>, kind: &str, all: &[Value]) -> Reply {
    let number = |name| {
        form(call.query)
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| value.parse::<usize>().ok())
    };
    let offset = number("offset").unwrap_or(0);
    let limit = number("limit").unwrap_or(PAGE).min(PAGE);
    let objects: Vec<_> = all.iter().skip(offset).take(limit).collect();
    Reply::ok(json!({
        "href": format!("{}{}", call.base, call.path),
        "offset": offset,
        "limit": limit,
        "totalCount": all.len(),
        kind: objects,
    }))
}

/// The value of `name:value` among the comma-separated terms of `q`.
fn term(query: &str, name: &str) -> Option<String> {
    let (_, q) = form(query).find(|(key, _)| key == "q")?;
    q.split(',').find_map(|term| {
        let (key, value) = term.split_once(':')?;
        (key == name).then(|| value.to_owned())
    })
}

fn form(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    url::form_urlencoded::parse(query.as_bytes()).into_owned()
}

/// The id at the end of a link that we gave out.
fn id_of<'a>(href: &'a str, base: &str, kind: &str) -> Option<&'a str> {
    href.strip_prefix(base)?
        .strip_prefix("/v1/")?
        .strip_prefix(kind)?
        .strip_prefix('/')
}
