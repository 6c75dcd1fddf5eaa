//! Code that uses a client, tested in three ways: with the mock of tower-test, with a script, and
//! with the fake.
//!
//! `cargo run --example mock_service`

use std::error::Error;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use idpflare_management::testing::{CannedReply, FakeIdpflare, Fixture, ReplayService};
use idpflare_management::{
    BlockUser, Client, GetUser, GetUserStats, ListUsers, Timestamp, User, UserId, UserPage,
};
use tower_test::mock;

const AUTHORITY: &str = "https://idp.example.com";

/// What is tested: blocks the active users, of the first hundred, who have not signed in since
/// `date`. Who is gone by then is left out.
async fn suspend_inactive(
    client: &Client,
    date: Timestamp,
) -> Result<Vec<UserId>, idpflare_management::Error> {
    let mut suspended = Vec::new();
    let active = ListUsers::new().is_active(true).limit(100);
    for user in client.send(active).await?.users {
        if user.last_login_at.unwrap_or(user.created_at) >= date {
            continue;
        }
        let block = BlockUser::new(&user.id).reason("inactive");
        match client.send(block).await {
            Ok(()) => suspended.push(user.id),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(suspended)
}

/// The first has signed in on that date, the others before.
fn three_users(date: Timestamp) -> UserPage {
    let mut page = UserPage::fixture();
    page.users = ["usr_1", "usr_2", "usr_3"]
        .map(|id| {
            let mut user = User::fixture();
            user.id = id.into();
            user
        })
        .into();
    page.users[0].last_login_at = Some(date);
    page
}

/// With tower-test, the test is the server: it sees each request as it is sent, and decides when it
/// answers. What it does not look at is not tested.
async fn with_a_mock() -> Result<Vec<UserId>, Box<dyn Error>> {
    let date = "2026-01-01T00:00:00Z".parse()?;
    let (service, mut server) = mock::pair::<Request<Full<Bytes>>, Response<Full<Bytes>>>();
    let client = Client::from_service(AUTHORITY, service)?.boxed();
    let tested = tokio::spawn(async move { suspend_inactive(&client, date).await });

    let (request, respond) = server.next_request().await.ok_or("it lists users")?;
    assert_eq!(request.uri().query(), Some("limit=100&is_active=true"));
    respond.send_response(CannedReply::from(&three_users(date)).into());

    for id in ["usr_2", "usr_3"] {
        let (request, respond) = server.next_request().await.ok_or("it blocks a user")?;
        assert_eq!(request.uri().path(), format!("/api/v1/users/{id}/block"));
        respond.send_response(CannedReply::new(StatusCode::NO_CONTENT).into());
    }
    Ok(tested.await??)
}

/// A script says beforehand which requests come, body and all, and what comes of each: also what a
/// server seldom does.
async fn with_a_script() -> Result<Vec<UserId>, Box<dyn Error>> {
    let date = "2026-01-01T00:00:00Z".parse()?;
    let gone = CannedReply::error(StatusCode::NOT_FOUND, "User not found");
    let replay = ReplayService::new()
        .exchange(
            ListUsers::new().is_active(true).limit(100),
            &three_users(date),
        )
        .exchange(BlockUser::new("usr_2").reason("inactive"), gone)
        .exchange(BlockUser::new("usr_3").reason("inactive"), &());
    let client = Client::from_service(AUTHORITY, replay.clone())?.boxed();

    let suspended = suspend_inactive(&client, date).await?;
    replay.finish()?;
    Ok(suspended)
}

/// The fake does what the protocol says, so that a test need not know which requests are made: it
/// looks at what has become of the users.
async fn with_the_fake() -> Result<Vec<UserId>, Box<dyn Error>> {
    let fake = FakeIdpflare::new();
    fake.seed(20);
    let client = fake.client();
    let active = client.send(GetUserStats::new()).await?.active;

    let suspended = suspend_inactive(&client, Timestamp::now()).await?;
    assert_eq!(suspended.len() as u64, active);
    for id in &suspended {
        assert!(client.send(GetUser::new(id)).await?.is_locked);
    }
    Ok(suspended)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let outcomes = [
        ("the mock of tower-test", with_a_mock().await?),
        ("a script", with_a_script().await?),
        ("the fake", with_the_fake().await?),
    ];
    for (means, suspended) in outcomes {
        let ids: Vec<_> = suspended.iter().take(3).map(UserId::as_str).collect();
        let more = if suspended.len() > 3 { ", …" } else { "" };
        println!(
            "with {means:<23} {:>2} suspended: {}{more}",
            suspended.len(),
            ids.join(", ")
        );
    }
    Ok(())
}
