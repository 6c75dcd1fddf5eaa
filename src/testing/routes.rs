//! From a request to an answer: one definition for the service and the server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use axum::routing::{MethodFilter, on};
use bytes::Bytes;
use http::header::{AUTHORIZATION, DATE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::connection::{ConnectionLost, ResetHandle};
use super::faults::{Fault, Playing};
use super::handlers;
use super::http_date::http_date;
use super::input::{Input, Query};
use super::quota::Quota;
use super::request_log::{Observers, RequestLogEntry, UntoldEntry};
use super::respond::{Outcome, Reply};
use super::secret::{mix, random};
use super::state::Store;
use crate::{ApiKey, OPERATIONS, Operation};

const API_BASE: &str = "/api/v1";
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What all clones of a fake share.
pub(super) struct Core {
    pub(super) observers: Observers,
    pub(super) quota: Mutex<Option<Quota>>,
    faults: Mutex<Option<Playing>>,
    store: Mutex<Store>,
    requests: AtomicU64,
}

impl Core {
    pub(super) fn new(store: Store) -> Self {
        Self {
            observers: Observers::default(),
            quota: Mutex::new(None),
            faults: Mutex::new(None),
            store: Mutex::new(store),
            requests: AtomicU64::new(random()),
        }
    }

    /// The state, locked: for one operation, never across an `await`.
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_faults(&self, faults: Option<Playing>) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// What goes wrong with the next request, which is of `operation`.
    fn next_fault(&self, operation: &Operation) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.as_mut()?.next(operation)
    }

    /// What identifies the next answer, in the form of a `cf-ray`.
    fn next_request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-LHR", mix(number))
    }

    /// The key that a request has, where it is valid.
    fn authenticate(&self, headers: &HeaderMap) -> Option<ApiKey> {
        let (scheme, raw_key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("Bearer")
            .then(|| self.store().use_key(raw_key))
            .flatten()
    }

    /// Counts a request against the quota of its key, where there is one.
    fn count(&self, key: &ApiKey) -> (HeaderMap, Result<(), Reply>) {
        let mut quota = self.quota.lock().unwrap_or_else(PoisonError::into_inner);
        match quota.as_mut() {
            Some(quota) => quota.count(&key.id),
            None => (HeaderMap::new(), Ok(())),
        }
    }

    /// Performs an operation for one who may.
    fn handle(&self, operation: &'static Operation, input: &Input) -> Outcome {
        handlers::perform(operation, &mut self.store(), input)
    }
}

/// What a method and a path lead to.
#[derive(Clone, Copy)]
enum Target {
    Operation(&'static Operation),
    UnknownPath,
    OtherMethod,
}

pub(super) fn router(core: &Arc<Core>) -> Router {
    let to = |target: Target| {
        let core = Arc::clone(core);
        move |request: Request<Body>| answer(core, target, request)
    };
    let mut router = Router::new();
    for operation in OPERATIONS {
        // Every method of the protocol has a filter.
        if let Ok(filter) = MethodFilter::try_from(operation.method.clone()) {
            let path = format!("{API_BASE}{}", operation.path_template);
            router = router.route(&path, on(filter, to(Target::Operation(operation))));
        }
    }
    router
        .fallback(to(Target::UnknownPath))
        .method_not_allowed_fallback(to(Target::OtherMethod))
}

async fn answer(core: Arc<Core>, target: Target, request: Request<Body>) -> Response<Body> {
    let operation = match target {
        Target::Operation(operation) => Some(operation),
        Target::UnknownPath | Target::OtherMethod => None,
    };
    let fault = operation.and_then(|operation| core.next_fault(operation));
    let connection = request.extensions().get::<ConnectInfo<ResetHandle>>();
    let connection = connection.map(|ConnectInfo(handle)| handle.clone());
    let key = core.authenticate(request.headers());
    let mut entry = UntoldEntry::new(
        &core.observers,
        RequestLogEntry {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            operation,
            status: None,
            performed: false,
            fault: fault.as_ref().map(Fault::kind),
            key_prefix: key.as_ref().map(|key| key.key_prefix.clone()),
            request_id: core.next_request_id(),
        },
    );
    let (before, after) = fault.as_ref().map(Fault::delays).unwrap_or_default();
    wait(before).await;
    let (headers, outcome) = if fault.as_ref().is_none_or(Fault::performs) {
        perform(&core, target, key, request).await
    } else {
        // What goes wrong does so when the request has arrived.
        let _ = read(request.into_body()).await;
        (HeaderMap::new(), Err(Reply::nothing()))
    };
    entry.performed = outcome.is_ok();
    let (Ok(reply) | Err(reply)) = outcome;
    let mut reply = reply.into_response(Some(&entry.request_id), headers);
    if let Some(date) = http_date(core.store().now(), 0) {
        reply.headers_mut().insert(DATE, date);
    }
    let reply = match fault {
        None => reply.map(Body::from),
        Some(fault) => fault.apply(reply, connection.clone()),
    };
    let lost = reply.extensions().get::<ConnectionLost>().is_some();
    entry.status = (!lost).then(|| reply.status());
    entry.tell();
    wait(after).await;
    if let Some(connection) = connection.filter(|_| lost) {
        connection.reset();
    }
    reply
}

async fn wait(duration: Duration) {
    // Without one no timer is needed, and none of the runtime's is asked for.
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

async fn perform(
    core: &Core,
    target: Target,
    key: Option<ApiKey>,
    request: Request<Body>,
) -> (HeaderMap, Outcome) {
    let (headers, counted) = match &key {
        Some(key) => core.count(key),
        None => (HeaderMap::new(), Ok(())),
    };
    let outcome = match counted {
        Ok(()) => respond(core, target, key, request).await,
        Err(too_many) => Err(too_many),
    };
    (headers, outcome)
}

async fn respond(
    core: &Core,
    target: Target,
    key: Option<ApiKey>,
    request: Request<Body>,
) -> Outcome {
    let key = key.ok_or_else(|| Reply::error(StatusCode::UNAUTHORIZED, "Invalid API key"))?;
    let operation = match target {
        Target::Operation(operation) => operation,
        Target::UnknownPath => return Err(Reply::error(StatusCode::NOT_FOUND, "Not found")),
        Target::OtherMethod => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Reply::error(status, "Method not allowed"));
        }
    };
    if let Some(needed) = operation.scope
        && !key.scopes.iter().any(|scope| scope.as_str() == needed)
    {
        return Err(Reply::error(StatusCode::FORBIDDEN, "Insufficient scope"));
    }
    let (mut head, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut head, &())
        .await
        .map_err(|_| Reply::invalid("path"))?;
    let input = Input {
        params: params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        query: Query::parse(head.uri.query().unwrap_or_default()),
        body: read(body).await?,
        acting: key.created_by,
    };
    core.handle(operation, &input)
}

async fn read(body: Body) -> Result<Bytes, Reply> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Reply::error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Body too large",
        )),
        Err(_) => Err(Reply::invalid("body")),
    }
}
