//! [`Pass`]: shows that whoever asks over the admin socket may read the server's own files.
//!
//! The mode of a socket keeps other users out. Workers, which run plugins, are the same user: Landlock
//! keeps files from them, and does not know of sockets.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Made anew with each socket.
#[derive(Clone)]
pub struct Pass(Arc<Zeroizing<String>>);

impl Pass {
    pub(super) fn random() -> Self {
        let bytes = Zeroizing::new(crate::random::bytes::<32>());
        Self(Arc::new(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes))))
    }

    /// Where the pass for a socket lies.
    #[must_use]
    pub fn beside(socket: &Path) -> PathBuf {
        let mut path = socket.as_os_str().to_owned();
        path.push(".pass");
        path.into()
    }

    /// The pass for a socket; `None` if there is none, as with a server from before there were any.
    ///
    /// # Errors
    /// It can't be read, by another user say.
    pub fn of(socket: &Path) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(Self::beside(socket)) {
            Ok(text) => Ok(Some(Self(Arc::new(Zeroizing::new(text))))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it to a new file, for this user alone.
    pub(super) fn write(&self, to: &Path) -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(to)?;
        file.write_all(self.0.as_bytes())
    }

    /// The value of `Authorization` that shows it; `None` if the file held something else.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The same routes for whoever shows it.
    pub(super) fn guard(self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self, admit))
    }

    fn is_shown(&self, request: &Request) -> bool {
        let shown = request.headers().get(header::AUTHORIZATION);
        let token = shown.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        token.is_some_and(|token| token.ct_eq(self.0.as_bytes()).into())
    }
}

async fn admit(State(pass): State<Pass>, request: Request, next: Next) -> Response {
    if pass.is_shown(&request) {
        return next.run(request).await;
    }
    let error = "show the pass that lies beside the socket, in a file whose name ends in .pass: \
                 `Authorization: Bearer PASS`";
    let body = Json(serde_json::json!({ "error": error }));
    (StatusCode::UNAUTHORIZED, body).into_response()
}
