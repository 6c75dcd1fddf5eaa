//! Below the operations: routes, headers, the request log and the server.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use serde_json::json;

use crate::raw;

#[tokio::test]
async fn other_paths_and_methods_are_answered_in_the_protocols_shape() {
    let fake = FakeIdpflare::new();
    let (status, _, body) = raw(&fake, "GET", "/api/v1/nowhere", "").await;
    assert_eq!(
        (status.as_u16(), &body["error"]),
        (404, &json!("Not found"))
    );
    let (status, headers, body) = raw(&fake, "PUT", "/api/v1/users", "").await;
    assert_eq!(
        (status.as_u16(), &body["error"]),
        (405, &json!("Method not allowed"))
    );
    assert_eq!(headers["allow"], "GET,HEAD,POST");
    let large = vec![b' '; 1024 * 1024 + 1];
    let (status, _, body) = raw(&fake, "POST", "/api/v1/users", large).await;
    assert_eq!(
        (status.as_u16(), &body["error"]),
        (413, &json!("Body too large"))
    );
}

#[test]
fn fakes_and_services_can_be_shared() {
    fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}

    let fake = FakeIdpflare::default();
    shared(&fake);
    shared(&fake.service());
}

#[tokio::test]
async fn answers_have_ids_of_their_own() {
    let fake = FakeIdpflare::new();
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let (_, headers, _) = raw(&fake, "GET", "/api/v1/stats/users", "").await;
        let id = headers["cf-ray"].to_str().unwrap().to_owned();
        assert!(id.len() == 20 && id.ends_with("-LHR"), "{id}");
        assert!(seen.insert(id));
    }
}

/// In process there is no HTTP server below it that would do so.
#[tokio::test]
async fn answers_tell_the_time_by_the_clock_of_the_data() {
    let fake = FakeIdpflare::new();
    let created_at = async |email: &str| {
        let user = fake.client().send(CreateUser::new(email)).await.unwrap();
        user.created_at.as_second()
    };
    for (path, address) in [("/api/v1/stats/users", "ada"), ("/api/v1/nowhere", "alan")] {
        let before = created_at(&format!("{address}@example.com")).await;
        let (_, headers, _) = raw(&fake, "GET", path, "").await;
        let after = created_at(&format!("{address}@example.org")).await;
        let date = layers::reply_date(&headers).expect("a date");
        let date = Timestamp::try_from(date).unwrap().as_second();
        assert!((before..=after).contains(&date), "{before} {date} {after}");
    }
}

#[tokio::test]
async fn requests_are_observed_without_secrets() {
    let fake = FakeIdpflare::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    fake.on_request({
        let seen = Arc::clone(&seen);
        move |entry| seen.lock().unwrap().push(entry.clone())
    });
    let key = fake.api_key();
    raw(&fake, "GET", "/api/v1/users?search=ada", "").await;
    raw(&fake, "GET", "/nowhere", "").await;
    let stranger = Client::builder("https://idp.example.com")
        .api_key("idk_stranger")
        .build_with(fake.service())
        .unwrap();
    stranger.send(GetUserStats::new()).await.unwrap_err();

    let seen = seen.lock().unwrap();
    let lines: Vec<_> = seen
        .iter()
        .map(|entry| {
            let operation = entry.operation.map(|operation| operation.id);
            let has_key = entry
                .key_prefix
                .as_ref()
                .is_some_and(|own| key.starts_with(own));
            (
                &*entry.path,
                operation,
                entry.status.map_or(0, |status| status.as_u16()),
                has_key,
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("/api/v1/users", Some("listUsers"), 200, true),
            ("/nowhere", None, 404, true),
            ("/api/v1/stats/users", Some("getUserStats"), 401, false),
        ]
    );
    let printed = format!("{seen:?} {} {fake:?} {:?}", seen[2], fake.service());
    assert!(!printed.contains(&key) && !printed.contains("stranger") && !printed.contains("ada"));
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn a_server_performs_over_http_until_it_is_shut_down() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use idpflare_management::layers::RetryPolicy;

    let fake = FakeIdpflare::new();
    let server = fake.serve().await.unwrap();
    let authority = server.authority();
    assert_eq!(authority, format!("http://127.0.0.1:{}", server.port()));
    let client = |authority: &str| {
        Client::builder(authority)
            .api_key(fake.api_key())
            .retry(RetryPolicy::new().attempts(1))
            .build()
            .unwrap()
    };
    let used = client(&authority);
    let ada = used.send(CreateUser::new("ada@example.com")).await.unwrap();
    assert_eq!(
        fake.client().send(GetUser::new(&ada.id)).await.unwrap(),
        ada
    );
    let reply = used.execute(DeleteUser::new(&ada.id)).await.unwrap();
    assert_eq!(reply.status(), http::StatusCode::NO_CONTENT);

    let taken = fake.serve_on(server.port()).await;
    assert!(taken.is_err(), "the port is taken");

    // Once it has stopped, another process may have the port: all that is certain is that the fake is
    // not asked any more.
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    fake.on_request(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let is_asked_by = async |client: Client| {
        let before = requests.load(Ordering::SeqCst);
        let asks = client.send(GetUserStats::new());
        let _ = tokio::time::timeout(Duration::from_secs(30), asks).await;
        requests.load(Ordering::SeqCst) > before
    };
    assert!(is_asked_by(client(&authority)).await);
    server.shutdown().await;
    assert!(!is_asked_by(client(&authority)).await);

    // So may it when a port is chosen that was free a moment ago.
    let mut chosen = None;
    for _ in 0..20 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        if let Ok(server) = fake.serve_on(port).await {
            assert_eq!(server.port(), port);
            chosen = Some(server);
            break;
        }
    }
    let server = chosen.expect("one of them is free");
    let authority = server.authority();
    assert!(is_asked_by(client(&authority)).await);
    drop(server);
    // It stops in the background.
    let has_stopped = async { while is_asked_by(client(&authority)).await {} };
    let minute = Duration::from_secs(60);
    tokio::time::timeout(minute, has_stopped)
        .await
        .expect("it stops");
}

#[tokio::test]
async fn shutting_down_finishes_the_request_that_is_under_way() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    let fake = FakeIdpflare::new();
    let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
    fake.on_request(move |_| started.send(()).unwrap());
    let server = fake.serve().await.unwrap();
    let mut connection = TcpStream::connect(("127.0.0.1", server.port()))
        .await
        .unwrap();
    let key = fake.api_key();
    let head = format!(
        "POST /api/v1/users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 27\r\n\r\n"
    );
    // A whole request first, so that the next is certainly on a connection that the server has.
    let warm_up = format!("GET / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n{head}");
    connection.write_all(warm_up.as_bytes()).await.unwrap();
    has_started.recv().await.unwrap();
    let shutdown = tokio::spawn(server.shutdown());
    tokio::task::yield_now().await;
    assert!(!shutdown.is_finished());
    connection
        .write_all(br#"{"email":"ada@example.com"}"#)
        .await
        .unwrap();
    let mut replies = String::new();
    connection.read_to_string(&mut replies).await.unwrap();
    assert!(replies.contains("HTTP/1.1 201 Created"), "{replies}");
    shutdown.await.unwrap();
}
