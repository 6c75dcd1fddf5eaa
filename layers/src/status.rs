use http::StatusCode;

/// Whether a reply with this status is likely to be a passing fault: 408, 425, 429, 500, 502, 503,
/// 504 (RFC 9110, RFC 8470, RFC 6585), and Cloudflare's 520–524 and 527.
///
/// It says nothing about whether a repeat is safe: see [`Delivery`](crate::Delivery) and
/// [`Safety`](crate::Safety).
///
/// ```
/// use http::StatusCode;
/// use idpflare_layers::is_transient;
///
/// assert!(is_transient(StatusCode::BAD_GATEWAY));
/// assert!(!is_transient(StatusCode::NOT_IMPLEMENTED));
/// ```
#[must_use]
pub fn is_transient(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        408 | 425 | 429 | 500 | 502..=504 | 520..=524 | 527
    )
}
