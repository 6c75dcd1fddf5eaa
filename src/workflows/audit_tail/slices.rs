use super::millis::Millis;

/// A part of the log: from and up to these milliseconds, both of them included, as far as there are
/// any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) from: Option<Millis>,
    pub(super) to: Option<Millis>,
}

impl Slice {
    pub(super) fn contains(&self, at: Millis) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at <= to)
    }

    /// The first millisecond behind it.
    pub(super) fn behind(&self) -> Millis {
        self.to.map_or(Millis::MAX, |to| to.saturating_add(1))
    }
}

/// What is left of an interval, in slices that are read one after the other, the oldest first.
///
/// The protocol lists the newest entries first, so that a slice can be handed out only once all of
/// it is in memory. One that has too much is cut in half, again and again: as often as an interval
/// has bits, at worst.
#[derive(Debug)]
pub(super) struct Slices {
    from: Option<Millis>,
    /// Where the slices end; that of the next one is the last.
    ends: Vec<Option<Millis>>,
}

impl Slices {
    /// All of an interval in one slice.
    pub(super) fn new(from: Option<Millis>, to: Option<Millis>) -> Self {
        Self {
            from,
            ends: vec![to],
        }
    }

    /// The slice that is next, if any is left.
    pub(super) fn current(&self) -> Option<Slice> {
        let to = *self.ends.last()?;
        Some(Slice {
            from: self.from,
            to,
        })
    }

    /// Cuts the next slice, which has nothing newer than `newest`, in half; false where it is a
    /// single millisecond.
    pub(super) fn cut(&mut self, newest: Millis) -> bool {
        let Some(end) = self.ends.last_mut() else {
            return false;
        };
        let to = end.map_or(newest, |to| to.min(newest));
        // Nothing was logged before 1970; if it was, it is in the first slice.
        let from = self.from.unwrap_or(0).min(to);
        *end = Some(to);
        if from == to {
            return false;
        }
        self.ends.push(Some(middle(from, to)));
        true
    }

    /// Goes on behind the next slice.
    pub(super) fn advance(&mut self) {
        if let Some(Some(to)) = self.ends.pop() {
            self.from = Some(to.saturating_add(1));
        }
    }
}

/// Less than `to`, where that is more than `from`.
fn middle(from: Millis, to: Millis) -> Millis {
    // The halves, since the whole may not fit.
    let half = (to / 2).saturating_sub(from / 2);
    from.saturating_add(half).min(to.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_what_was_cut_and_leave_nothing_out() {
        for (from, newest) in [(0, 7), (5, 6), (-9, 4), (-10, -3)] {
            let mut slices = Slices::new(Some(from), None);
            let mut next = from;
            while let Some(slice) = slices.current() {
                assert_eq!(slice.from, Some(next));
                if slices.cut(newest) {
                    continue;
                }
                let single = slices.current().expect("the same");
                assert_eq!(single.to, Some(next));
                slices.advance();
                next += 1;
            }
            assert_eq!(next, newest + 1);
        }
    }

    #[test]
    fn even_the_longest_interval_is_cut_in_few_steps() {
        for (from, to) in [(None, Millis::MAX), (Some(Millis::MIN), Millis::MAX)] {
            let mut slices = Slices::new(from, None);
            let cuts = std::iter::from_fn(|| slices.cut(to).then_some(())).count();
            assert!(cuts <= 65, "{cuts}");
        }
    }

    #[test]
    fn an_end_in_the_future_is_no_reason_to_cut_there() {
        let mut slices = Slices::new(Some(100), Some(1_000_000));
        assert!(slices.cut(200));
        let to = Some(150);
        assert_eq!(slices.current().expect("a half").to, to);
        slices.advance();
        let rest = Slice {
            from: Some(151),
            to: Some(200),
        };
        assert_eq!(slices.current(), Some(rest));
        slices.advance();
        assert_eq!(slices.current(), None);
    }
}
