//! What the server answers, as the protocol has it: compact, with the members in this order.

use bytes::Bytes;

pub(crate) const USER_ID: &str = "usr_1f3870be274f6c49";
/// As many users as the server puts on a page at most.
pub(crate) const ROWS: usize = 100;

/// A user as a reply's body.
pub(crate) fn user() -> Bytes {
    row(USER_ID, 0).into()
}

/// A page of users as a reply's body.
pub(crate) fn page() -> Bytes {
    let rows: Vec<_> = (0..ROWS)
        .map(|n| {
            row(
                &format!("usr_{:016x}", 0x1f38_70be_274f_6c49_u64 + n as u64),
                n,
            )
        })
        .collect();
    let rows = rows.join(",");
    format!(r#"{{"users":[{rows}],"total":2340,"limit":{ROWS},"offset":0}}"#).into()
}

fn row(id: &str, n: usize) -> String {
    format!(r#"{{"id":"{id}","email":"ada.okafor+{n}@example.com","email_verified":true,"#,)
        + concat!(
            r#""given_name":"Ada","family_name":"Okafor","#,
            r#""picture_url":"https://img.example.com/people/ada.png","locale":"en","roles":["user"],"#,
            r#""mfa_enabled":true,"is_active":true,"is_locked":false,"failed_login_attempts":0,"#,
            r#""locked_until":null,"metadata":{"plan":"pro"},"created_at":1700000000000,"#,
            r#""updated_at":1700000001234,"last_login_at":1700000005678,"#,
            r#""email_verified_at":1700000000500}"#,
        )
}
