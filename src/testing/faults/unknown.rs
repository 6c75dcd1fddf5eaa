//! What a later server may say.

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Members whose content belongs to applications.
const FOREIGN: [&str; 2] = ["metadata", "details"];
/// Members that are one value of an enumeration.
const VALUES: [&str; 3] = ["method", "provider", "status"];
/// Members that are a list of such values.
const LISTS: [&str; 2] = ["scopes", "allowed_grant_types"];

/// The name of members that no version knows, and the text of such values.
const UNKNOWN: &str = "of_a_later_version";

pub(super) fn with_fields(body: &Bytes) -> Bytes {
    changed(body, |members| {
        members.insert(String::from(UNKNOWN), json!({"nested": [1, null]}));
    })
}

pub(super) fn with_values(body: &Bytes) -> Bytes {
    changed(body, |members| {
        for (name, value) in members {
            match value {
                Value::String(value) if VALUES.contains(&name.as_str()) => {
                    *value = String::from(UNKNOWN);
                }
                Value::Array(values) if LISTS.contains(&name.as_str()) => {
                    values.push(UNKNOWN.into());
                }
                _ => {}
            }
        }
    })
}

/// The body with `change` made to each object of the protocol. What is not JSON stays as it is.
fn changed(body: &Bytes, change: fn(&mut Map<String, Value>)) -> Bytes {
    let Ok(mut json) = serde_json::from_slice(body) else {
        return body.clone();
    };
    walk(&mut json, change);
    json.to_string().into()
}

fn walk(json: &mut Value, change: fn(&mut Map<String, Value>)) {
    match json {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if !FOREIGN.contains(&name.as_str()) {
                    walk(value, change);
                }
            }
            change(members);
        }
        Value::Array(values) => {
            for value in values {
                walk(value, change);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(body: &Bytes) -> Value {
        serde_json::from_slice(body).expect("JSON")
    }

    #[test]
    fn objects_have_more_and_foreign_ones_do_not() {
        let body = Bytes::from(r#"{"users":[{"id":"u","metadata":{"a":{}}}]}"#);
        let added = json!({"nested": [1, null]});
        assert_eq!(
            json(&with_fields(&body)),
            json!({
                "users": [{"id": "u", "metadata": {"a": {}}, UNKNOWN: added}],
                UNKNOWN: added,
            })
        );
    }

    #[test]
    fn enumerations_have_values_of_their_own() {
        let body = Bytes::from(
            r#"{"provider":"google","status":404,"scopes":["users:read"],"details":{"status":"x"}}"#,
        );
        assert_eq!(
            json(&with_values(&body)),
            json!({
                "provider": UNKNOWN,
                "status": 404,
                "scopes": ["users:read", UNKNOWN],
                "details": {"status": "x"},
            })
        );
    }

    #[test]
    fn what_is_not_json_stays() {
        let body = Bytes::from("<html>");
        assert_eq!(with_fields(&body), body);
        assert_eq!(with_values(&body), body);
    }
}
