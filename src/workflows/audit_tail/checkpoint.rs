use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::millis::{self, Millis};
use super::now::Now;
use super::undecoded::Undecoded;
use crate::api::timestamp;
use crate::{AuditLogEntry, AuditLogId, Timestamp};

/// How many ids are remembered, unless a single millisecond has more.
const MAX_SEEN: usize = 65_536;

/// How many of these may be dated ahead of the server's time: as they are read each time, so few.
const MAX_AHEAD: usize = 1000;

/// What an [`AuditTail`](super::AuditTail) has read: keep it, and a tail that starts from it goes on
/// there, in another process too.
///
/// It holds the time that the next reading starts from, the time of the newest entry so far, and the
/// ids of the entries in between that are known already. It belongs to the filters that it was read
/// with: with others, entries that these let through are missed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let fake = idpflare_management::testing::FakeIdpflare::new();
/// # fake.seed(2);
/// # let client = fake.client();
/// use futures_util::StreamExt;
/// use idpflare_management::workflows::{AuditCheckpoint, AuditTail, AuditTailEvent};
/// use idpflare_management::{CreateUser, QueryAuditLogs};
///
/// let log = || QueryAuditLogs::new();
/// let mut first = AuditTail::new(&client, log()).from_beginning().until_caught_up();
/// let mut kept = String::new();
/// while let Some(event) = first.next().await {
///     if let AuditTailEvent::Entries(batch) = event? {
///         // … deal with the entries, then:
///         kept = serde_json::to_string(&batch.checkpoint)?;
///     }
/// }
///
/// client.send(CreateUser::new("ada@example.com")).await?;
/// let checkpoint: AuditCheckpoint = serde_json::from_str(&kept)?;
/// let mut second = AuditTail::new(&client, log()).from_checkpoint(checkpoint);
/// let Some(Ok(AuditTailEvent::Entries(batch))) = second.next().await else {
///     panic!("there is an entry");
/// };
/// assert_eq!(batch.entries.len(), 1);
/// assert_eq!(batch.entries[0].event_type, "user_created");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheckpoint {
    /// All entries before are dealt with, or too late; `None` where none are.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "timestamp::optional"
    )]
    from: Option<Timestamp>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "timestamp::optional"
    )]
    watermark: Option<Timestamp>,
    /// The entries from there on that are dealt with.
    seen: BTreeSet<(Millis, AuditLogId)>,
    /// The rows from there on that could not be decoded and were told, and when they were made at
    /// the latest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    undecoded: BTreeMap<AuditLogId, Millis>,
    /// Entries from there on are left until that time has come.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "timestamp::optional"
    )]
    left_from: Option<Timestamp>,
}

impl AuditCheckpoint {
    pub(super) fn starting_from(from: Option<Millis>) -> Self {
        Self {
            from: from.map(millis::timestamp),
            ..Self::default()
        }
    }

    /// Returns the time of the newest entry that has been read; `None` before the first.
    ///
    /// It is never above the time of the reading, by the server's `Date` or by this machine's clock,
    /// whichever is later: an entry that is dated ahead counts as made when it was read.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        self.watermark
    }

    /// From where on the log is read again; `None` stands for its beginning.
    #[must_use]
    pub fn reads_from(&self) -> Option<Timestamp> {
        self.from
    }

    /// How many entries are known from there on, with those that could not be decoded.
    #[must_use]
    pub fn known(&self) -> usize {
        self.seen.len() + self.undecoded.len()
    }

    pub(super) fn floor(&self) -> Option<Millis> {
        self.from.map(Timestamp::as_millisecond)
    }

    /// Takes note of an entry; false where it was known.
    pub(super) fn sees(&mut self, entry: &AuditLogEntry, now: Now) -> bool {
        let made = entry.created_at.as_millisecond();
        let is_new = self.seen.insert((made, entry.id.clone()));
        if is_new {
            let made = entry.created_at.min(millis::timestamp(now.latest));
            self.watermark = self.watermark.max(Some(made));
        }
        is_new
    }

    /// Takes note of a row that can't be decoded; false where it was known.
    pub(super) fn sees_undecoded(&mut self, row: &Undecoded) -> bool {
        let made = row.made.latest();
        self.undecoded.insert(row.key.clone(), made).is_none()
    }

    pub(super) fn left_from(&self) -> Option<Millis> {
        self.left_from.map(Timestamp::as_millisecond)
    }

    pub(super) fn leave_from(&mut self, at: Option<Millis>) {
        let earlier = self.left_from().into_iter().chain(at).min();
        self.left_from = earlier.map(millis::timestamp);
    }

    /// Returns whether entries were left whose time has come: from now on they are read.
    pub(super) fn takes_up_left(&mut self, now: Now) -> bool {
        self.left_from
            .take_if(|left| left.as_millisecond() <= now.latest)
            .is_some()
    }

    /// Nothing older than `floor` is read any more, so what is known of that can be forgotten.
    ///
    /// Too many entries shorten the overlap, but those that are dated after `now` do not: or else the
    /// tail would wait for their time to come. Instead, the last of them are forgotten, and the time
    /// from which on they are is returned.
    pub(super) fn settle(&mut self, floor: Millis, now: Now) -> Option<Millis> {
        self.raise(floor);
        if let Some(excess) = self.undecoded.len().checked_sub(MAX_SEEN) {
            let mut times: Vec<_> = self.undecoded.values().copied().collect();
            times.sort_unstable();
            // These are told again, which is better than to read entries only once.
            if let Some(oldest) = times.get(excess) {
                self.undecoded.retain(|_, made| oldest <= made);
            }
        }
        let forgotten = self.forget_ahead(now);
        let behind_now = (now.latest.saturating_add(1), AuditLogId::from(""));
        let mut known = self.seen.len() - self.seen.range(&behind_now..).count();
        while known > MAX_SEEN
            && let Some((oldest, _)) = self.seen.first()
            && let Some((newest, _)) = self.seen.range(..&behind_now).next_back()
            && oldest < newest
        {
            let before = self.seen.len();
            self.raise(oldest.saturating_add(1));
            known -= before - self.seen.len();
        }
        forgotten
    }

    fn forget_ahead(&mut self, now: Now) -> Option<Millis> {
        // Where this machine's clock is all there is, it may be the one that is wrong.
        let most = if now.is_servers { MAX_AHEAD } else { MAX_SEEN };
        let behind_now = (now.latest.saturating_add(1), AuditLogId::from(""));
        let (first, _) = self.seen.range(behind_now..).nth(most)?;
        let first = *first;
        // A start that lies ahead stays where it is.
        if self.floor().is_some_and(|floor| first <= floor) {
            return None;
        }
        drop(self.seen.split_off(&(first, AuditLogId::from(""))));
        Some(first)
    }

    /// Goes on from an earlier time. The ids from there on have been forgotten.
    pub(super) fn step_back(&mut self, floor: Millis, now: Now) {
        let latest = millis::timestamp(now.latest);
        self.from = Some(millis::timestamp(floor));
        self.watermark = self.watermark.map(|watermark| watermark.min(latest));
    }

    fn raise(&mut self, floor: Millis) {
        if self.floor().is_some_and(|before| floor <= before) {
            return;
        }
        self.from = Some(millis::timestamp(floor));
        // No id is before the empty one.
        self.seen = self.seen.split_off(&(floor, AuditLogId::from("")));
        self.undecoded.retain(|_, made| floor <= *made);
    }
}

impl fmt::Debug for AuditCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditCheckpoint")
            .field("reads_from", &self.from)
            .field("watermark", &self.watermark)
            .field("known", &self.known())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now {
        earliest: 1_000_000,
        latest: 1_000_999,
        is_servers: true,
    };

    fn with(entries: impl IntoIterator<Item = (Millis, u32)>) -> AuditCheckpoint {
        AuditCheckpoint {
            seen: entries
                .into_iter()
                .map(|(at, id)| (at, id.to_string().into()))
                .collect(),
            ..AuditCheckpoint::starting_from(Some(0))
        }
    }

    #[test]
    fn what_is_settled_is_forgotten_and_never_comes_back() {
        let mut checkpoint = with([(5, 1), (6, 2), (6, 3), (7, 4)]);
        checkpoint.settle(6, NOW);
        assert_eq!((checkpoint.floor(), checkpoint.known()), (Some(6), 3));
        checkpoint.settle(2, NOW);
        assert_eq!((checkpoint.floor(), checkpoint.known()), (Some(6), 3));
    }

    #[test]
    fn too_many_ids_shorten_the_overlap() {
        let many = u32::try_from(MAX_SEEN).expect("32 bits") + 10;
        let mut checkpoint = with((0..many).map(|id| (Millis::from(id / 4), id)));
        checkpoint.settle(0, NOW);
        assert_eq!(checkpoint.floor(), Some(3));
        assert_eq!(checkpoint.known(), MAX_SEEN - 2);

        let mut checkpoint = with((0..many).map(|id| (9, id)));
        checkpoint.settle(0, NOW);
        assert_eq!(checkpoint.known(), MAX_SEEN + 10, "none can be told apart");
    }

    #[test]
    fn of_too_many_that_are_dated_ahead_the_last_are_left() {
        let many = u32::try_from(MAX_SEEN).expect("32 bits") * 2;
        let ahead = (0..many).map(|id| (NOW.latest + 1 + Millis::from(id / 4), id));
        let mut checkpoint = with(ahead.chain([(5, many), (NOW.latest, many + 1)]));
        let left = checkpoint.settle(3, NOW);
        assert_eq!(left, Some(NOW.latest + 1 + 250));
        assert_eq!((checkpoint.floor(), checkpoint.known()), (Some(3), 1002));

        checkpoint.leave_from(left);
        let json = serde_json::to_string(&checkpoint).unwrap();
        let mut checkpoint: AuditCheckpoint = serde_json::from_str(&json).unwrap();
        assert_eq!(checkpoint.left_from(), left);
        let later = Now {
            earliest: NOW.latest + 300,
            latest: NOW.latest + 1299,
            is_servers: true,
        };
        assert!(!checkpoint.takes_up_left(NOW));
        assert!(checkpoint.takes_up_left(later), "its time has come");
        assert_eq!(checkpoint.left_from(), None);
    }

    #[test]
    fn of_too_many_that_can_not_be_decoded_the_oldest_are_forgotten() {
        let many = u32::try_from(MAX_SEEN).expect("32 bits") + 10;
        let row = |id: u32| (id.to_string().into(), Millis::from(id / 4));
        let mut checkpoint = with([]);
        checkpoint.undecoded = (0..many).map(row).collect();
        let knows = |checkpoint: &AuditCheckpoint, id: &str| {
            checkpoint.undecoded.contains_key(&AuditLogId::from(id))
        };
        checkpoint.settle(0, NOW);
        assert_eq!(checkpoint.floor(), Some(0), "no entry is missed for them");
        assert_eq!(checkpoint.known(), MAX_SEEN + 2, "those of a millisecond");
        assert!(!knows(&checkpoint, "7"));
        assert!(knows(&checkpoint, "8"));
        checkpoint.settle(10, NOW);
        assert!(!knows(&checkpoint, "39"));
        assert!(knows(&checkpoint, "40"));
    }

    #[test]
    fn it_is_short_where_nothing_has_to_be_read_again() {
        let checkpoint = AuditCheckpoint::starting_from(Some(1_700_000_000_000));
        let json = serde_json::to_string(&checkpoint).unwrap();
        assert_eq!(json, r#"{"from":1700000000000,"seen":[]}"#);
        assert_eq!(
            serde_json::from_str::<AuditCheckpoint>(&json).unwrap(),
            checkpoint
        );
        serde_json::from_str::<AuditCheckpoint>(r#"{"from":1e300,"seen":[]}"#).unwrap_err();
        serde_json::from_str::<AuditCheckpoint>("{}").unwrap_err();
    }
}
