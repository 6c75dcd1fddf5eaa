//! The same bytes for all.

use bytes::Bytes;
use serde_json::{Value, json};

pub(crate) const USER_ID: &str = "usr_1f3870be274f6c49";
/// As many users as the server puts on a page at most.
pub(crate) const ROWS: usize = 100;

/// A user as a reply's body.
pub(crate) fn user() -> Bytes {
    body(&row(USER_ID, 0))
}

/// A page of users as a reply's body.
pub(crate) fn page() -> Bytes {
    let users: Vec<_> = (0..ROWS)
        .map(|n| {
            row(
                &format!("usr_{:016x}", 0x1f38_70be_274f_6c49_u64 + n as u64),
                n,
            )
        })
        .collect();
    body(&json!({"users": users, "total": 2_340, "limit": ROWS, "offset": 0}))
}

fn row(id: &str, n: usize) -> Value {
    json!({
        "id": id,
        "email": format!("ada.okafor+{n}@example.com"),
        "email_verified": true,
        "given_name": "Ada",
        "family_name": "Okafor",
        "picture_url": "https://img.example.com/people/ada.png",
        "locale": "en",
        "roles": ["user"],
        "mfa_enabled": true,
        "is_active": true,
        "is_locked": false,
        "failed_login_attempts": 0,
        "locked_until": null,
        "metadata": {"plan": "pro"},
        "created_at": 1_700_000_000_000_u64,
        "updated_at": 1_700_000_001_234_u64,
        "last_login_at": 1_700_000_005_678_u64,
        "email_verified_at": 1_700_000_000_500_u64,
    })
}

fn body(json: &Value) -> Bytes {
    json.to_string().into()
}
