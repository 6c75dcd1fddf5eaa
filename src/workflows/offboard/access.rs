//! What nobody can revoke: access tokens that are already issued.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

use super::Job;
use crate::one_line::one_line;
use crate::workflows::patience::patient;
use crate::workflows::preflight::is_forbidden;
use crate::{Error, GetClient, OAuthClientId, RefreshToken, Timestamp};

/// How many applications are looked up; of more the name and the lifetime are not known.
const MAX_LOOK_UPS: usize = 100;

/// Where access tokens of the user may still be alive. The protocol neither lists nor revokes them:
/// what is known are the applications that had refresh tokens, and how long their access tokens
/// live. An application that asked for no refresh token is not among them.
#[derive(Debug)]
#[non_exhaustive]
pub enum AccessTokens {
    /// Nobody has looked.
    NotLookedUp,
    /// Those of these applications; of none where the user had no refresh tokens.
    Of(Vec<ClientAccess>),
    /// The refresh tokens could not be listed.
    Unknown(Error),
}

/// An application whose access tokens may still be alive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientAccess {
    /// Which application.
    pub client_id: OAuthClientId,
    /// Its name, where the key may read it. The first 100 applications are looked up.
    pub name: Option<String>,
    /// How long its access tokens live, in seconds; `None` like the name.
    pub access_token_ttl: Option<u64>,
    /// When the last of them ends, by the server's clock; `None` where that is not known, such as
    /// where the server's replies have no `Date`, or where new ones can still be had because the
    /// refresh tokens are not revoked.
    pub ends_at: Option<Timestamp>,
}

impl fmt::Display for ClientAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", one_line(self.client_id.as_str()))?;
        if let Some(name) = &self.name {
            write!(f, " ({})", one_line(name))?;
        }
        match (self.ends_at, self.access_token_ttl) {
            (Some(at), _) => write!(f, " until {at:.0}"),
            (None, Some(seconds)) => write!(f, " for {seconds} s after the last is issued"),
            (None, None) => f.write_str(", nobody knows for how long"),
        }
    }
}

impl<S, B> Job<'_, S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// What `tokens`, as they were before, say of access tokens. `is_over` is whether no more can be
    /// had with them, as the server said at the time `now`.
    pub(super) async fn access_tokens(
        &self,
        tokens: Result<Vec<RefreshToken>, Error>,
        is_over: bool,
        now: Option<Timestamp>,
    ) -> AccessTokens {
        // Revoked ones count as well: when that was is not told.
        let tokens = match tokens {
            Ok(tokens) => tokens,
            Err(error) => return AccessTokens::Unknown(error),
        };
        // Up to a second later than it says, since it has whole ones.
        let latest = now.and_then(|now| seconds_after(now, 1));
        let mut last_issued: HashMap<_, Option<Timestamp>> = HashMap::new();
        let mut clients = Vec::new();
        for token in &tokens {
            let issued = latest.map(|latest| token.expires_at.min(latest));
            match last_issued.entry(&token.client_id) {
                Entry::Occupied(mut last) => *last.get_mut() = (*last.get()).max(issued),
                Entry::Vacant(first) => {
                    first.insert(issued);
                    clients.push(&token.client_id);
                }
            }
        }
        let mut all = Vec::new();
        let mut to_ask = MAX_LOOK_UPS;
        for client_id in clients {
            let mut access = ClientAccess {
                client_id: client_id.clone(),
                name: None,
                access_token_ttl: None,
                ends_at: None,
            };
            if to_ask > 0 {
                to_ask -= 1;
                match self.client.send(patient(GetClient::new(client_id))).await {
                    Ok(client) => {
                        access.name = Some(client.name);
                        access.access_token_ttl = Some(client.access_token_ttl);
                    }
                    Err(error) if is_forbidden(&error) => to_ask = 0,
                    Err(_) => {}
                }
            }
            let last_issued = last_issued.get(client_id).copied().flatten();
            let end = last_issued
                .zip(access.access_token_ttl)
                .and_then(|(issued, ttl)| seconds_after(issued, ttl));
            if end.zip(now).is_some_and(|(end, now)| end <= now) {
                continue;
            }
            access.ends_at = end.filter(|_| is_over);
            all.push(access);
        }
        AccessTokens::Of(all)
    }
}

fn seconds_after(at: Timestamp, seconds: u64) -> Option<Timestamp> {
    let milliseconds = i64::try_from(seconds).ok()?.checked_mul(1000)?;
    Timestamp::from_millisecond(at.as_millisecond().checked_add(milliseconds)?).ok()
}
