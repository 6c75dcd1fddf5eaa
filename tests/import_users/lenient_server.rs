//! A server that takes the same address twice, so that sending a user twice shows.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::DATE;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use idpflare_management::Client;
use idpflare_management::layers::BoxError;
use serde_json::{Value, json};
use tokio::task::yield_now;

#[derive(Clone, Default)]
pub(crate) struct LenientServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    users: Vec<Value>,
    /// How many replies to creates are lost from now on.
    to_lose: usize,
    /// How many creates are not carried out, which nobody can tell from a reply that is lost.
    to_drop: usize,
    /// Whom another creates while ours is dropped.
    meanwhile: Option<Value>,
    /// What time it is, in seconds since the Unix epoch.
    now: u64,
    tells_time: bool,
}

impl LenientServer {
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| server.clone().answer(request));
        let client = Client::from_service("https://idp.example.com", service);
        client.expect("a client").boxed()
    }

    pub(crate) fn lose_replies(&self, count: usize) {
        self.0.lock().expect("not poisoned").to_lose = count;
    }

    pub(crate) fn drop_requests(&self, count: usize) {
        self.0.lock().expect("not poisoned").to_drop = count;
    }

    /// Has another create this user when the next create is dropped.
    pub(crate) fn meanwhile(&self, user: &str) {
        let user = serde_json::from_str(user).expect("JSON");
        self.0.lock().expect("not poisoned").meanwhile = Some(user);
    }

    pub(crate) fn set_clock(&self, now: u64) {
        self.0.lock().expect("not poisoned").now = now;
    }

    /// Whether replies have a `Date`.
    pub(crate) fn tell_time(&self, tells: bool) {
        self.0.lock().expect("not poisoned").tells_time = tells;
    }

    pub(crate) fn add(&self, email: &str) {
        self.create(&json!({"email": email}));
    }

    /// The addresses, in alphabetical order.
    pub(crate) fn emails(&self) -> Vec<String> {
        let state = self.0.lock().expect("not poisoned");
        let emails = state.users.iter().map(|user| user["email"].as_str());
        let mut emails: Vec<_> = emails.flatten().map(str::to_owned).collect();
        emails.sort();
        emails
    }

    /// Others have a turn before and after it acts, so that whoever waits can be dropped there.
    async fn answer(
        self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, BoxError> {
        yield_now().await;
        let (head, body) = request.into_parts();
        let reply = match (head.method, head.uri.path()) {
            (Method::POST, "/api/v1/users") => {
                let body = body.collect().await.expect("a body").to_bytes();
                let body = serde_json::from_slice(&body).expect("JSON");
                if self.takes(|state| &mut state.to_drop) {
                    let other = self.0.lock().expect("not poisoned").meanwhile.take();
                    if let Some(other) = other {
                        self.create(&other);
                    }
                    return Err("the connection was reset".into());
                }
                let user = self.create(&body);
                if self.takes(|state| &mut state.to_lose) {
                    return Err("the connection was reset".into());
                }
                user
            }
            (Method::GET, "/api/v1/users") => self.list(head.uri.query().unwrap_or_default()),
            (method, path) => panic!("{method} {path} is not for an import"),
        };
        yield_now().await;
        let mut reply = Response::new(Full::from(reply.to_string()));
        let state = self.0.lock().expect("not poisoned");
        if state.tells_time {
            let now = UNIX_EPOCH + Duration::from_secs(state.now);
            let date = httpdate::fmt_http_date(now).parse().expect("a header");
            reply.headers_mut().insert(DATE, date);
        }
        Ok(reply)
    }

    fn takes(&self, counter: impl FnOnce(&mut State) -> &mut usize) -> bool {
        let mut state = self.0.lock().expect("not poisoned");
        let counter = counter(&mut state);
        let takes = *counter > 0;
        *counter = counter.saturating_sub(1);
        takes
    }

    fn create(&self, body: &Value) -> Value {
        let mut state = self.0.lock().expect("not poisoned");
        let mut user = json!({
            "id": format!("usr_{}", state.users.len()), "email_verified": false,
            "given_name": null, "family_name": null, "picture_url": null, "locale": "en",
            "roles": ["user"], "mfa_enabled": false, "is_active": true, "is_locked": false,
            "failed_login_attempts": 0, "metadata": null, "created_at": state.now * 1000, "updated_at": state.now * 1000,
        });
        for (name, value) in body.as_object().expect("an object") {
            if name != "password" {
                user[name] = value.clone();
            }
        }
        state.users.push(user.clone());
        user
    }

    fn list(&self, query: &str) -> Value {
        let value = |name| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let search = value("search").expect("it is sent").to_lowercase();
        let offset = value("offset").map_or(0, |offset| offset.parse().expect("a number"));
        let state = self.0.lock().expect("not poisoned");
        let found = state.users.iter().rev().filter(|user| {
            let email = user["email"].as_str().unwrap_or_default();
            email.to_lowercase().contains(&search)
        });
        let found: Vec<_> = found.collect();
        // Small pages, so that some searches take several.
        let page: Vec<_> = found.iter().skip(offset).take(2).collect();
        json!({"users": page, "total": found.len(), "limit": 2, "offset": offset})
    }
}
