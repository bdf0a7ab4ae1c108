//! [`Client`]: asks the running server over its admin socket, or the same router in this process.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::failure::Failure;
use crate::admin::{self, Admin, views};
use crate::config::{self, Config};
use crate::server::Pass;
use crate::store::sqlite::SqliteStore;

/// What stands for "no body".
const NOTHING: Option<&()> = None;

pub(super) enum Client {
    /// With the value of `Authorization`.
    Server(http1::SendRequest<Full<Bytes>>, Option<HeaderValue>),
    Alone(Router),
}

/// Runs `work` with a client.
pub(super) fn with<T, W>(config: &Config, work: W) -> Result<T, Failure>
where
    W: AsyncFnOnce(Client) -> Result<T, Failure>,
{
    runtime()?.block_on(async {
        let client = match Client::running(config).await? {
            Some(server) => server,
            None => Client::alone(config)?,
        };
        work(client).await
    })
}

/// Runs `work` with the running server, if there is one.
pub(super) fn with_running<T, W>(config: &Config, work: W) -> Result<T, Failure>
where
    W: AsyncFnOnce(Option<Client>) -> Result<T, Failure>,
{
    runtime()?.block_on(async { work(Client::running(config).await?).await })
}

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("no runtime can be started: {error}")))
}

impl Client {
    async fn running(config: &Config) -> Result<Option<Self>, Failure> {
        let socket = &config.admin.socket;
        match UnixStream::connect(socket).await {
            Ok(stream) => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|error| broken(&error))?;
                // Its end is seen by the request that it cuts off.
                tokio::spawn(connection);
                let pass = Pass::of(socket).map_err(|error| unreachable(socket, &error))?;
                let shown = pass.and_then(|pass| pass.header());
                Ok(Some(Self::Server(sender, shown)))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(unreachable(socket, &error)),
        }
    }

    fn alone(config: &Config) -> Result<Self, Failure> {
        let config::Store::Sqlite(path) = &config.store;
        if !path.exists() {
            return Err(no_database(path));
        }
        let store = Arc::new(SqliteStore::open(path)?);
        Ok(Self::Alone(admin::router(Admin::alone(config, store))))
    }

    pub(super) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, NOTHING).await
    }

    /// Does something to a resource.
    pub(super) async fn act<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        self.call(Method::POST, path, NOTHING).await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&impl serde::Serialize>,
    ) -> Result<T, Failure> {
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| broken(&error))?,
            None => Vec::new(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/admin/v1{path}"))
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| broken(&error))?;
        let (parts, body) = match self {
            Self::Server(sender, shown) => {
                let headers = request.headers_mut();
                headers.extend(shown.clone().map(|shown| (header::AUTHORIZATION, shown)));
                let response = sender.send_request(request).await;
                collect(response.map_err(|error| broken(&error))?).await?
            }
            Self::Alone(router) => {
                let Ok(response) = router.clone().oneshot(request).await;
                collect(response).await?
            }
        };
        if parts.status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| broken(&error));
        }
        Err(Failure::Failed(
            match serde_json::from_slice::<views::Error>(&body) {
                Ok(answer) => answer.error,
                Err(_) => format!("the server answered {}; see its log", parts.status),
            },
        ))
    }
}

async fn collect<B>(response: Response<B>) -> Result<(http::response::Parts, Bytes), Failure>
where
    B: hyper::body::Body,
    B::Error: std::fmt::Display,
{
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| broken(&error))?;
    Ok((parts, body.to_bytes()))
}

fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    Failure::Failed(format!(
        "the running server can't be asked over {}: {error}; run this as the server's own user",
        socket.display()
    ))
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(format!(
        "the server's answer did not come through: {error}; see its log and try again"
    ))
}

fn no_database(path: &Path) -> Failure {
    Failure::Failed(format!(
        "there is no database {} yet; start `certdock serve` first",
        path.display()
    ))
}

/// A name in a path: ids have no characters that mean something there, all else is escaped.
pub(super) fn segment(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
