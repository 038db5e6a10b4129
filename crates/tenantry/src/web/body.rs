//! [`LimitedBody`]: a request's body that ends with an error where its client sends too much of it or sends it too slowly.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{BoxError, body::Body};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{LengthLimitError, Limited};
use tokio::time::{Instant, Sleep};

/// What is known of a body. The layer reads it after the handler, which may make any answer of the body's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum BodyState {
    /// Nothing is wrong with it.
    Fine,
    /// The handler waits for the client.
    Awaited,
    /// It was larger than the limit.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
}

/// The state of a body, shared between the body and the layer.
#[derive(Clone, Debug)]
pub(super) struct BodyWatch(Arc<AtomicU8>);

impl BodyWatch {
    fn new() -> Self {
        Self(Arc::new(AtomicU8::new(BodyState::Fine as u8)))
    }

    fn set(&self, state: BodyState) {
        self.0.store(state as u8, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> BodyState {
        let known = [BodyState::Awaited, BodyState::TooLarge, BodyState::TooSlow];
        let state = self.0.load(Ordering::Relaxed);
        known.into_iter().find(|known| *known as u8 == state).unwrap_or(BodyState::Fine)
    }
}

/// How much longer the client is waited for. The time that the handler takes over what has arrived is not counted.
struct Patience {
    left: Duration,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.left;
        self.wait.get_or_insert_with(|| Box::pin(tokio::time::sleep(left))).as_mut().poll(cx)
    }

    fn pause(&mut self) {
        if let Some(wait) = self.wait.take() {
            self.left = wait.deadline().saturating_duration_since(Instant::now());
        }
    }
}

/// tower-http's `RequestBodyTimeoutLayer` starts anew with each frame, so a client that sends a byte every few seconds is
/// never stopped.
pub(super) struct LimitedBody {
    inner: Limited<Body>,
    patience: Patience,
    watch: BodyWatch,
}

impl LimitedBody {
    /// The limited body, and what tells how it ended.
    pub(super) fn new(body: Body, most_bytes: usize, longest_wait: Duration) -> (Self, BodyWatch) {
        let watch = BodyWatch::new();
        let patience = Patience { left: longest_wait, wait: None };
        (Self { inner: Limited::new(body, most_bytes), patience, watch: watch.clone() }, watch)
    }
}

impl HttpBody for LimitedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            if this.patience.poll_end(cx).is_pending() {
                this.watch.set(BodyState::Awaited);
                return Poll::Pending;
            }
            this.watch.set(BodyState::TooSlow);
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())));
        };
        this.patience.pause();
        let too_large = matches!(&frame, Some(Err(error)) if error.is::<LengthLimitError>());
        this.watch.set(if too_large { BodyState::TooLarge } else { BodyState::Fine });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
