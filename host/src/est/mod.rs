//! RFC 7030 (with RFC 8951 and RFC 9908), one file per operation. Turns requests into enrollments and
//! back; [`status`] is the one mapping of refusals to the wire.

mod answer;
pub mod auth;
pub mod body;
mod cacerts;
pub mod cms;
mod csrattrs;
mod enroll;
mod fullcmc;
mod generated_key;
mod held_keys;
pub mod label;
mod operation;
mod ra;
mod repeats;
mod serverkeygen;
mod signer;
mod simpleenroll;
mod simplereenroll;
pub mod status;
mod watched;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::any;
use http::{HeaderValue, StatusCode, header};

pub use label::{Label, Shared};
pub use operation::Operation;

use self::answer::Form;
use self::status::Refusal;
use crate::config::EstLabel;
use crate::ids::EndpointName;
use crate::request_id::RequestId;

/// What stands before the label or the operation (RFC 7030 §3.2.2).
pub const PREFIX: &str = "/.well-known/est";

/// The label that also serves the path without a label.
const DEFAULT: &str = "default";

/// All EST labels of a server. Cheap to clone.
#[derive(Clone, Default)]
pub struct Est(Arc<BTreeMap<EndpointName, Arc<Label>>>);

impl Est {
    /// These labels. Those that are the same already are taken over as they are, with what has
    /// changed in their files.
    ///
    /// # Errors
    /// A label's own files can't be used.
    pub fn renewed(
        &self,
        labels: &BTreeMap<EndpointName, EstLabel>,
        shared: &Shared,
    ) -> anyhow::Result<Self> {
        let label = |(name, config): (&EndpointName, &EstLabel)| {
            let label = match self.0.get(name) {
                Some(same) if same.config == *config => {
                    same.look();
                    Arc::clone(same)
                }
                former => Arc::new(Label::new(
                    name.clone(),
                    config.clone(),
                    shared.clone(),
                    former.map(|former| &**former),
                )?),
            };
            Ok((name.clone(), label))
        };
        let labels = labels.iter().map(label).collect::<anyhow::Result<_>>()?;
        Ok(Self(Arc::new(labels)))
    }

    /// Those of its labels that `former` does not have.
    pub fn new_since<'a>(&'a self, former: &'a Self) -> impl Iterator<Item = &'a Label> {
        let is_new = |name: &EndpointName, label: &Arc<Label>| {
            let known = former.0.get(name);
            !known.is_some_and(|known| Arc::ptr_eq(known, label))
        };
        let labels = self.0.iter();
        labels.filter_map(move |(name, label)| is_new(name, label).then_some(&**label))
    }

    /// Whatever happens, the client gets an answer: what it asked for, or a sentence.
    async fn answer(
        self,
        operation: Operation,
        label: Option<String>,
        request: Request,
    ) -> Response {
        let id = request
            .extensions()
            .get::<RequestId>()
            .cloned()
            .unwrap_or_else(RequestId::random);
        let form = Form::of(request.headers());
        let label = self.0.get(label.as_deref().unwrap_or(DEFAULT));
        let answered = match label {
            Some(label) => answer(label, operation, &id, request).await,
            None => Err(Refusal::unknown_label()),
        };
        let mut response = answered.unwrap_or_else(|refusal| refusal.response(&id));
        if response.status() == StatusCode::UNAUTHORIZED && form == Form::Unbroken {
            // BouncyCastle, which sends no User-Agent either, fails if this answer has a body. What
            // it would say is in the log, under the id in the head.
            *response.body_mut() = Body::empty();
        }
        // What is said here is for one client and one moment.
        response
            .headers_mut()
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        response
    }
}

async fn answer(
    label: &Label,
    operation: Operation,
    id: &RequestId,
    request: Request,
) -> Result<Response, Refusal> {
    operation.check_method(request.method())?;
    let form = Form::of(request.headers());
    match operation {
        Operation::CaCerts => cacerts::answer(label, form).await,
        Operation::CsrAttrs => Ok(csrattrs::answer(label, form)),
        Operation::FullCmc => fullcmc::answer(label, form, id, request).await,
        Operation::ServerKeyGen => serverkeygen::answer(label, form, id, request).await,
        Operation::SimpleEnroll => simpleenroll::answer(label, form, id, request).await,
        Operation::SimpleReenroll => simplereenroll::answer(label, form, id, request).await,
    }
}

/// The routes of all labels, from the root.
pub fn router(est: Est) -> Router {
    let mut routes = Router::new();
    for operation in Operation::ALL {
        let plain =
            move |State(est): State<Est>, request: Request| est.answer(operation, None, request);
        let labelled = move |State(est): State<Est>,
                             label: Result<Path<String>, PathRejection>,
                             request: Request| {
            // Nothing that is not UTF-8 is a label's name, and nor is nothing.
            let label = label.map_or_else(|_| String::new(), |Path(label)| label);
            est.answer(operation, Some(label), request)
        };
        routes = routes
            .route(&format!("/{operation}"), any(plain))
            .route(&format!("/{{label}}/{operation}"), any(labelled));
    }
    Router::new()
        .nest(PREFIX, routes.fallback(unknown))
        // What is nested does not have it.
        .route(&format!("{PREFIX}/"), any(unknown))
        .with_state(est)
}

async fn unknown(request: Request) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    Refusal::unknown_operation().response(&id.unwrap_or_else(RequestId::random))
}
