//! The connection, and how a script is run over it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError, Script, ServerErrorKind,
};
use tokio::runtime::{Handle, Id};

use super::{failure, script};
use crate::{InvalidQuota, QuotaError, QuotaFailure};

/// After so many questions in a row without an answer another connection is made: the other end may be
/// gone without a word.
const MOST_UNANSWERED: u32 = 3;

/// Of more runtimes than this, the connection that was made first is forgotten. It bounds what is left of
/// runtimes that have ended.
const MOST_RUNTIMES: usize = 256;

pub(super) struct Connection {
    client: Client,
    connections: Mutex<Connections>,
    script: Script,
    /// Whether the server has had the script once.
    has_script: AtomicBool,
}

/// One for each runtime: a connection is driven by the runtime on which it was made, and that may end or
/// stand still.
#[derive(Default)]
struct Connections {
    all: Vec<Current>,
    /// How many were made.
    made: u64,
}

struct Current {
    runtime: Id,
    manager: ConnectionManager,
    /// A question may outlast the connection that it went over.
    number: u64,
    /// How many questions in a row were given up without an answer.
    unanswered: u32,
}

impl Connections {
    /// Makes room for another connection in place of this one.
    fn forget(&mut self, number: u64) {
        self.all.retain(|current| current.number != number);
    }

    fn number(&mut self, number: u64) -> Option<&mut Current> {
        self.all.iter_mut().find(|current| current.number == number)
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
            connections: Mutex::default(),
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
        let Ok(runtime) = Handle::try_current() else {
            let detail = "it needs a tokio runtime";
            return Err(QuotaError::new(QuotaFailure::Connection, detail));
        };
        loop {
            let manager = self.manager(runtime.id());
            let (manager, number, is_new) = manager.map_err(|error| self.failure(&error))?;
            let unanswered = Unanswered(self, number);
            let answer = self.try_run(manager, key, question, numbers).await;
            unanswered.answered();
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => self.failure(&error),
            };
            if failure::calls_for_another_connection(error.failure()) {
                self.lock().forget(number);
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

    /// The connection of this runtime, its number, and whether it is a new one.
    fn manager(&self, runtime: Id) -> Result<(ConnectionManager, u64, bool), RedisError> {
        let mut connections = self.lock();
        let mut all = connections.all.iter();
        if let Some(current) = all.find(|current| current.runtime == runtime) {
            return Ok((current.manager.clone(), current.number, false));
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
        connections.made = connections.made.wrapping_add(1);
        let number = connections.made;
        if connections.all.len() >= MOST_RUNTIMES {
            connections.all.remove(0);
        }
        connections.all.push(Current {
            runtime,
            manager: new.clone(),
            number,
            unanswered: 0,
        });
        Ok((new, number, true))
    }

    fn failure(&self, error: &RedisError) -> QuotaError {
        let settings = self.client.get_connection_info().redis_settings();
        failure::of(error, settings.password())
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        let connections = self.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is under way, over the connection of this number. Dropped without an answer, it was
/// given up.
struct Unanswered<'a>(&'a Connection, u64);

impl Unanswered<'_> {
    fn answered(self) {
        if let Some(current) = self.0.lock().number(self.1) {
            current.unanswered = 0;
        }
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let mut connections = self.0.lock();
        if let Some(current) = connections.number(self.1) {
            current.unanswered = current.unanswered.saturating_add(1);
            if current.unanswered >= MOST_UNANSWERED {
                connections.forget(self.1);
            }
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
