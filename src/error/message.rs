//! The words of an error, from what the server sent.

use std::fmt;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode, Uri};
use idpflare_layers::Origin;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::one_line::one_line;

const FALLBACK: &str = "Request failed with status ";

/// The message of a reply outside of 2xx: the body's `error` where that is a text.
pub(super) fn of(status: StatusCode, body: &[u8]) -> String {
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_map(ErrorMember)
        .ok()
        .flatten()
        .filter(|message| !message.is_empty() && json.end().is_ok())
        .unwrap_or_else(|| format!("{FALLBACK}{}", status.as_u16()))
}

/// Reads the member `error` of an object, and skips the others without building them: a hostile
/// body costs no more memory than it has bytes.
struct ErrorMember;

impl<'de> Visitor<'de> for ErrorMember {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut message = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "error" {
                message = map.next_value::<TextOrNothing>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(message)
    }
}

struct TextOrNothing(Option<String>);

impl<'de> serde::Deserialize<'de> for TextOrNothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(text))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

pub(super) fn is_fallback(message: &str) -> bool {
    message
        .strip_prefix(FALLBACK)
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Status code and reason, as on the wire.
pub(super) fn status_line(status: StatusCode) -> String {
    match cloudflare_reason(status).or(status.canonical_reason()) {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// What Cloudflare means by the statuses of its own.
fn cloudflare_reason(status: StatusCode) -> Option<&'static str> {
    Some(match status.as_u16() {
        520 => "Web Server Returned an Unknown Error",
        521 => "Web Server Is Down",
        522 => "Connection Timed Out",
        523 => "Origin Is Unreachable",
        524 => "A Timeout Occurred",
        525 => "SSL Handshake Failed",
        526 => "Invalid SSL Certificate",
        527 => "Railgun Error",
        530 => "Origin DNS Error",
        _ => return None,
    })
}

/// Where a reply redirects to. Path and query of a `Location` may hold what is not for logs.
pub(super) fn redirection(headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().unwrap_or_default();
    let target = match location.as_bytes() {
        // Of these, URL parsers make another host, with the scheme of the request.
        [b'/' | b'\\', b'/' | b'\\', host @ ..] => {
            let host = String::from_utf8_lossy(host);
            origin(&format!("https://{host}")).map(|origin| origin.replacen("https:", "", 1))
        }
        [b'/' | b'?' | b'#', ..] => Some(String::from("another path of the instance")),
        _ => origin(location),
    };
    let target = target.unwrap_or_else(|| String::from("what is no URL of a server"));
    let target = one_line(&target);
    Some(format!(
        "redirects to {target}, which is not followed: correct the authority"
    ))
}

fn origin(location: &str) -> Option<String> {
    let origin = Origin::of(&location.parse::<Uri>().ok()?).ok()?;
    Some(origin.to_string())
}

pub(super) fn is_html(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"text/html")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_names_another_server_as_one() {
        for (location, target) in [
            ("https://Evil.example/a?token=x", "https://evil.example"),
            ("http://u:p@evil.example:81/", "http://evil.example:81"),
            ("//evil.example/login", "//evil.example"),
            ("/\\evil.example/login", "//evil.example"),
            ("/login?token=x", "another path of the instance"),
            ("?token=x", "another path of the instance"),
            ("https://", "what is no URL of a server"),
            ("javascript:alert(1)", "what is no URL of a server"),
            ("https://\u{fc}.example", "what is no URL of a server"),
            ("", "what is no URL of a server"),
        ] {
            let mut headers = HeaderMap::new();
            let value = http::HeaderValue::from_bytes(location.as_bytes());
            headers.insert(LOCATION, value.expect("a header"));
            assert_eq!(
                redirection(&headers),
                Some(format!(
                    "redirects to {target}, which is not followed: correct the authority"
                ))
            );
        }
    }

    #[test]
    fn the_error_member_counts_where_it_is_a_text() {
        for (body, message) in [
            (r#"{"error":"User not found"}"#, "User not found"),
            (r#"{"status":404,"error":"x","more":[{"a":1}]}"#, "x"),
            (r#"{"error":"first","error":"last"}"#, "last"),
            (r#" {"error":"\u00e4\n"} "#, "ä\n"),
        ] {
            assert_eq!(
                of(StatusCode::NOT_FOUND, body.as_bytes()),
                message,
                "{body}"
            );
        }
        for body in [
            "",
            "null",
            "[\"x\"]",
            "\"x\"",
            "{}",
            r#"{"error":null}"#,
            r#"{"error":""}"#,
            r#"{"error":5}"#,
            r#"{"error":{"message":"x"}}"#,
            r#"{"error":"x""#,
            r#"{"error":"x"} trailing"#,
            "<html></html>",
            "{\"error\":\"\u{0}\"}",
        ] {
            let message = of(StatusCode::NOT_FOUND, body.as_bytes());
            assert_eq!(message, "Request failed with status 404", "{body}");
            assert!(is_fallback(&message));
        }
        assert!(!is_fallback("Request failed with status unknown"));
    }
}
