//! What a caller is told of what went wrong, one row for each way in which it can: the kind of the
//! error, whether the server may have acted, and whether it makes sense to send a read, or what must
//! act once, again.

use std::net::SocketAddr;
use std::time::Duration;

use idpflare_management::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::slow::dripping;
use crate::support::server::{Nobody, Scripted};
use crate::{SHORT, quick};

/// Where a server is; it is there for as long as this.
struct There {
    authority: Authority,
    _listener: Option<TcpListener>,
    _nobody: Option<Nobody>,
}

impl There {
    fn at(address: SocketAddr) -> Self {
        Self::named(&format!("http://{address}"))
    }

    fn named(authority: &str) -> Self {
        Self {
            authority: Authority::insecure(authority).expect("an authority"),
            _listener: None,
            _nobody: None,
        }
    }

    fn client(&self, patience: Duration) -> Client {
        Client::builder(self.authority.clone())
            .api_key("idk_test")
            .retry(quick(1))
            .attempt_timeout(patience)
            .max_reply_bytes(1000)
            .build()
            .expect("a client")
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn nobody() -> There {
    let nobody = Nobody::new();
    let there = There::at(nobody.address);
    There {
        _nobody: Some(nobody),
        ..there
    }
}

async fn nobody_reads() -> There {
    let (listener, address) = listener().await;
    There {
        _listener: Some(listener),
        ..There::at(address)
    }
}

async fn answering(reply: &str) -> There {
    There::at(Scripted::answering(reply).await.address)
}

async fn resetting() -> There {
    let server = Scripted::new(async |stream: tokio::net::TcpStream| {
        stream.set_zero_linger().expect("it can be reset");
    });
    There::at(server.await.address)
}

async fn drips(start: &str, drop: &str) -> There {
    There::at(dripping(start, drop).await.address)
}

async fn endless() -> There {
    let server = Scripted::new(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b' '; 4096]).await.is_ok() {}
    });
    There::at(server.await.address)
}

/// Kind, delivery, and whether to send it again: a read, what must act once.
type Told = (ErrorKind, Delivery, [bool; 2]);

async fn told(there: &There, expected: ErrorKind) -> Told {
    let patience = match expected {
        ErrorKind::Timeout => SHORT,
        _ => Duration::from_secs(30),
    };
    let (read, once) = (there.client(patience), there.client(patience));
    let (read, once) = tokio::join!(
        read.send(GetUserStats::new()),
        once.send(CreateUser::new("a@b.c")),
    );
    let (read, once) = (read.expect_err("a fault"), once.expect_err("a fault"));
    assert_eq!(
        (read.kind(), read.delivery()),
        (once.kind(), once.delivery()),
        "{read:?}"
    );
    assert_eq!((read.attempts(), once.attempts()), (1, 1));
    (
        read.kind(),
        read.delivery(),
        [read.is_retryable(), once.is_retryable()],
    )
}

#[tokio::test]
async fn each_symptom_is_told_as_what_it_is() {
    use Delivery::{Answered, NotSent, Unknown};
    use ErrorKind::{Api, Connect, Decode, Redirect, Timeout, TooLarge, Transport, Truncated};

    const ALL: [bool; 2] = [true, true];
    const READ: [bool; 2] = [true, false];
    const NONE: [bool; 2] = [false, false];

    let long_label = format!("http://{}.test", "x".repeat(64));
    let ok = "HTTP/1.1 200 OK\r\n";
    let rows: Vec<(&str, There, Told)> = vec![
        ("nobody listens", nobody(), (Connect, NotSent, ALL)),
        // Longer than a label may be, so that no server is asked for it.
        (
            "no address has the name",
            There::named(&long_label),
            (Connect, NotSent, ALL),
        ),
        (
            "nobody reads",
            nobody_reads().await,
            (Timeout, Unknown, READ),
        ),
        (
            "it closes without a word",
            answering("").await,
            (Transport, Unknown, READ),
        ),
        ("it resets", resetting().await, (Transport, Unknown, READ)),
        (
            "it says nothing",
            drips("", "").await,
            (Timeout, Unknown, READ),
        ),
        (
            "its head drips",
            drips(ok, "x").await,
            (Timeout, Unknown, READ),
        ),
        (
            "its head breaks off",
            answering("HTTP/1.1 200 O").await,
            (Transport, Unknown, READ),
        ),
        (
            "it speaks another protocol",
            answering("SSH-2.0-OpenSSH_9.2\r\n").await,
            (Transport, Unknown, READ),
        ),
        (
            "its body drips",
            drips(&format!("{ok}\r\n"), " ").await,
            (Timeout, Answered, READ),
        ),
        (
            "its body breaks off",
            answering(&format!("{ok}content-length: 9\r\n\r\n{{")).await,
            (Truncated, Answered, READ),
        ),
        (
            "its refusal breaks off",
            answering("HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n{").await,
            (Truncated, Answered, NONE),
        ),
        (
            "its apology breaks off",
            answering("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 9\r\n\r\n<").await,
            (Truncated, Unknown, READ),
        ),
        (
            "its body has no end",
            endless().await,
            (TooLarge, Answered, NONE),
        ),
        (
            "its body is of another page",
            answering(&format!("{ok}content-type: text/html\r\n\r\n<html>")).await,
            (Decode, Answered, NONE),
        ),
        (
            "its body is compressed",
            answering(&format!("{ok}content-encoding: gzip\r\n\r\n\u{1f}")).await,
            (Decode, Answered, NONE),
        ),
        (
            "it redirects",
            answering("HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n").await,
            (Redirect, Answered, NONE),
        ),
        (
            "it refuses",
            answering("HTTP/1.1 404 Not Found\r\n\r\n").await,
            (Api, Answered, NONE),
        ),
        (
            "it asks to wait",
            answering("HTTP/1.1 429 Too Many Requests\r\n\r\n").await,
            (Api, Answered, ALL),
        ),
        (
            "something between does not reach it",
            answering("HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\n\r\n<html>").await,
            (Api, Unknown, READ),
        ),
    ];
    for (symptom, there, expected) in rows {
        assert_eq!(told(&there, expected.0).await, expected, "{symptom}");
    }
}
