use serde_json::Value;

/// The first place where two values differ, as a JSON pointer (RFC 6901).
pub(super) fn difference(expected: &Value, found: &Value) -> Option<String> {
    let inside = |key: &str, place: String| {
        let key = key.replace('~', "~0").replace('/', "~1");
        format!("/{key}{place}")
    };
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let mut keys = expected.keys().chain(found.keys());
            keys.find_map(|key| match (expected.get(key), found.get(key)) {
                (Some(expected), Some(found)) => {
                    difference(expected, found).map(|place| inside(key, place))
                }
                _ => Some(inside(key, String::new())),
            })
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut rows = expected.iter().zip(found).enumerate();
            rows.find_map(|(row, (expected, found))| {
                difference(expected, found).map(|place| inside(&row.to_string(), place))
            })
        }
        _ => (expected != found).then(String::new),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference;

    #[test]
    fn the_place_is_a_json_pointer() {
        for (expected, found, place) in [
            (
                json!({"a": 1, "b": [1, {"c": 2}]}),
                json!({"b": [1, {"c": 2}], "a": 1}),
                None,
            ),
            (json!({"a": 1}), json!({"a": 2}), Some("/a")),
            (json!({"a": 1}), json!({}), Some("/a")),
            (json!({}), json!({"a/b~": null}), Some("/a~1b~0")),
            (
                json!({"b": [1, {"c": 2}]}),
                json!({"b": [1, {"c": 3}]}),
                Some("/b/1/c"),
            ),
            (json!({"b": [1]}), json!({"b": [1, 2]}), Some("/b")),
            (json!(1), json!("1"), Some("")),
        ] {
            assert_eq!(difference(&expected, &found).as_deref(), place);
        }
    }
}
