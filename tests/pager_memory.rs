//! That reading a long list takes no more memory than reading a short one. In a program of its own,
//! because the allocator is the program's.

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::{Request, Response};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::Fixture;
use idpflare_management::{Client, ListUsers, Pager, User};
use tower::service_fn;

/// What it takes to read so many rows.
fn reading(rows: u64, concurrency: usize) -> AllocationInfo {
    let row = serde_json::to_string(&User::fixture()).expect("a user");
    let id = User::fixture().id;
    let (before, after) = row.split_once(id.as_str()).expect("its id");
    let service = service_fn(|request: Request<Full<Bytes>>| {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let offset = form_urlencoded::parse(query)
            .find(|(name, _)| name == "offset")
            .map_or(0, |(_, value)| value.parse().expect("a number"));
        let users: Vec<_> = (offset..rows.min(offset + 100))
            .map(|number| format!("{before}usr_{number:012}{after}"))
            .collect();
        let body = format!(
            r#"{{"users":[{}],"total":{rows},"limit":100,"offset":{offset}}}"#,
            users.join(",")
        );
        std::future::ready(Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(body))))
    });
    let client = Client::from_service("https://idp.example.com", service).expect("a client");
    measure(|| {
        let mut pager = Pager::new(&client, ListUsers::new().limit(100)).concurrency(concurrency);
        let read = pager
            .items()
            .filter(|user| std::future::ready(user.is_ok()))
            .count();
        assert_eq!(
            read.now_or_never(),
            Some(usize::try_from(rows).expect("64 bits"))
        );
    })
}

#[test]
fn a_hundred_thousand_rows_take_no_more_than_ten_thousand() {
    for concurrency in [1, 4] {
        let short = reading(10_000, concurrency);
        let long = reading(100_000, concurrency);
        assert!(long.count_total > 9 * short.count_total, "they are counted");
        // The tables of ids may grow once more, when they have been used for long; nothing is added.
        assert!(
            long.count_max <= short.count_max + 8,
            "{short:?} against {long:?}"
        );
        assert!(long.bytes_max < 2 * 1024 * 1024, "{long:?}");
    }
}
