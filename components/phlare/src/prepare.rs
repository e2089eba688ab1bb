//! `/ingester/prepare-shutdown`: an ingester that is to go takes nothing new and puts all it has into the bucket.
//!
//! POST begins it and returns at once, GET says how far it is, DELETE undoes it. All answer how it is now.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use phlare_ingester::{Error, Ingester, Preparation};
use phlare_model::ErrorKind;
use phlare_ring::Member;
use phlare_server::Status;
use tokio::task::spawn_blocking;

use crate::rings::refuse_other_sites;

#[derive(Clone, Debug)]
struct Prepared {
    ingester: Arc<Ingester>,
    member: Member,
    /// One change at a time, so that ring and ingester agree in the end.
    changing: Arc<Mutex<()>>,
}

/// The page of an ingester, which is `member` in the ring.
pub(crate) fn routes(ingester: &Arc<Ingester>, member: &Member) -> Router {
    let methods = get(show).post(prepare).delete(undo);
    Router::new()
        .route("/ingester/prepare-shutdown", methods)
        .with_state(Prepared {
            ingester: Arc::clone(ingester),
            member: member.clone(),
            changing: Arc::default(),
        })
}

async fn show(State(prepared): State<Prepared>) -> Json<Preparation> {
    Json(prepared.ingester.preparation())
}

async fn prepare(
    State(prepared): State<Prepared>,
    headers: HeaderMap,
) -> Result<Json<Preparation>, Status> {
    prepared.change(&headers, Ingester::prepare_shutdown).await
}

async fn undo(
    State(prepared): State<Prepared>,
    headers: HeaderMap,
) -> Result<Json<Preparation>, Status> {
    prepared
        .change(&headers, Ingester::undo_prepare_shutdown)
        .await
}

impl Prepared {
    /// What was begun is finished, even if the client leaves.
    async fn change(
        &self,
        headers: &HeaderMap,
        change: fn(&Ingester) -> Result<(), Error>,
    ) -> Result<Json<Preparation>, Status> {
        refuse_other_sites(headers)?;
        let this = self.clone();
        let changing = spawn_blocking(move || {
            let _changing = this.changing.lock();
            let changed = change(&this.ingester);
            this.member.set_read_only(this.ingester.is_prepared());
            changed.map(|()| this.ingester.preparation())
        });
        match changing.await {
            Ok(found) => Ok(Json(found?)),
            Err(_) => {
                let message = "the change was not finished".to_owned();
                Err(Status::new(ErrorKind::Internal, message))
            }
        }
    }
}
