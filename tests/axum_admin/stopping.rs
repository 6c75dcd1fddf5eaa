use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use idpflare_management::Client;
use idpflare_management::testing::FakeIdpflare;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tower::{ServiceExt, service_fn};

use crate::admin::{Admin, IDENTITY, settings};
use crate::app::Stopped;

/// A client whose requests are held back until they are let go.
struct Held {
    client: Client,
    arrived: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Held {
    fn new() -> Self {
        let fake = FakeIdpflare::new();
        let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let service = service_fn({
            let fake = fake.service();
            let (arrived, go_on) = (Arc::clone(&arrived), Arc::clone(&go_on));
            move |request| {
                let fake = fake.clone();
                let (arrived, go_on) = (Arc::clone(&arrived), Arc::clone(&go_on));
                async move {
                    arrived.notify_one();
                    go_on.notified().await;
                    fake.oneshot(request).await
                }
            }
        });
        Self {
            client: settings(&fake).build_with(service).expect("a client"),
            arrived,
            go_on,
        }
    }
}

/// Whether it is the service that answers there, and not somebody else who has its port by now.
async fn takes_requests(address: SocketAddr, identity: &str) -> bool {
    let asks = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {IDENTITY} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await?;
        Ok::<_, std::io::Error>(reply)
    };
    let reply = tokio::time::timeout(Duration::from_secs(10), asks).await;
    matches!(reply, Ok(Ok(reply)) if reply.ends_with(identity))
}

#[tokio::test]
async fn calls_in_flight_are_finished_and_no_more_are_taken() {
    let held = Held::new();
    let admin = Admin::with(held.client.clone(), Duration::from_secs(30)).await;
    let (address, identity) = (admin.address, admin.identity.clone());
    let slow = tokio::spawn(admin.get("/users"));
    held.arrived.notified().await;

    assert!(takes_requests(address, &identity).await);
    let stopped = admin.stop();
    let refuses = async {
        while takes_requests(address, &identity).await {
            tokio::task::yield_now().await;
        }
    };
    let refuses = tokio::time::timeout(Duration::from_secs(60), refuses).await;
    assert!(refuses.is_ok(), "it still takes connections");
    assert!(!slow.is_finished());
    held.go_on.notify_one();
    assert_eq!(slow.await.expect("a reply").status, StatusCode::OK);
    let stopped = stopped.await.expect("no panic").expect("no failure");
    assert_eq!(stopped, Stopped::Drained);
}

#[tokio::test]
async fn a_call_that_never_ends_does_not_hold_it_up_for_ever() {
    let held = Held::new();
    let admin = Admin::with(held.client.clone(), Duration::from_millis(50)).await;
    let slow = tokio::spawn(admin.get("/users"));
    held.arrived.notified().await;
    let stopped = admin.stop().await.expect("no panic").expect("no failure");
    assert_eq!(stopped, Stopped::Abandoned);
    slow.abort();
}

#[tokio::test]
async fn where_nothing_is_under_way_it_stops_at_once() {
    let fake = FakeIdpflare::new();
    let admin = Admin::of(&fake).await;
    assert_eq!(admin.get("/healthz").await.status, StatusCode::OK);
    let stopped = admin.stop().await.expect("no panic").expect("no failure");
    assert_eq!(stopped, Stopped::Drained);
}
