//! HTTP on the admin address: probes, the state of the cluster as JSON, and what operators may ask for.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::server::Server;
use crate::status::Status;
use places::Places;
pub use regions::{Refusal, SplitRequest, TransferRequest};

mod places;
mod regions;

/// Answers until the server stops.
pub async fn serve(server: Arc<Server>, listener: TcpListener) {
    let mut stopping = server.stopping();
    let stop = async move { stopping.asked().await };
    let listener = Places::of(listener);
    if let Err(error) = axum::serve(listener, router(server)).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "the admin address is no longer served");
    }
}

/// Everything that is answered.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/api/v1/status", get(status))
        .merge(regions::routes())
        .with_state(server)
}

/// 200 while there is a store that runs.
async fn livez(State(server): State<Arc<Server>>) -> Response {
    if server.hosted().is_lost() {
        (StatusCode::SERVICE_UNAVAILABLE, "all stores have failed\n").into_response()
    } else {
        (StatusCode::OK, "ok\n").into_response()
    }
}

/// 200 while every key can be served.
async fn readyz(State(server): State<Arc<Server>>) -> Response {
    let is_open = server.hosted().waits_for().is_none();
    match ask(server).await {
        Some(status) if is_open && status.is_ready() => (StatusCode::OK, "ok\n").into_response(),
        Some(status) => (StatusCode::SERVICE_UNAVAILABLE, status.verdict + "\n").into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn status(State(server): State<Arc<Server>>) -> Response {
    match ask(server).await {
        Some(status) => Json(status).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The stores answer from their own threads: nobody's commands wait for that.
async fn ask(server: Arc<Server>) -> Option<Status> {
    tokio::task::spawn_blocking(move || Status::of(server.hosted())).await.ok()
}
