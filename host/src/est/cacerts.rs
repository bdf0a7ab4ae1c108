//! cacerts: the CA's certificates (RFC 7030 §4.1). Anybody may have them.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use axum::response::Response;
use bytes::Bytes;
use certdock_plugin_api::CaCerts;

use crate::est::answer::{self, Form};
use crate::est::cms::certs_only;
use crate::est::label::Label;
use crate::est::status::Refusal;

/// Some clients compare the whole value (RFC 7030 §4.1.3 asks for no parameter here).
const CONTENT_TYPE: &str = "application/pkcs7-mime";

/// The handler's last answer, as it goes out. The handler's own cache says when it is old.
#[derive(Default)]
pub(super) struct Rendered(ArcSwapOption<Bodies>);

struct Bodies {
    of: Arc<CaCerts>,
    lines: Bytes,
    unbroken: Bytes,
}

pub(super) async fn answer(label: &Label, form: Form) -> Result<Response, Refusal> {
    let handler = label.handler().ok_or_else(Refusal::no_handler)?;
    let body = label.ca_certs.body(handler.ca_certs().await?, form);
    Ok(answer::text(CONTENT_TYPE, body))
}

impl Rendered {
    fn body(&self, ca_certs: Arc<CaCerts>, form: Form) -> Bytes {
        let last = self.0.load();
        if let Some(bodies) = last
            .as_ref()
            .filter(|last| Arc::ptr_eq(&last.of, &ca_certs))
        {
            return bodies.body(form);
        }
        let message = certs_only(&ca_certs.certificates);
        let bodies = Bodies {
            of: ca_certs,
            lines: Form::Lines.encode(&message).into(),
            unbroken: Form::Unbroken.encode(&message).into(),
        };
        let body = bodies.body(form);
        self.0.store(Some(Arc::new(bodies)));
        body
    }
}

impl Bodies {
    fn body(&self, form: Form) -> Bytes {
        match form {
            Form::Lines => self.lines.clone(),
            Form::Unbroken => self.unbroken.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_answer_is_rendered_anew() {
        let answer = |byte: u8| {
            Arc::new(CaCerts {
                certificates: vec![vec![0x30, 1, byte]],
            })
        };
        let (first, second) = (answer(1), answer(2));
        let rendered = Rendered::default();
        let body = |of: &Arc<CaCerts>, form| rendered.body(Arc::clone(of), form);
        let lines = body(&first, Form::Lines);
        assert_eq!(body(&first, Form::Lines).as_ptr(), lines.as_ptr());
        assert_eq!(body(&first, Form::Unbroken), lines.trim_ascii_end());
        assert_ne!(body(&second, Form::Lines), lines);
    }
}
