use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Listing, Pager};
use crate::stack::BoxService;
use crate::{Error, HttpService};

/// The rows of a list, one after the other: what [`Pager::items`] makes.
#[must_use = "streams do nothing until they are polled"]
pub struct Items<'a, R: Listing, S: HttpService = BoxService> {
    pager: &'a mut Pager<R, S>,
    has_failed: bool,
}

impl<'a, R: Listing, S: HttpService> Items<'a, R, S> {
    pub(super) fn new(pager: &'a mut Pager<R, S>) -> Self {
        Self {
            pager,
            has_failed: false,
        }
    }
}

impl<R: Listing, S: HttpService> Stream for Items<'_, R, S> {
    type Item = Result<R::Row, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_failed {
            return Poll::Ready(None);
        }
        loop {
            if let Some((_, row)) = self.pager.rows.pop_front() {
                return Poll::Ready(Some(row));
            }
            match self.pager.poll_rows(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(None),
                Poll::Ready(Err(error)) => {
                    self.has_failed = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<R: Listing, S: HttpService> fmt::Debug for Items<'_, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items")
            .field("pager", &self.pager)
            .finish_non_exhaustive()
    }
}
