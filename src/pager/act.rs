use std::collections::HashSet;
use std::future::poll_fn;

use super::listing::INTERNAL;
use super::{Listing, Pager};
use crate::{Error, HttpService};

impl<R: Listing, S: HttpService> Pager<R, S> {
    /// Collects all rows that are left, and only then has `act` act on each, one after the other.
    ///
    /// For jobs that change what they list: blocking the users of a list of those that are not
    /// blocked takes each of them from that list, and a job that went on with the next page would
    /// miss as many. `act` is given no row twice, however many were inserted meanwhile.
    ///
    /// What `act` returned is told for each row, so that a failure need not end the job. The rows are
    /// in memory all at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), idpflare_management::Error> {
    /// # let fake = idpflare_management::testing::FakeIdpflare::new();
    /// # fake.seed(40);
    /// # let client = fake.client();
    /// use idpflare_management::{ListUsers, Pager, UpdateUser, User};
    ///
    /// let pager = Pager::new(&client, ListUsers::new().email_verified(false).limit(2));
    /// let done = pager
    ///     .collect_then_act(async |user: User| {
    ///         client.send(UpdateUser::new(&user.id).email_verified(true)).await
    ///     })
    ///     .await?;
    /// for (id, result) in &done.results {
    ///     if let Err(error) = result {
    ///         println!("{id} is left as it was: {error}");
    ///     }
    /// }
    /// # assert!(done.results.len() > 2);
    /// let left = client.send(ListUsers::new().email_verified(false)).await?;
    /// assert_eq!(left.total, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Where a page can't be had. Then nothing was acted on.
    pub async fn collect_then_act<F, Fut>(
        mut self,
        mut act: F,
    ) -> Result<Acted<R::Id, Fut::Output>, Error>
    where
        F: FnMut(R::Row) -> Fut,
        Fut: Future,
    {
        let mut known = HashSet::new();
        let mut rows = Vec::new();
        let mut undecoded = Vec::new();
        while poll_fn(|cx| self.poll_rows(cx)).await? {
            for (_, row) in self.rows.drain(..) {
                match row {
                    Ok(row) => {
                        if known.insert(String::from(R::id(&row, INTERNAL).as_ref())) {
                            rows.push(row);
                        }
                    }
                    Err(error) => undecoded.push(error),
                }
            }
        }
        drop(known);
        let mut results = Vec::with_capacity(rows.len());
        for row in rows {
            let id = R::id(&row, INTERNAL).clone();
            results.push((id, act(row).await));
        }
        Ok(Acted { results, undecoded })
    }
}

/// What became of each row: what [`Pager::collect_then_act`] returns.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "it says what failed"]
pub struct Acted<I, T> {
    /// What was returned for each row, by its id, in the order of the list.
    pub results: Vec<(I, T)>,
    /// The rows that could not be decoded, so that nothing was done for them. Only a
    /// [lenient](Pager::lenient) pager goes on where there are any.
    pub undecoded: Vec<Error>,
}
