//! The connection, and how a script is run over it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError, Script, ServerErrorKind,
};
use tokio::runtime::Handle;

use super::{failure, script};
use crate::{InvalidQuota, QuotaError, QuotaFailure};

/// After so many questions in a row without an answer another connection is made: the other end may be
/// gone without a word, or the runtime that drives this one may stand still.
const MOST_UNANSWERED: u32 = 3;

pub(super) struct Connection {
    client: Client,
    current: Mutex<Current>,
    script: Script,
    /// Whether the server has had the script once.
    has_script: AtomicBool,
}

#[derive(Default)]
struct Current {
    manager: Option<ConnectionManager>,
    /// How many there were before it: a question may outlast the connection that it went over.
    number: u64,
    /// How many questions in a row were given up without an answer.
    unanswered: u32,
}

impl Current {
    /// Makes room for another connection, unless that has been done since this one was the current one.
    fn replace(&mut self, number: u64) {
        if self.number == number {
            *self = Self {
                number: number.wrapping_add(1),
                ..Self::default()
            };
        }
    }
}

impl Connection {
    pub(super) fn new(url: &str) -> Result<Self, InvalidQuota> {
        // What these say of a URL may quote it.
        let invalid = |_| {
            InvalidQuota::Backend(
                "its URL is not redis:// or rediss://, then [user:password@]host[:port][/database]"
                    .to_owned(),
            )
        };
        let info = url.into_connection_info().map_err(invalid)?;
        let client = Client::open(info).map_err(invalid)?;
        Ok(Self {
            client,
            current: Mutex::default(),
            script: Script::new(script::SOURCE),
            has_script: AtomicBool::new(false),
        })
    }

    /// Runs the script, and tells whether the server had lost it.
    ///
    /// A connection that has been idle may have been closed meanwhile: then another is tried, once, where
    /// the question `may_repeat`. What was granted over the first one lapses.
    pub(super) async fn run(
        &self,
        key: &str,
        question: &str,
        numbers: &[i64],
        mut may_repeat: bool,
    ) -> Result<(Vec<i64>, bool), QuotaError> {
        if Handle::try_current().is_err() {
            let detail = "it needs a tokio runtime";
            return Err(QuotaError::new(QuotaFailure::Connection, detail));
        }
        loop {
            let (manager, number, is_new) = self.manager().map_err(|error| self.failure(&error))?;
            let unanswered = Unanswered(self, number);
            let answer = self.try_run(manager, key, question, numbers).await;
            unanswered.answered();
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => self.failure(&error),
            };
            if failure::calls_for_another_connection(error.failure()) {
                self.lock().replace(number);
            }
            if is_new || !may_repeat || error.failure() != QuotaFailure::Connection {
                return Err(error);
            }
            may_repeat = false;
        }
    }

    async fn try_run(
        &self,
        mut manager: ConnectionManager,
        key: &str,
        question: &str,
        numbers: &[i64],
    ) -> Result<(Vec<i64>, bool), RedisError> {
        let command = |name, script| {
            let mut command = redis::cmd(name);
            command
                .arg(script)
                .arg(1)
                .arg(key)
                .arg(question)
                .arg(numbers);
            command
        };
        let known = command("EVALSHA", self.script.get_hash());
        let (answer, is_sent_again) = match known.query_async(&mut manager).await {
            Err(error) if is_unknown_script(&error) => {
                let whole = command("EVAL", script::SOURCE);
                (whole.query_async(&mut manager).await?, true)
            }
            answer => (answer?, false),
        };
        let had_script = self.has_script.swap(true, Ordering::Relaxed);
        Ok((answer, is_sent_again && had_script))
    }

    /// The connection, its number, and whether it is a new one.
    fn manager(&self) -> Result<(ConnectionManager, u64, bool), RedisError> {
        let mut current = self.lock();
        if let Some(manager) = &current.manager {
            return Ok((manager.clone(), current.number, false));
        }
        if let ConnectionAddr::TcpTls { .. } = self.client.get_connection_info().addr() {
            choose_crypto();
        }
        // How long an answer may take, and when to try again, is for who asks.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let new = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        current.manager = Some(new.clone());
        Ok((new, current.number, true))
    }

    fn failure(&self, error: &RedisError) -> QuotaError {
        let settings = self.client.get_connection_info().redis_settings();
        failure::of(error, settings.password())
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is under way, over the connection of this number. Dropped without an answer, it was
/// given up.
struct Unanswered<'a>(&'a Connection, u64);

impl Unanswered<'_> {
    fn answered(self) {
        let mut current = self.0.lock();
        if current.number == self.1 {
            current.unanswered = 0;
        }
        drop(current);
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let mut current = self.0.lock();
        if current.number == self.1 {
            current.unanswered = current.unanswered.saturating_add(1);
        }
        if current.unanswered >= MOST_UNANSWERED {
            current.replace(self.1);
        }
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Makes ring the provider for TLS where the program has chosen none: in a program that has another one
/// too, rustls would panic rather than choose.
fn choose_crypto() {
    use rustls::crypto::{CryptoProvider, ring};

    if CryptoProvider::get_default().is_none() {
        // Somebody else may have been faster, which is as well.
        let _ = ring::default_provider().install_default();
    }
}
