//! From the first connection to the last.

use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// All that had begun was finished.
    Drained,
    /// Time ran out, and what was still under way is given up.
    Abandoned,
}

/// Serves `app` until `stop` is there. Then it takes no more connections, and what is under way has
/// `grace` to be finished.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> io::Result<Stopped> {
    let (stopping, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop.await;
        drop(stopping);
    });
    let out_of_time = async {
        // It is never sent to: that it is gone says so.
        let _ = stopped.await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        served = server.into_future() => served.map(|()| Stopped::Drained),
        () = out_of_time => Ok(Stopped::Abandoned),
    }
}
