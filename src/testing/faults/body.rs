//! Bodies that are slow, too large, or end before their end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use crate::testing::connection::{ResetHandle, reset_error};

static WHITE_SPACE: [u8; 16 * 1024] = [b' '; 16 * 1024];

/// How long what was sent has to arrive before the connection breaks: it must have left the server's
/// buffers, and some systems throw away what they have received when a reset comes.
const BEFORE_BREAK: Duration = Duration::from_millis(10);

/// How a body ends.
pub(super) enum End {
    Whole,
    Truncated,
    /// With the connection, where it is on one.
    Reset(Option<ResetHandle>),
}

/// White space, then what is left to send, piece by piece.
pub(super) struct FaultyBody {
    padding: u64,
    rest: Bytes,
    piece: usize,
    interval: Option<Duration>,
    end: End,
    wait: Option<Pin<Box<Sleep>>>,
    /// Whether the wait before the next piece, or before the end, is over.
    waited: bool,
}

impl FaultyBody {
    pub(super) fn ending(sent: Bytes, end: End) -> Self {
        Self {
            padding: 0,
            piece: sent.len(),
            rest: sent,
            interval: None,
            end,
            wait: None,
            waited: false,
        }
    }

    pub(super) fn slow(body: Bytes, pieces: u32, interval: Duration) -> Self {
        let pieces = usize::try_from(pieces).unwrap_or(usize::MAX);
        let piece = body.len().div_ceil(pieces.max(1)).max(1);
        Self {
            piece,
            interval: Some(interval),
            ..Self::ending(body, End::Whole)
        }
    }

    pub(super) fn padded(padding: u64, body: Bytes) -> Self {
        Self {
            padding,
            ..Self::ending(body, End::Whole)
        }
    }

    fn poll_wait(&mut self, duration: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waited {
            let wait = self.wait.get_or_insert_with(|| Box::pin(sleep(duration)));
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
            self.waited = true;
        }
        Poll::Ready(())
    }

    fn next_piece(&mut self) -> Bytes {
        if self.padding == 0 {
            return self.rest.split_to(self.piece.min(self.rest.len()));
        }
        let length = usize::try_from(self.padding)
            .unwrap_or(usize::MAX)
            .min(WHITE_SPACE.len());
        // The largest number stands for a body that never ends.
        if self.padding != u64::MAX {
            self.padding -= length as u64;
        }
        Bytes::from_static(&WHITE_SPACE[..length])
    }
}

impl Body for FaultyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if this.padding > 0 || !this.rest.is_empty() {
            if let Some(interval) = this.interval {
                ready!(this.poll_wait(interval, cx));
                this.waited = false;
            }
            return Poll::Ready(Some(Ok(Frame::data(this.next_piece()))));
        }
        if matches!(this.end, End::Whole) {
            return Poll::Ready(None);
        }
        ready!(this.poll_wait(BEFORE_BREAK, cx));
        let error = match std::mem::replace(&mut this.end, End::Whole) {
            End::Reset(connection) => {
                if let Some(connection) = connection {
                    connection.reset();
                }
                reset_error()
            }
            End::Truncated | End::Whole => {
                io::Error::new(io::ErrorKind::UnexpectedEof, "the body ended too early")
            }
        };
        Poll::Ready(Some(Err(error)))
    }
}
