use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::connection::{ResetHandle, ResettableListener};

/// A [`FakeIdpflare`](super::FakeIdpflare) that listens on a port of this machine. It understands
/// HTTP/1.1, and HTTP/2 from clients that start with it.
///
/// [`shutdown`](Self::shutdown) stops it and waits until it has; dropping it stops it in the
/// background. Both finish the requests that are under way.
#[must_use = "it stops when it is dropped"]
pub struct FakeServer {
    port: u16,
    /// Dropping it is the signal to stop.
    running: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl FakeServer {
    pub(super) async fn start(router: Router, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let (running, stopped) = oneshot::channel::<()>();
        let service = router.into_make_service_with_connect_info::<ResetHandle>();
        let server =
            axum::serve(ResettableListener(listener), service).with_graceful_shutdown(async {
                let _ = stopped.await;
            });
        let task = tokio::spawn(server.into_future());
        Ok(Self {
            port,
            running,
            task,
        })
    }

    /// The URL that clients are built with, such as `http://127.0.0.1:49152`.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Accepts no more connections, finishes the requests that are under way, and returns when all
    /// connections are closed. A client that never completes its request holds it up for ever: put a
    /// timeout around it where there may be one.
    pub async fn shutdown(self) {
        drop(self.running);
        // It fails only where the runtime is going down, and the server with it.
        let _ = self.task.await;
    }
}

impl fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeServer")
            .field("authority", &self.authority())
            .finish_non_exhaustive()
    }
}
