//! That reading a long audit log takes no more memory than reading a short one. In a program of its
//! own, because the allocator is the program's.

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::{Request, Response};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::Fixture;
use idpflare_management::workflows::{AuditTail, AuditTailEvent};
use idpflare_management::{AuditLogEntry, Client, QueryAuditLogs};
use tower::service_fn;

/// One entry is made in so many milliseconds.
const EVERY: u64 = 10;
const START: u64 = 1_750_000_000_000;

/// What it takes to read so many entries.
fn reading(entries: u64) -> AllocationInfo {
    let entry = serde_json::to_value(AuditLogEntry::fixture()).expect("an entry");
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let number = |wanted: &str| {
            form_urlencoded::parse(query)
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.parse::<u64>().expect("a number"))
        };
        let place = |time: u64| time.saturating_sub(START);
        let first = number("start_date").map_or(0, |start| place(start).div_ceil(EVERY));
        let behind = number("end_date").map_or(entries, |end| {
            if end < START {
                0
            } else {
                entries.min(place(end) / EVERY + 1)
            }
        });
        let total = behind.saturating_sub(first);
        let offset = number("offset").unwrap_or(0).min(total);
        let page: Vec<_> = (offset..total.min(offset + 100))
            .map(|index| {
                let number = behind - 1 - index;
                let mut entry = entry.clone();
                entry["id"] = format!("log_{number:012}").into();
                entry["created_at"] = (START + number * EVERY).into();
                entry
            })
            .collect();
        let body =
            serde_json::json!({"entries": page, "total": total, "limit": 100, "offset": offset});
        let body = Full::<Bytes>::from(body.to_string());
        std::future::ready(Ok::<_, BoxError>(Response::new(body)))
    });
    let client = Client::from_service("https://idp.example.com", service).expect("a client");
    measure(|| {
        let tail = AuditTail::new(&client, QueryAuditLogs::new())
            .from_beginning()
            .until_caught_up();
        let read = tail.fold(0, |read, event| {
            std::future::ready(match event.expect("it goes on") {
                AuditTailEvent::Entries(batch) => read + batch.entries.len() as u64,
                _ => read,
            })
        });
        assert_eq!(read.now_or_never(), Some(entries));
    })
}

#[test]
fn a_hundred_thousand_entries_take_no_more_than_ten_thousand() {
    let short = reading(10_000);
    let long = reading(100_000);
    assert!(long.count_total > 8 * short.count_total, "they are counted");
    // Slices are not all equally full.
    assert!(
        long.bytes_max < short.bytes_max + short.bytes_max / 4,
        "{short:?} against {long:?}"
    );
    assert!(long.bytes_max < 4 * 1024 * 1024, "{long:?}");
}
