//! What a job looks at before it changes anything: whether the running key has the scopes.

use std::fmt;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{BoxError, Call};
use tower::Service;

use super::KeyRef;
use super::patience::patient;
use crate::one_line::one_line;
use crate::{ApiKey, ApiRequest, Client, Error, HttpService, ListApiKeys, Pager, Scope};

/// The protocol's largest page.
const PAGE: u64 = 100;

/// No organisation has so many keys; a server that goes on for longer has no end.
const MAX_PAGES: u32 = 1000;

/// Whether the key that a job runs with has the scopes that it needs.
///
/// The protocol has no way to ask who one is: the key is looked for among those that
/// [`ListApiKeys`] tells of, which takes `api-keys:read`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ScopeCheck {
    /// It has all of them.
    Sufficient,
    /// It lacks these. The job has changed nothing.
    Missing(Vec<Scope>),
    /// It could not be found out. A step that the key may not do fails with 403, and its error
    /// names the scope: [`Error::required_scope`].
    Unknown(KeyNotFound),
}

impl Default for ScopeCheck {
    /// Nobody has looked.
    fn default() -> Self {
        Self::Unknown(KeyNotFound::NotLookedFor)
    }
}

impl ScopeCheck {
    pub(super) fn of(has: &[Scope], needed: &[Scope]) -> Self {
        let missing: Vec<_> = needed
            .iter()
            .filter(|scope| !has.contains(scope))
            .cloned()
            .collect();
        if missing.is_empty() {
            Self::Sufficient
        } else {
            Self::Missing(missing)
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }

    /// What the first read of a job says, which comes before any change.
    pub(super) fn heed(&mut self, error: &Error) {
        if let Some(scope) = error.required_scope() {
            *self = Self::Missing(vec![scope.into()]);
        }
    }
}

impl fmt::Display for ScopeCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sufficient => f.write_str("sufficient"),
            Self::Missing(scopes) => {
                let scopes: Vec<_> = scopes.iter().map(Scope::as_str).collect();
                write!(f, "MISSING: {}", scopes.join(", "))
            }
            Self::Unknown(reason) => write!(f, "not checked: {reason}"),
        }
    }
}

/// Why an API key was not found.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyNotFound {
    /// The job ended before it looked for it.
    NotLookedFor,
    /// The job was not told which one it is.
    NotNamed,
    /// The API keys could not be listed.
    NotListed(Error),
    /// No active key is meant.
    NoMatch,
    /// So many active keys may be meant.
    Ambiguous(usize),
}

impl fmt::Display for KeyNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLookedFor => f.write_str("the job ended before"),
            Self::NotNamed => f.write_str("the job was not told which key it runs with"),
            Self::NotListed(error) => f.write_str(&one_line(&error.to_string())),
            Self::NoMatch => f.write_str("no active API key is the one that was named"),
            Self::Ambiguous(count) => write!(f, "{count} active API keys begin like that"),
        }
    }
}

impl std::error::Error for KeyNotFound {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotListed(error) => std::error::Error::source(error),
            _ => None,
        }
    }
}

/// Whether the running key has the scopes that are needed.
pub(super) async fn check_scopes<S, B>(
    client: &Client<S>,
    running_key: Option<&KeyRef>,
    needed: &[Scope],
) -> ScopeCheck
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    let Some(running_key) = running_key else {
        return ScopeCheck::Unknown(KeyNotFound::NotNamed);
    };
    let keys = active_keys(client).await;
    match keys.and_then(|keys| find(&keys, running_key).cloned()) {
        Ok(key) => ScopeCheck::of(&key.scopes, needed),
        Err(reason) => ScopeCheck::Unknown(reason),
    }
}

/// The one of `keys` that is meant.
pub(super) fn find<'a>(keys: &'a [ApiKey], meant: &KeyRef) -> Result<&'a ApiKey, KeyNotFound> {
    let mut found = keys.iter().filter(|key| meant.matches(key));
    match (found.next(), found.count()) {
        (None, _) => Err(KeyNotFound::NoMatch),
        (Some(key), 0) => Ok(key),
        (Some(_), more) => Err(KeyNotFound::Ambiguous(1 + more)),
    }
}

/// All keys that can be used. A list without an end is an error.
pub(super) async fn active_keys<S: HttpService>(
    client: &Client<S>,
) -> Result<Vec<ApiKey>, KeyNotFound> {
    let active = ListApiKeys::new().active_only(true).limit(PAGE);
    let mut pager = Pager::new(client, patient(active));
    let mut keys = Vec::new();
    for _ in 0..MAX_PAGES {
        let Some(page) = pager.next_page().await.map_err(KeyNotFound::NotListed)? else {
            return Ok(keys);
        };
        keys.extend(page.rows.into_iter().filter(|key| key.is_active));
    }
    let message = format!("the list of API keys has more than {MAX_PAGES} pages");
    let error = Error::no_progress(ListApiKeys::OPERATION, &Call::new(), message);
    Err(KeyNotFound::NotListed(error))
}

/// Whether the server refused because of a scope.
pub(super) fn is_forbidden(error: &Error) -> bool {
    error.status() == Some(StatusCode::FORBIDDEN)
}
