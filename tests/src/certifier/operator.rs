//! What the CA's operator does, by HTTP outside `/v1` and without a password:
//!
//! | call | does |
//! | --- | --- |
//! | `GET /operator/requests` | lists the undecided requests: `id`, `names` |
//! | `POST /operator/requests/ID/approve` | approves one; `all` in place of the id approves every one |
//! | `POST /operator/requests/ID/reject` | rejects one, with the body as reason |
//! | `GET /operator/counts` | what was done so far |
//! | `PUT /operator/mode` | sets the mode: the body is `manual`, `slow:5` … |
//! | `PUT /operator/mode/PROFILE` | the same for one profile |
//! | `POST /operator/faults` | puts a fault in place: `{"call": "enroll", "kind": "cut-after", "every": 3, "times": 5}`; the last two may be left out |
//! | `DELETE /operator/faults` | takes all faults away |
//! | `GET /crl` | the issuing CA's revocation list, DER |
//! | `GET /root` | the root's certificate, PEM |

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::Shared;
use super::fault::Fault;
use super::ledger::Verdict;
use super::service::response;

type Answer = Response<Full<Bytes>>;

pub(super) fn answer(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let done = match (method.as_str(), parts.as_slice()) {
        ("GET", ["operator", "requests"]) => Ok(requests(shared)),
        ("POST", ["operator", "requests", "all", "approve"]) => Ok(approve_all(shared)),
        ("POST", ["operator", "requests", id, "approve"]) => decide(shared, id, Verdict::Approve),
        ("POST", ["operator", "requests", id, "reject"]) => {
            let reason = if text.is_empty() {
                "Request rejected by operator"
            } else {
                text
            };
            decide(shared, id, Verdict::Reject(reason.to_owned()))
        }
        ("GET", ["operator", "counts"]) => Ok(json!(shared.ledger().counts())),
        ("PUT", ["operator", "mode"]) => text
            .parse()
            .map(|mode| {
                shared.ledger().mode = mode;
                json!({ "mode": mode.to_string() })
            })
            .map_err(|error| error.to_string()),
        ("PUT", ["operator", "mode", profile]) => text
            .parse()
            .map(|mode| {
                shared.ledger().modes.insert((*profile).to_owned(), mode);
                json!({ "profile": profile, "mode": mode.to_string() })
            })
            .map_err(|error| error.to_string()),
        ("POST", ["operator", "faults"]) => add_fault(shared, text),
        ("DELETE", ["operator", "faults"]) => {
            shared.ledger().faults.clear();
            Ok(json!({}))
        }
        ("GET", ["crl"]) => {
            let ledger = shared.ledger();
            let crl = ledger.crl(ledger.cas.len() - 1);
            return response(StatusCode::OK, "application/pkix-crl", crl);
        }
        ("GET", ["root"]) => {
            let root = shared.ledger().cas[0].certificate().pem();
            return response(StatusCode::OK, "application/x-pem-file", root);
        }
        _ => return plain(StatusCode::NOT_FOUND, &json!({ "error": "no such page" })),
    };
    match done {
        Ok(body) => plain(StatusCode::OK, &body),
        Err(error) => plain(StatusCode::CONFLICT, &json!({ "error": error })),
    }
}

fn plain(status: StatusCode, body: &Value) -> Answer {
    response(status, "application/json", format!("{body}\n"))
}

fn requests(shared: &Shared) -> Value {
    let waiting = shared.ledger().waiting();
    waiting
        .iter()
        .map(|(id, names)| json!({ "id": id, "names": names }))
        .collect()
}

fn decide(shared: &Shared, id: &str, verdict: Verdict) -> Result<Value, String> {
    shared.decide(id, verdict)?;
    Ok(json!({ "id": id }))
}

/// Those that are never decided stay.
fn approve_all(shared: &Shared) -> Value {
    let waiting = shared.ledger().waiting();
    let approved: Vec<_> = waiting
        .into_iter()
        .filter(|(id, _)| shared.decide(id, Verdict::Approve).is_ok())
        .map(|(id, _)| id)
        .collect();
    json!({ "approved": approved })
}

fn add_fault(shared: &Shared, text: &str) -> Result<Value, String> {
    let body: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let word = |name: &str| body[name].as_str().unwrap_or_default();
    let fault = Fault {
        call: word("call")
            .parse()
            .map_err(|e: anyhow::Error| e.to_string())?,
        kind: word("kind")
            .parse()
            .map_err(|e: anyhow::Error| e.to_string())?,
        every: body["every"].as_u64().unwrap_or(1).max(1),
        times: body["times"].as_u64().unwrap_or(u64::MAX),
    };
    shared.ledger().faults.add(fault);
    Ok(body)
}
