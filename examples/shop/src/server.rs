//! Serving until asked to stop, and then to the end of the requests that had begun.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;

use crate::{failure::Failure, shutdown::Stop};

/// How long requests may take that had begun when the process was asked to end. Service managers wait for ten seconds.
const DRAIN: Duration = Duration::from_secs(8);

pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::new(format!("cannot listen on {address}")).caused_by(e).help("choose another: --listen 127.0.0.1:8081")
    })
}

pub(crate) async fn serve(listener: TcpListener, app: Router, stop: Stop) -> Result<(), Failure> {
    let listener = listener.tap_io(|connection| {
        // Answers are small and written whole; waiting for more would only delay them.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().asked());
    let late = async {
        stop.asked().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = async { serving.await } => ended.map_err(|e| Failure::new("the listener failed").caused_by(e)),
        () = late => {
            tracing::warn!("some requests had not ended after {DRAIN:?}: they are cut off");
            Ok(())
        }
    }
}
