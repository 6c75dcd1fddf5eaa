//! A server of HTTP/1.1 that does with each request what a script says, and keeps all of them.

use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::server::read_request;
use crate::{ClientBuilder, build, client, of_each_kind};

/// What is done with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// The reply, after which the connection is kept.
    Reply(String),
    /// These bytes, and then the end of the connection.
    Close(String),
    /// These bytes, and then a reset of the connection.
    Reset(String),
    Hang,
}

/// A reply with this head, or more of it, and no body.
pub(crate) fn empty(head: &str) -> Act {
    Act::Reply(format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n"))
}

#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// The connections are counted from zero.
    pub(crate) connection: usize,
    pub(crate) head: String,
}

impl Arrived {
    pub(crate) fn is_create(&self) -> bool {
        self.head.starts_with("post ")
    }
}

pub(crate) struct Server {
    pub(crate) authority: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Server {
    /// Does `act` with each request that arrives, given those before it.
    pub(crate) async fn new(
        act: impl Fn(&Arrived, &[Arrived]) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let authority = format!("http://{}", listener.local_addr().expect("an address"));
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&arrived);
        tokio::spawn(async move {
            let act = Arc::new(act);
            for connection in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (act, seen) = (Arc::clone(&act), Arc::clone(&seen));
                tokio::spawn(serve(stream, move |head| {
                    let mut seen = seen.lock().expect("not poisoned");
                    let request = Arrived { connection, head };
                    let act = act(&request, &seen);
                    seen.push(request);
                    act
                }));
            }
        });
        Self { authority, arrived }
    }

    pub(crate) async fn always(act: Act) -> Self {
        Self::new(move |_, _| act.clone()).await
    }

    pub(crate) fn client(&self) -> ClientBuilder {
        client(&self.authority)
    }

    /// All that has arrived since the last time.
    pub(crate) fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.arrived.lock().expect("not poisoned"))
    }

    /// How often an operation of each kind arrives before it is given up: ReadOnly, Idempotent,
    /// Once.
    pub(crate) async fn arrivals(&self, builder: impl Fn() -> ClientBuilder) -> [usize; 3] {
        of_each_kind(
            || build(builder()),
            |outcome| {
                let arrived = self.take().len();
                if let Err(error) = outcome {
                    assert_eq!(error.attempts() as usize, arrived, "{error:?}");
                }
                arrived
            },
        )
        .await
    }
}

async fn serve(mut stream: TcpStream, act: impl Fn(String) -> Act) {
    while let Some(head) = read_request(&mut stream).await {
        match act(head) {
            Act::Reply(reply) => {
                if stream.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
            }
            Act::Close(reply) => {
                let _ = stream.write_all(reply.as_bytes()).await;
                let _ = stream.shutdown().await;
                return;
            }
            Act::Reset(reply) => {
                let _ = stream.write_all(reply.as_bytes()).await;
                stream.set_zero_linger().expect("it can be reset");
                return;
            }
            Act::Hang => std::future::pending().await,
        }
    }
}
