//! What the fake knows.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::respond::Reply;
use super::secret::{mix, secret};
use super::table::{Table, Timeline};
use crate::{
    ApiKey, ApiKeyId, AuditLogEntry, AuditStatus, MfaEnrollment, OAuthClient, OAuthClientId,
    RefreshToken, Scope, SocialIdentity, Timestamp, User, UserId, UserSession,
};

/// How much of an API key is told: enough to recognise it, not to guess it.
const KEY_PREFIX_LENGTH: usize = "idk_".len() + 8;

/// A user with all that belongs to it. Lists are in the order of creation.
pub(super) struct Account {
    pub(super) user: User,
    pub(super) sessions: Vec<UserSession>,
    pub(super) mfa: Vec<MfaEnrollment>,
    pub(super) identities: Vec<SocialIdentity>,
    pub(super) tokens: Vec<RefreshToken>,
}

impl Account {
    pub(super) fn new(user: User) -> Self {
        Self {
            user,
            sessions: Vec::new(),
            mfa: Vec::new(),
            identities: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// Ends all sessions, and says how many there were to end.
    pub(super) fn end_sessions(&mut self) -> u64 {
        let mut ended = 0;
        for session in &mut self.sessions {
            ended += u64::from(std::mem::replace(&mut session.is_active, false));
        }
        ended
    }
}

/// What an entry of the audit log is about.
pub(super) enum Subject<'a> {
    User(&'a UserId),
    Client(&'a OAuthClientId),
    ApiKey,
}

/// No `Debug`: it holds API keys.
pub(super) struct Store {
    pub(super) accounts: Table<Account>,
    pub(super) keys: Table<ApiKey>,
    pub(super) clients: Table<OAuthClient>,
    pub(super) audit: Timeline<AuditLogEntry>,
    /// How many users have been seeded.
    pub(super) seeded: u64,
    /// The addresses of all users in lower case.
    addresses: HashSet<String>,
    ids_by_raw_key: HashMap<String, ApiKeyId>,
    ids: u64,
    clock: Timestamp,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            accounts: Table::new(),
            keys: Table::new(),
            clients: Table::new(),
            audit: Timeline::new(),
            seeded: 0,
            addresses: HashSet::new(),
            ids_by_raw_key: HashMap::new(),
            ids: 0,
            clock: Timestamp::UNIX_EPOCH,
        }
    }

    /// The time in milliseconds, as the protocol has it. It never goes back, even where the
    /// system's clock does.
    pub(super) fn now(&mut self) -> Timestamp {
        let now = later(Timestamp::UNIX_EPOCH, Timestamp::now().as_millisecond());
        self.clock = self.clock.max(now);
        self.clock
    }

    /// A new identifier. They are the same in each fake that is treated alike.
    pub(super) fn id<I: From<String>>(&mut self, prefix: &str) -> I {
        self.ids += 1;
        format!("{prefix}_{:016x}", mix(self.ids)).into()
    }

    pub(super) fn account(&self, id: &str) -> Result<&Account, Reply> {
        self.accounts
            .get(id)
            .ok_or_else(|| Reply::not_found("User"))
    }

    pub(super) fn account_mut(&mut self, id: &str) -> Result<&mut Account, Reply> {
        self.accounts
            .get_mut(id)
            .ok_or_else(|| Reply::not_found("User"))
    }

    /// The account that is about to be changed.
    pub(super) fn touch_account(&mut self, id: &str) -> Result<&mut Account, Reply> {
        let now = self.now();
        let account = self.account_mut(id)?;
        account.user.updated_at = touched(account.user.updated_at, now);
        Ok(account)
    }

    pub(super) fn client(&self, id: &str) -> Result<&OAuthClient, Reply> {
        self.clients
            .get(id)
            .ok_or_else(|| Reply::not_found("Client"))
    }

    /// The client that is about to be changed.
    pub(super) fn touch_client(&mut self, id: &str) -> Result<&mut OAuthClient, Reply> {
        let now = self.now();
        let client = self
            .clients
            .get_mut(id)
            .ok_or_else(|| Reply::not_found("Client"))?;
        client.updated_at = touched(client.updated_at, now);
        Ok(client)
    }

    pub(super) fn insert_account(&mut self, account: Account) {
        let user = &account.user;
        self.take_address(&user.email);
        let (id, created_at) = (user.id.clone(), user.created_at);
        self.accounts.insert(&id, created_at, account);
    }

    pub(super) fn remove_account(&mut self, id: &str) -> Option<Account> {
        let account = self.accounts.remove(id)?;
        self.free_address(&account.user.email);
        Some(account)
    }

    pub(super) fn has_address(&self, address: &str) -> bool {
        self.addresses.contains(&address.to_lowercase())
    }

    pub(super) fn take_address(&mut self, address: &str) {
        self.addresses.insert(address.to_lowercase());
    }

    pub(super) fn free_address(&mut self, address: &str) {
        self.addresses.remove(&address.to_lowercase());
    }

    /// A new API key, and the key itself.
    pub(super) fn insert_key(
        &mut self,
        name: impl Into<String>,
        scopes: Vec<Scope>,
        created_by: UserId,
    ) -> (ApiKey, String) {
        let raw_key = secret("idk_");
        let key = ApiKey {
            id: self.id("key"),
            name: name.into(),
            key_prefix: raw_key.chars().take(KEY_PREFIX_LENGTH).collect(),
            scopes,
            created_by,
            is_active: true,
            last_used_at: None,
            expires_at: None,
            created_at: self.now(),
        };
        self.ids_by_raw_key.insert(raw_key.clone(), key.id.clone());
        self.keys.insert(&key.id, key.created_at, key.clone());
        (key, raw_key)
    }

    /// The API key that `raw_key` is, where it can be used; that it was used is noted.
    pub(super) fn use_key(&mut self, raw_key: &str) -> Option<ApiKey> {
        let now = self.now();
        let id = self.ids_by_raw_key.get(raw_key)?;
        let key = self
            .keys
            .get_mut(id.as_str())
            .filter(|key| key.is_active && key.expires_at.is_none_or(|end| now < end))?;
        key.last_used_at = Some(now);
        Some(key.clone())
    }

    /// An entry for the audit log, not written yet, that says nothing beyond this.
    pub(super) fn entry(
        &mut self,
        event_type: &str,
        subject: &Subject<'_>,
        created_at: Timestamp,
    ) -> AuditLogEntry {
        let (user_id, client_id) = match *subject {
            Subject::User(id) => (Some(id.clone()), None),
            Subject::Client(id) => (None, Some(id.clone())),
            Subject::ApiKey => (None, None),
        };
        AuditLogEntry {
            id: self.id("log"),
            user_id,
            client_id,
            event_type: event_type.to_owned(),
            status: AuditStatus::Success,
            ip_address: None,
            user_agent: None,
            country: None,
            city: None,
            details: None,
            created_at,
        }
    }

    /// Writes that a change was made; `details` is an object, or `null` where there are none.
    pub(super) fn log(&mut self, event_type: &str, subject: &Subject<'_>, details: Value) {
        let now = self.now();
        let details = match details {
            Value::Object(details) => Some(details),
            _ => None,
        };
        let entry = AuditLogEntry {
            details,
            ..self.entry(event_type, subject, now)
        };
        self.audit.insert(now, entry);
    }
}

/// `at`, and so many milliseconds.
pub(super) fn later(at: Timestamp, milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond().saturating_add(milliseconds)).unwrap_or(at)
}

/// When something is updated that last was at `before`: a change shows even within a millisecond.
fn touched(before: Timestamp, now: Timestamp) -> Timestamp {
    now.max(later(before, 1))
}
