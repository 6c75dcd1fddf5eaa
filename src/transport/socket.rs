//! A TCP connection that can be looked at from outside of the task that uses it.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;

type Stream = TokioIo<TcpStream>;

/// A TCP connection. The lock is free but for the time of one system call.
pub(super) struct Socket(Arc<Mutex<Stream>>);

/// The same one, which this does not keep open.
#[derive(Clone)]
pub(super) struct SocketHandle(Weak<Mutex<Stream>>);

/// The state of a connection as the system knows it, before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Nothing,
    Bytes,
    /// The peer has closed the connection, or an error ended it.
    End,
}

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    fn with<T>(&self, act: impl FnOnce(Pin<&mut Stream>) -> T) -> T {
        act(Pin::new(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl SocketHandle {
    /// Asks the system. The runtime may be too busy to know.
    pub(super) fn unread(&self) -> Unread {
        let Some(stream) = self.0.upgrade() else {
            return Unread::End;
        };
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        let mut byte = [MaybeUninit::uninit()];
        match SockRef::from(stream.inner()).peek(&mut byte) {
            Ok(0) => Unread::End,
            Ok(_) => Unread::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Unread::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Unread::Nothing,
            Err(_) => Unread::End,
        }
    }
}

/// A connector passes on how its connection was made; that is the way for the handle.
impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new().extra(SocketHandle(Arc::downgrade(&self.0)))
    }
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buffer))
    }
}

impl Write for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        self.with(|stream| stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}
