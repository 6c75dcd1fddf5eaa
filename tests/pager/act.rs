//! Jobs that change what they list.

use std::cell::RefCell;

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{DeleteUser, ErrorKind, GetUserStats, ListUsers, Pager, User};

use crate::model::{Change, Server};
use crate::number;

#[tokio::test]
async fn all_are_collected_before_any_is_acted_on() {
    let fake = FakeIdpflare::new();
    fake.seed(25);
    let client = fake.client();
    let done = Pager::new(&client, ListUsers::new().limit(10))
        .concurrency(2)
        .collect_then_act(|user: User| client.send(DeleteUser::new(user.id)))
        .await
        .expect("all pages");
    assert_eq!(done.results.len(), 25);
    assert!(done.results.iter().all(|(_, result)| result.is_ok()));
    assert!(done.undecoded.is_empty());
    let left = client.send(GetUserStats::new()).await.expect("stats");
    assert_eq!(left.total, 0);
}

#[tokio::test]
async fn each_row_has_its_own_result() {
    let server = Server::new(30);
    server.model().broken = vec![3];
    server.model().script = vec![vec![], vec![Change::Insert(7)]].into();
    let order = RefCell::new(Vec::new());
    let done = Pager::new(&server.client(), ListUsers::new().limit(10))
        .lenient()
        .collect_then_act(async |user: User| {
            let number = number(&user);
            order.borrow_mut().push(number);
            if number.is_multiple_of(2) {
                Ok(number)
            } else {
                Err("odd")
            }
        })
        .await
        .expect("all pages");
    let expected: Vec<_> = (0..30).rev().filter(|number| *number != 3).collect();
    assert_eq!(order.into_inner(), expected);
    let results: Vec<_> = done
        .results
        .iter()
        .map(|(id, result)| (id.as_str(), *result))
        .collect();
    assert_eq!(results[0], ("29", Err("odd")));
    assert_eq!(results[1], ("28", Ok(28)));
    assert_eq!(done.undecoded.len(), 1);
}

#[tokio::test]
async fn nothing_is_done_where_a_page_is_missing() {
    let server = Server::new(30);
    server.model().broken = vec![3];
    let error = Pager::new(&server.client(), ListUsers::new().limit(10))
        .collect_then_act(async |_| panic!("not before all is known"))
        .await
        .expect_err("the last page can't be read");
    assert_eq!(error.kind(), ErrorKind::Decode);
}

#[tokio::test]
async fn a_job_can_be_spawned() {
    let server = Server::new(30);
    let pager = Pager::new(&server.client(), ListUsers::new()).concurrency(2);
    let job = tokio::spawn(pager.collect_then_act(async |user: User| number(&user)));
    assert_eq!(
        job.await.expect("no panic").expect("pages").results.len(),
        30
    );
}
