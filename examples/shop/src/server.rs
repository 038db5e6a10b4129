//! Serving until asked to stop, and then to the end of the requests that had begun.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, serve::ListenerExt};
use tenantry::RequestLimits;
use tokio::net::TcpListener;

use crate::{failure::Failure, shutdown::Stop};

/// How long requests may take that had begun when the process was asked to end. Service managers wait for ten seconds.
const DRAIN: Duration = Duration::from_secs(8);

pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::new(format!("cannot listen on {address}")).caused_by(e).help("choose another: --listen 127.0.0.1:8081")
    })
}

pub(crate) async fn serve(listener: TcpListener, app: Router, limits: RequestLimits, stop: Stop) {
    let listener = listener.tap_io(|connection| {
        // Answers are small and written whole; waiting for more would only delay them.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let late = async {
        stop.clone().asked().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = limits.serve(listener, app, stop.clone().asked()) => {}
        () = late => tracing::warn!("some requests had not ended after {DRAIN:?}: they are cut off"),
    }
}
