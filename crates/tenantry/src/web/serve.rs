//! The serving loop. What a layer cannot limit is limited here: before its headers are read there is no request.

use std::{net::SocketAddr, pin::pin};

use axum::{Router, extract::ConnectInfo, serve::Listener};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tower_service::Service as _;

use super::limits::RequestLimits;

impl RequestLimits {
    /// Serves `app` over HTTP/1.1 until `stop` is ready, and then to the end of the requests that had begun. [`Self::layer`]
    /// is around the whole app, and each request has the peer's address as [`ConnectInfo`].
    ///
    /// `axum::serve` waits for headers without end: whoever sends one byte a minute keeps a connection for nothing.
    pub async fn serve<L>(self, mut listener: L, app: Router, stop: impl Future<Output = ()> + Send)
    where
        L: Listener<Addr = SocketAddr>,
    {
        let app = app.layer(self.layer());
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.header_timeout.duration());
        let (stopping, stopped) = watch::channel(());
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                (io, peer) = listener.accept() => {
                    tokio::spawn(serve_connection(http.clone(), io, peer, app.clone(), stopped.clone()));
                }
                () = &mut stop => break,
            }
        }
        drop((listener, stopped));
        // Without a connection nobody hears it.
        let _ = stopping.send(());
        stopping.closed().await;
    }
}

async fn serve_connection<Io>(
    http: http1::Builder,
    io: Io,
    peer: SocketAddr,
    app: Router,
    mut stopping: watch::Receiver<()>,
) where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().call(request)
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(io), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%peer, %error, "a connection ended early");
    }
}
