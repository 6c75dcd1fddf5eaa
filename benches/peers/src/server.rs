//! The one server: it answers two paths with bytes that are made beforehand, so that its cost is that
//! of HTTP.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use idpflare_management::layers::BoxError;
use tokio::net::TcpListener;

use crate::replies;

/// Tells its port on stdout, and serves until stdin ends.
pub(crate) fn run() -> Result<(), BoxError> {
    std::thread::spawn(|| {
        let ended = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(i32::from(ended.is_err()));
    });
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve())
}

async fn serve() -> Result<(), BoxError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", listener.local_addr()?.port())?;
    stdout.flush()?;
    let (user, page) = (replies::user(), replies::page());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (user, page) = (user.clone(), page.clone());
        let answer = service_fn(move |request: Request<Incoming>| {
            std::future::ready(Ok::<_, Infallible>(reply(
                request.uri().path(),
                &user,
                &page,
            )))
        });
        // What ends a connection is that its client goes away.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

fn reply(path: &str, user: &Bytes, page: &Bytes) -> Response<Full<Bytes>> {
    let body = match path.strip_prefix("/api/v1/users") {
        Some("") => page.clone(),
        Some(id) if id.strip_prefix('/') == Some(replies::USER_ID) => user.clone(),
        _ => {
            let mut reply = Response::default();
            *reply.status_mut() = StatusCode::NOT_FOUND;
            return reply;
        }
    };
    let mut reply = Response::new(Full::new(body));
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply
}
