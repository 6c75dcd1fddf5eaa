//! A quota in Redis or Valkey.

mod connection;
mod failure;
mod key;
mod script;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::connection::Connection;
pub use self::key::QuotaKey;
use self::script::Units;
use super::{InvalidQuota, Lease, LeaseRequest, QuotaBackend, QuotaError, QuotaNotice};
use crate::Rate;
use crate::limiter_builder::LONGEST_PAUSE;

/// How much longer than it should a state is believed to be ahead, where a clock was set.
const SLACK: Duration = Duration::from_secs(1);

/// A quota that is kept in Redis or Valkey, for all processes that use the same [`QuotaKey`].
///
/// The state is one hash, changed by one script that runs at once and on the server's clock, so that
/// it does not matter how far those of the processes are off. It expires by itself. The key has a hash
/// tag, and fits any slot of a cluster.
///
/// ```no_run
/// use idpflare_layers::{
///     ApiKey, Origin, QuotaKey, Rate, RateLimiter, RedisQuota, SharedQuota, WhenAway,
/// };
///
/// let origin = Origin::of(&http::Uri::from_static("https://idp.example.com"))?;
/// let key = QuotaKey::new(&origin, &ApiKey::new("idk_example")?);
/// let redis = RedisQuota::new("rediss://user:password@redis.example.com", key)?;
///
/// let rate = Rate::per_second(50)?.with_burst(10)?;
/// let limiter = RateLimiter::from(SharedQuota::new(rate, redis, WhenAway::FailClosed)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nothing is connected before the first permit is asked for; after that one connection is kept for each
/// runtime that asks, and made anew when it breaks, when three questions in a row were given up
/// without an answer, or when its server takes no writes any more. So a name that is pointed to another
/// server is followed.
///
/// Times are whole microseconds: an interval is rounded up to one, and no rate is above a million calls
/// a second.
///
/// Each process tells the server, with each question for permits, how far ahead it was granted such that it
/// has not given back. Where the
/// state is behind that, because the server was restarted without it or a replica took over that had
/// not caught up, it is brought forward, with a [`QuotaNotice`]. Until each process has asked again,
/// which it does when half of what it holds is used, permits may be granted for times that others still
/// hold: one lease for each process and one burst, at most.
///
/// A value at the key that can't be one of a quota counts as lost, with a notice too: one of another type,
/// a field that is no number, or a pause of more than a day. A time of the next permit that is further ahead than a thousand processes
/// could bring it is moved back to that. So no value there stops calls for good.
pub struct RedisQuota {
    connection: Connection,
    key: QuotaKey,
    questions: AtomicU64,
    known: Mutex<Option<Known>>,
}

/// What was certain after one question: others may give back what they were granted, so only what this
/// process was granted, and holds, is.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The number of the question.
    number: u64,
    granted: Option<Granted>,
}

/// For when permits were granted, and when that was.
#[derive(Clone, Copy, Debug)]
struct Granted {
    next: i64,
    ahead: Duration,
    at: Instant,
}

impl RedisQuota {
    /// A quota at a server: `redis://` or, with TLS, `rediss://`, then `[user:password@]host[:port][/database]`.
    ///
    /// Certificates are checked against the roots that the machine trusts, or where the environment says so
    /// those in the file `SSL_CERT_FILE` or the folder `SSL_CERT_DIR`. There is no other way to bring roots
    /// of your own, and none for a certificate of the client.
    ///
    /// # Errors
    ///
    /// [`InvalidQuota::Backend`] where that is not what `url` is. Whether there is a server shows later.
    pub fn new(url: impl AsRef<str>, key: QuotaKey) -> Result<Self, InvalidQuota> {
        Ok(Self {
            connection: Connection::new(url.as_ref())?,
            key,
            questions: AtomicU64::new(0),
            known: Mutex::new(None),
        })
    }

    async fn ask(&self, question: &str, numbers: &[i64]) -> Result<(Vec<i64>, bool), QuotaError> {
        let key = self.key.as_str();
        // What is given back twice may be what others were granted in between.
        let may_repeat = question != "give_back";
        let connection = &self.connection;
        connection.run(key, question, numbers, may_repeat).await
    }

    /// What `next` is at the least, and how many microseconds that can be ahead at the most.
    fn known(&self) -> (i64, i64) {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = known.and_then(|known| known.granted);
        granted.map_or((0, 0), |granted| {
            let ahead = granted.ahead.saturating_add(SLACK);
            let ahead = ahead.saturating_sub(granted.at.elapsed());
            (granted.next, script::micros(ahead).unwrap_or(0))
        })
    }

    fn number(&self) -> u64 {
        self.questions.fetch_add(1, Ordering::Relaxed)
    }

    /// Heeds no answer that comes after that to a later question: another connection may have been
    /// faster, and what was granted may have been given back.
    fn learn(&self, number: u64, granted: Option<Granted>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| known.number < number) {
            *known = Some(Known { number, granted });
        }
    }
}

impl QuotaBackend for RedisQuota {
    async fn lease(&self, request: LeaseRequest) -> Result<Lease, QuotaError> {
        let units = Units::of(request.rate)?;
        let horizon = script::micros(request.horizon).unwrap_or(i64::from(u32::MAX));
        let permits = i64::from(request.permits);
        let number = self.number();
        let (known, at_most) = self.known();
        let numbers = units.with([permits, horizon, known, at_most]);
        let (answer, is_reloaded) = self.ask("lease", &numbers).await?;
        let [now, ahead, first, granted, paused, lost] = answer[..] else {
            return Err(script::unintelligible());
        };
        if granted > 0 {
            let granted = Granted {
                next: now.saturating_add(ahead),
                ahead: script::duration(ahead),
                at: Instant::now(),
            };
            self.learn(number, Some(granted));
        }
        let mut lease = if paused > now {
            Lease::paused(script::duration(now), script::duration(paused))
        } else {
            let permits = (0..granted.clamp(0, permits)).map(|number| {
                let from = first.saturating_add(units.interval.saturating_mul(number));
                script::duration(from.max(now))
            });
            Lease::new(script::duration(now), permits.collect())
        };
        for (has_happened, notice) in [
            (lost == 1, QuotaNotice::StateLost),
            (lost == 2, QuotaNotice::StateBehind),
            (is_reloaded, QuotaNotice::ScriptGone),
        ] {
            if has_happened {
                lease = lease.with_notice(notice);
            }
        }
        Ok(lease)
    }

    async fn give_back(&self, rate: Rate, unused: Vec<Duration>) -> Result<(), QuotaError> {
        let units = Units::of(rate)?;
        let Some((last, count)) = units.last_run(unused) else {
            return Ok(());
        };
        // From now on nothing is held: an answer that is lost must not have it counted again.
        self.learn(self.number(), None);
        let numbers = units.with([last, count]);
        self.ask("give_back", &numbers).await.map(drop)
    }

    async fn pause(&self, rate: Rate, wait: Duration) -> Result<(), QuotaError> {
        let units = Units::of(rate)?;
        // None is longer than the longest one, so it fits.
        let wait = script::micros(wait.min(LONGEST_PAUSE)).unwrap_or(0);
        let numbers = units.with([wait]);
        self.ask("pause", &numbers).await.map(drop)
    }
}

impl fmt::Debug for RedisQuota {
    /// Leaves out where it is: a URL may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQuota")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::{QuotaFailure, Rate, RateLimiter, SharedQuota, WhenAway};

    #[test]
    fn a_password_is_nowhere_to_be_seen() {
        let new = |url: &str| RedisQuota::new(url, QuotaKey::named("quota"));
        for url in [
            "http://user:hunter2@redis.example.com",
            "redis://user:hunter2@redis.example.com:port",
            "redis://user:hunter2@redis.example.com/hunter2",
            "hunter2",
        ] {
            let error = new(url).expect_err(url);
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        let redis = new("rediss://hunter2:hunter2@redis.example.com").expect("a URL");
        let mut shown = format!("{redis:?}");
        let rate = Rate::MAX.with_burst(2).expect("a rate");
        let quota = SharedQuota::new(rate, redis, WhenAway::FailOpen).expect("a quota");
        shown += &format!("{quota:?} {:?}", RateLimiter::shared(quota.clone()));
        assert!(!shown.contains("hunter2") && !shown.contains("example"));
    }
    #[test]
    fn without_a_runtime_it_fails() {
        let redis = RedisQuota::new("redis://127.0.0.1", QuotaKey::named("quota")).expect("a URL");
        let request = LeaseRequest::new(Rate::MAX, 1, Duration::ZERO);
        let lease = pin!(redis.lease(request));
        let Poll::Ready(answer) = lease.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("there is nothing to wait for");
        };
        let failure = answer.expect_err("no runtime").failure();
        assert_eq!(failure, QuotaFailure::Connection);
    }
}
