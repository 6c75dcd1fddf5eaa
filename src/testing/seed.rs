//! Users for a demonstration.

mod samples;

use samples::{BROWSERS, DOMAINS, PEOPLE, PLACES};

use super::dice::Dice;
use super::handlers::new_client;
use super::state::{Account, Store, Subject, later};
use crate::{
    AuditLogEntry, AuditStatus, CreateClient, GrantType, IdentityProvider, MfaEnrollment,
    MfaMethod, OAuthClientId, RefreshToken, SocialIdentity, Timestamp, User, UserSession,
};

const MINUTE: i64 = 60 * 1000;
const DAY: i64 = 24 * 60 * MINUTE;
/// How far back the oldest user goes.
const SPAN: i64 = 730 * DAY;
/// How far back sessions and tokens go, which live for 30 days.
const RECENT: i64 = 45 * DAY;
const LIFETIME: i64 = 30 * DAY;

/// Adds `n` users, the oldest first, and OAuth clients where there are none.
pub(super) fn fill(store: &mut Store, n: usize) {
    if store.clients.is_empty() {
        add_clients(store);
    }
    let clients: Vec<_> = store
        .clients
        .newest_first()
        .map(|client| client.id.clone())
        .collect();
    let now = store.now();
    let n = i64::try_from(n).unwrap_or(i64::MAX);
    let slot = SPAN / n.max(1);
    for index in 0..n {
        let serial = store.seeded;
        store.seeded += 1;
        let mut dice = Dice::new(serial);
        let start = later(now, slot * (index - n));
        let person = Person {
            serial,
            created_at: dice.moment(start, later(start, slot)),
            dice,
            now,
        };
        person.add(store, &clients);
    }
}

fn add_clients(store: &mut Store) {
    for new in [
        CreateClient::new("Storefront", ["https://shop.example.com/callback"])
            .description("The web shop")
            .is_first_party(true)
            .allowed_origins(["https://shop.example.com"])
            .post_logout_redirect_uris(["https://shop.example.com/"]),
        CreateClient::new("Storefront app", ["com.example.shop:/callback"])
            .is_first_party(true)
            .is_confidential(false),
        CreateClient::new("Help desk", ["https://help.example.org/oidc/callback"])
            .access_token_ttl(600),
        CreateClient::new("Nightly reports", [""; 0])
            .allowed_grant_types([GrantType::ClientCredentials])
            .allowed_scopes(["reports"]),
    ] {
        let mut client = new_client(store, new);
        client.created_at = later(client.created_at, -SPAN);
        client.updated_at = client.created_at;
        store
            .clients
            .insert(&client.id, client.created_at, client.clone());
    }
}

/// Where somebody signs in from.
struct Origin {
    ip_address: Option<String>,
    country: Option<String>,
    city: Option<String>,
    user_agent: Option<String>,
}

impl Origin {
    fn roll(dice: &mut Dice) -> Self {
        let (network, country, city) = *dice.pick(&PLACES);
        Self {
            ip_address: Some(format!("{network}.{}", 1 + dice.below(254))),
            country: Some(country.into()),
            city: Some(city.into()),
            user_agent: Some((*dice.pick(&BROWSERS)).into()),
        }
    }
}

/// Somebody who is being made up.
struct Person {
    serial: u64,
    dice: Dice,
    created_at: Timestamp,
    now: Timestamp,
}

impl Person {
    /// Whether it is one of every `period` people. By turns instead of by chance, so that even a
    /// few people are of many sorts.
    fn is_every(&self, period: u64, offset: u64) -> bool {
        self.serial % period == offset
    }

    fn add(mut self, store: &mut Store, clients: &[OAuthClientId]) {
        let mut account = Account::new(self.user(store));
        self.add_sessions(store, &mut account, clients);
        self.add_failures(store, &account.user);
        if account.user.mfa_enabled {
            self.add_mfa(store, &mut account);
        }
        if self.is_every(2, 0) {
            self.add_identity(store, &mut account);
        }
        log(store, &account.user, "user_created", self.created_at);
        store.insert_account(account);
    }

    fn user(&mut self, store: &mut Store) -> User {
        let (given_name, _, locale) = *self.dice.pick(&PEOPLE);
        let (_, family_name, _) = *self.dice.pick(&PEOPLE);
        let is_locked = self.is_every(17, 11);
        let verified_at = later(self.created_at, 5 * MINUTE).min(self.now);
        let is_verified = !self.is_every(7, 4);
        let mut roles = vec![String::from("user")];
        if self.is_every(25, 7) {
            roles.push("admin".into());
        }
        if self.is_every(12, 3) {
            roles.push("support".into());
        }
        let metadata = self.is_every(4, 1).then(|| {
            let plan = *self.dice.pick(&["free", "pro", "team"]);
            let seats = 1 + self.dice.below(20);
            [("plan".into(), plan.into()), ("seats".into(), seats.into())]
                .into_iter()
                .collect()
        });
        User {
            id: store.id("usr"),
            email: self.free_address(store, given_name, family_name),
            email_verified: is_verified,
            given_name: Some(given_name.into()),
            family_name: Some(family_name.into()),
            picture_url: self
                .is_every(5, 2)
                .then(|| format!("https://img.example.com/people/{}.png", self.serial)),
            locale: locale.into(),
            roles,
            mfa_enabled: self.is_every(3, 1),
            is_active: !self.is_every(13, 12),
            is_locked,
            failed_login_attempts: if is_locked { 5 } else { 0 },
            locked_until: is_locked.then(|| later(self.now, 60 * MINUTE)),
            metadata,
            created_at: self.created_at,
            updated_at: self.created_at,
            last_login_at: None,
            email_verified_at: is_verified.then_some(verified_at),
        }
    }

    fn free_address(&mut self, store: &Store, given_name: &str, family_name: &str) -> String {
        let domain = self.dice.pick(&DOMAINS);
        let name = format!("{given_name}.{family_name}")
            .to_lowercase()
            .replace(' ', "");
        let mut address = format!("{name}@{domain}");
        let mut number = self.serial;
        while store.has_address(&address) {
            number += 1;
            address = format!("{name}{number}@{domain}");
        }
        address
    }

    /// Times of signing in, oldest first: one to three.
    fn logins(&mut self) -> Vec<Timestamp> {
        let from = later(self.now, -RECENT).max(self.created_at);
        let mut logins: Vec<_> = (0..=self.dice.below(3))
            .map(|_| self.dice.moment(from, self.now))
            .collect();
        logins.sort_unstable();
        logins
    }

    fn add_sessions(
        &mut self,
        store: &mut Store,
        account: &mut Account,
        clients: &[OAuthClientId],
    ) {
        let can_sign_in = account.user.is_active && !account.user.is_locked;
        for at in self.logins() {
            let origin = Origin::roll(&mut self.dice);
            let expires_at = later(at, LIFETIME);
            account.sessions.push(UserSession {
                id: store.id("ses"),
                user_id: account.user.id.clone(),
                ip_address: origin.ip_address.clone(),
                user_agent: origin.user_agent.clone(),
                country: origin.country.clone(),
                city: origin.city.clone(),
                is_active: can_sign_in && self.now < expires_at,
                expires_at,
                created_at: at,
                last_activity_at: self.dice.moment(at, expires_at.min(self.now)),
            });
            account.user.last_login_at = Some(at);
            account.user.updated_at = account.user.updated_at.max(at);
            let client_id = self.dice.pick(clients).clone();
            account.tokens.push(RefreshToken {
                id: store.id("rt"),
                client_id: client_id.clone(),
                scope: String::from("openid profile offline_access"),
                is_revoked: !can_sign_in,
                expires_at,
                ip_address: origin.ip_address.clone(),
                user_agent: origin.user_agent.clone(),
                created_at: at,
            });
            let entry = AuditLogEntry {
                client_id: Some(client_id),
                ..store.entry("login_success", &Subject::User(&account.user.id), at)
            };
            log_from(store, entry, origin);
        }
    }

    fn add_failures(&mut self, store: &mut Store, user: &User) {
        let failures = match user.failed_login_attempts {
            0 => self.dice.below(3),
            failures => failures,
        };
        for _ in 0..failures {
            let at = self.dice.moment(self.created_at, self.now);
            let entry = AuditLogEntry {
                status: AuditStatus::Failure,
                ..store.entry("login_failure", &Subject::User(&user.id), at)
            };
            log_from(store, entry, Origin::roll(&mut self.dice));
        }
    }

    fn add_mfa(&mut self, store: &mut Store, account: &mut Account) {
        let created_at = self.dice.moment(self.created_at, self.now);
        let first = self.dice.pick(&[MfaMethod::Totp, MfaMethod::Email]).clone();
        for (method, is_primary) in [(MfaMethod::BackupCodes, false), (first, true)] {
            account.mfa.push(MfaEnrollment {
                method,
                is_enabled: true,
                is_primary,
                created_at,
                last_used_at: account
                    .user
                    .last_login_at
                    .filter(|at| is_primary && created_at <= *at),
            });
        }
        log(store, &account.user, "mfa_enrolled", created_at);
    }

    fn add_identity(&mut self, store: &mut Store, account: &mut Account) {
        let created_at = self.dice.moment(self.created_at, self.now);
        account.identities.push(SocialIdentity {
            id: store.id("idn"),
            provider: self.dice.pick(IdentityProvider::KNOWN).clone(),
            provider_user_id: (100_000 + self.dice.below(900_000)).to_string(),
            provider_email: Some(account.user.email.clone()),
            created_at,
            updated_at: created_at,
        });
        log(store, &account.user, "identity_linked", created_at);
    }
}

fn log(store: &mut Store, user: &User, event_type: &str, at: Timestamp) {
    let entry = store.entry(event_type, &Subject::User(&user.id), at);
    store.audit.insert(at, entry);
}

fn log_from(store: &mut Store, entry: AuditLogEntry, origin: Origin) {
    let entry = AuditLogEntry {
        ip_address: origin.ip_address,
        user_agent: origin.user_agent,
        country: origin.country,
        city: origin.city,
        ..entry
    };
    store.audit.insert(entry.created_at, entry);
}
