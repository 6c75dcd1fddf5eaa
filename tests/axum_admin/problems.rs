use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript, RetryAfter};
use serde_json::Value;
use tracing_subscriber::util::SubscriberInitExt;

use crate::admin::{Admin, Reply, settings};

/// Checks what all problems have, and returns the members.
fn problem(reply: &Reply, slug: &str, instance: &str) -> Value {
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let members = reply.json();
    assert_eq!(
        members["type"],
        format!("https://example.com/problems/{slug}")
    );
    assert_eq!(members["status"], reply.status.as_u16());
    assert_eq!(members["instance"], instance);
    for text in ["title", "detail"] {
        assert!(
            members[text].as_str().is_some_and(|text| !text.is_empty()),
            "{text}"
        );
    }
    members
}

/// What `/users/usr_1` comes to when that happens to the call.
async fn outcome_of(fault: Fault) -> Reply {
    let fake = FakeIdpflare::new();
    fake.set_faults(FaultScript::new().rule(FaultRule::new(fault)));
    Admin::of(&fake).await.get("/users/usr_1").await
}

/// A 429 whose wait fits no number.
fn endless_wait() -> Fault {
    let reply = Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header("retry-after", "99999999999999999999999")
        .header("cf-ray", "0-LHR")
        .body("");
    Fault::reply(reply.expect("a reply"))
}

#[tokio::test]
async fn answers_of_the_server_become_problems() {
    const FAILED: &str = "identity-provider-failed";
    let too_many = Fault::too_many_requests;
    for (fault, status, slug, retry_after) in [
        (Fault::status(StatusCode::NOT_FOUND), 404, "not-found", None),
        (Fault::status(StatusCode::CONFLICT), 409, "conflict", None),
        (Fault::status(StatusCode::UNAUTHORIZED), 502, FAILED, None),
        (Fault::status(StatusCode::FORBIDDEN), 502, FAILED, None),
        (too_many(RetryAfter::Seconds(7)), 503, "busy", Some("7")),
        (too_many(RetryAfter::Absent), 503, "busy", Some("1")),
        (
            too_many(RetryAfter::Seconds(u64::MAX)),
            503,
            "busy",
            Some("3600"),
        ),
        (endless_wait(), 503, "busy", Some("3600")),
        (Fault::status(StatusCode::BAD_REQUEST), 502, FAILED, None),
        (
            Fault::status(StatusCode::SERVICE_UNAVAILABLE),
            502,
            FAILED,
            None,
        ),
        (Fault::edge_page(StatusCode::BAD_GATEWAY), 502, FAILED, None),
    ] {
        let said = format!("{fault:?}");
        let reply = outcome_of(fault).await;
        assert_eq!(reply.status, status, "{said}");
        let members = problem(&reply, slug, "/users/usr_1");
        assert_eq!(members["operation"], "getUser");
        let request_id = members["request_id"].as_str();
        assert!(
            request_id.is_some_and(|id| id.ends_with("-LHR")),
            "{said}: {members}"
        );
        assert_eq!(reply.header("retry-after"), retry_after, "{said}");
    }
}

#[tokio::test]
async fn failures_without_an_answer_become_problems() {
    for fault in [Fault::reset_before_reply(), Fault::reply_lost()] {
        let reply = outcome_of(fault).await;
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
        let members = problem(&reply, "identity-provider-failed", "/users/usr_1");
        assert_eq!(members.get("request_id"), None);
    }

    let fake = FakeIdpflare::new();
    let hangs = Fault::delay(Duration::from_secs(600));
    fake.set_faults(FaultScript::new().rule(FaultRule::new(hangs)));
    let impatient = settings(&fake).deadline(Duration::from_millis(50));
    let client = impatient.build_with(fake.service()).expect("a client");
    let admin = Admin::with(client, Duration::from_secs(30)).await;
    let reply = admin.get("/users/usr_1").await;
    assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT);
    problem(&reply, "timeout", "/users/usr_1");
}

#[tokio::test]
async fn what_may_have_been_done_is_said() {
    let fake = FakeIdpflare::new();
    fake.set_faults(FaultScript::new().rule(FaultRule::new(Fault::reset_before_reply())));
    let reply = Admin::of(&fake).await.post("/users/usr_1/block").await;
    let detail = "blockUser did not succeed. It may have taken effect.";
    assert_eq!(reply.json()["detail"], detail);
}

#[tokio::test]
async fn callers_wait_as_long_as_the_clients_own_limit_asks_for() {
    let fake = FakeIdpflare::new();
    fake.set_quota(1, Duration::from_secs(60));
    let admin = Admin::of(&fake).await;
    assert_eq!(admin.get("/users").await.status, StatusCode::OK);
    let reply = admin.get("/users").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    problem(&reply, "busy", "/users");
    let wait = reply.header("retry-after").expect("a wait");
    let wait: u64 = wait.parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn input_is_checked_before_anything_is_sent() {
    let fake = FakeIdpflare::new();
    let sent = Arc::new(Mutex::new(0));
    fake.on_request({
        let sent = Arc::clone(&sent);
        move |_| *sent.lock().expect("no panic") += 1
    });
    let admin = Admin::of(&fake).await;
    for (method, path, body) in [
        ("GET", "/users/%2E%2E", None),
        ("GET", "/users/%252e", None),
        ("GET", "/users/usr_1%2Fmfa", None),
        ("GET", "/users/usr_1%252Fmfa", None),
        ("POST", "/users/..;x/block", None),
        ("GET", "/users/%FF", None),
        ("POST", "/users/%2E/block", None),
        ("POST", "/users/%2E%2E/offboard", None),
        ("GET", "/users?limit=0", None),
        ("GET", "/users?limit=101", None),
        ("GET", "/users?limit=many", None),
        ("GET", "/users?offset=-1", None),
        ("GET", "/users?serach=ada", None),
        ("POST", "/users/usr_1/block", Some("{")),
        ("POST", "/users/usr_1/block", Some(r#"{"raeson":"typo"}"#)),
    ] {
        let reply = admin.request(method, path, body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{method} {path}");
        let instance = path.split('?').next().expect("a path");
        problem(&reply, "invalid-request", instance);
    }
    assert_eq!(*sent.lock().expect("no panic"), 0);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let admin = Admin::of(&FakeIdpflare::new()).await;
    for path in ["/", "/users/", "/users/usr_1/block/now"] {
        let reply = admin.get(path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        problem(&reply, "not-found", path);
    }
    let reply = admin.get("/users/usr_1/block").await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    problem(&reply, "method-not-allowed", "/users/usr_1/block");
    assert_eq!(reply.header("allow"), Some("POST"));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_the_key_lacks_and_what_the_server_says_is_told_to_the_log_only() {
    let log = Log::default();
    let writer = log.clone();
    // Everything is on this thread, the service too.
    let listening = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .set_default();
    let refusal = Response::builder()
        .status(StatusCode::FORBIDDEN)
        .body(r#"{"error":"Ask the owner of key 7"}"#)
        .expect("a reply");
    let fake = FakeIdpflare::new();
    fake.set_faults(FaultScript::new().rule(FaultRule::new(Fault::reply(refusal))));
    let reply = Admin::of(&fake).await.get("/users/usr_1").await;
    drop(listening);

    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    for internal in ["users:read", "Ask the owner of key 7"] {
        assert!(!reply.text.contains(internal), "{}", reply.text);
        assert!(log.contains(internal), "{log}");
    }
    assert!(log.contains("the service's key lacks users:read"), "{log}");
    let key = fake.api_key();
    assert!(!log.contains(&key) && !reply.text.contains(&key));
}
