//! HTTP about regions: which there are, splitting one, having one led elsewhere.
//!
//! An error is `{"error": "a sentence"}` with a status that says whose it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use skep_engine::{Engine, Error, RegionDescriptor};

use crate::key_text;
use crate::regions::{self, RegionState};
use crate::server::Server;

/// How long it may take until another store leads a region, before whoever asked for it is told.
const TRANSFER_MAX: Duration = Duration::from_secs(4);
/// How often it is looked at whether it does, before it is asked again.
const TRANSFER_LOOKS: u32 = 20;
/// Between two looks.
const TRANSFER_PAUSE: Duration = Duration::from_millis(25);

/// What goes wrong, as it is told.
#[derive(Serialize, Deserialize, Debug)]
pub struct Refusal {
    /// One sentence.
    pub error: String,
}

/// `POST /api/v1/regions/split`.
#[derive(Serialize, Deserialize, Debug)]
pub struct SplitRequest {
    /// The key that a new region shall begin with, as text.
    pub key: String,
}

/// `POST /api/v1/regions/transfer-leader`.
#[derive(Serialize, Deserialize, Debug)]
pub struct TransferRequest {
    /// The id of the region.
    pub region: String,
    /// The id of the store that shall lead it.
    pub store: String,
}

/// What is answered below `/api/v1/regions`.
pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/api/v1/regions", get(list))
        .route("/api/v1/regions/{name_or_key}", get(show))
        .route("/api/v1/regions/split", post(split))
        .route("/api/v1/regions/transfer-leader", post(transfer))
}

async fn list(State(server): State<Arc<Server>>) -> Response {
    match known(&server).await {
        Ok(regions) => Json(regions).into_response(),
        Err(response) => response,
    }
}

async fn show(State(server): State<Arc<Server>>, Path(name_or_key): Path<String>) -> Response {
    let regions = match known(&server).await {
        Ok(regions) => regions,
        Err(response) => return response,
    };
    match regions::find(&regions, &name_or_key) {
        Some(region) => Json(region).into_response(),
        None => refused(
            StatusCode::NOT_FOUND,
            format!("no region is known here that has the key '{name_or_key}'"),
        ),
    }
}

/// The answer is what came of the region, in the order of keys.
async fn split(State(server): State<Arc<Server>>, Json(asked): Json<SplitRequest>) -> Response {
    let key = match key_text::unescape(&asked.key) {
        Ok(key) => key,
        Err(error) => return refused(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let parts = match server.choose_store().split(key).await {
        Ok(parts) => parts,
        Err(error) => return failed(&error),
    };
    let ids: Vec<String> = parts.iter().map(|part| part.id.to_string()).collect();
    match known(&server).await {
        Ok(mut regions) => {
            regions.retain(|region| ids.contains(&region.id));
            Json(regions).into_response()
        }
        Err(response) => response,
    }
}

/// Answered when the other store leads. Handing over is given up when the follower is behind for an election timeout, so it is
/// asked for again meanwhile.
async fn transfer(State(server): State<Arc<Server>>, Json(asked): Json<TransferRequest>) -> Response {
    let TransferRequest { region, store } = asked;
    let Some((engine, known_region)) = who_knows(&server, &region) else {
        let error = format!("there is no region {region}: `skep region ls` shows which there are");
        return refused(StatusCode::NOT_FOUND, error);
    };
    let voters: Vec<_> = known_region.membership.voters.iter().map(|voter| voter.store()).collect();
    let Some(to) = voters.iter().copied().find(|voter| voter.to_string() == store) else {
        let voters: Vec<String> = voters.iter().map(ToString::to_string).collect();
        let error = format!("store {store} has no vote in {region}: choose one of {}", voters.join(", "));
        return refused(StatusCode::BAD_REQUEST, error);
    };
    let end = Instant::now() + TRANSFER_MAX;
    while Instant::now() < end {
        match tokio::time::timeout(TRANSFER_MAX, engine.transfer_leader(known_region.id, to)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return failed(&error),
            Err(_) => break,
        }
        for _ in 0..TRANSFER_LOOKS {
            let regions = match known(&server).await {
                Ok(regions) => regions,
                Err(response) => return response,
            };
            let leader = regions.into_iter().find(|known| known.id == region).and_then(|known| known.leader);
            if leader.as_deref() == Some(&store) {
                return Json(TransferRequest { region, store }).into_response();
            }
            tokio::time::sleep(TRANSFER_PAUSE).await;
        }
    }
    let error = format!("store {store} does not lead {region} yet: see `skep status`, and ask again");
    refused(StatusCode::SERVICE_UNAVAILABLE, error)
}

/// A store of this process that knows a region, and the region. One may have heard of a split that another has not.
fn who_knows(server: &Server, region: &str) -> Option<(Engine, RegionDescriptor)> {
    let running = server.stores().iter().filter(|store| store.failed().is_none());
    running.into_iter().find_map(|engine| {
        let known = engine.regions().into_iter().find(|known| known.id.to_string() == region)?;
        Some((engine.clone(), known))
    })
}

/// The stores answer from their own threads: nobody's commands wait for that.
async fn known(server: &Arc<Server>) -> Result<Vec<RegionState>, Response> {
    let server = Arc::clone(server);
    let asked = tokio::task::spawn_blocking(move || regions::all(server.stores())).await;
    asked.map_err(|error| refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

fn failed(error: &Error) -> Response {
    let status = match error {
        Error::KeyTooLarge { .. } => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    refused(status, error.to_string())
}

fn refused(status: StatusCode, error: String) -> Response {
    (status, Json(Refusal { error })).into_response()
}
