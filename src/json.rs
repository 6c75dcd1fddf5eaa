//! Replies as JSON, read in less time than `serde_json` takes where they are as a server writes them.

mod cursor;
mod reader;

use serde::de::DeserializeOwned;

use reader::Reader;

/// Reads `text` as `serde_json` does, and comes to the same.
///
/// Three quarters of a page's time are its decoding. What makes this quicker is that the members of
/// an object are expected in the order of the fields, as the protocol has them, so that their names
/// are compared once and not searched for. All that is rare, and all that is wrong, is left to
/// `serde_json`, which then reads the text from its start: so what is accepted, and what an error
/// says, is decided there alone.
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    match Reader::read(text) {
        Ok(value) => Ok(value),
        Err(_) => serde_json::from_str(text),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Number, Value};

    use super::*;

    /// All kinds of members that replies have.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        id: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        count: u8,
        #[serde(default)]
        offset: i64,
        #[serde(default)]
        share: f64,
        #[serde(default)]
        is_on: bool,
        #[serde(default)]
        rows: Vec<Row>,
        #[serde(default)]
        labels: BTreeMap<String, Option<bool>>,
        #[serde(default)]
        details: Value,
    }

    /// Whether it is read without `serde_json`; what it comes to is the same in any case.
    fn is_quick<T: DeserializeOwned + PartialEq + Debug>(text: &str) -> bool {
        let plain = serde_json::from_str::<T>(text);
        let read = Reader::read::<T>(text);
        if let Ok(value) = &read {
            assert_eq!(Some(value), plain.as_ref().ok(), "{text:?}");
        }
        read.is_ok()
    }

    #[test]
    fn what_a_server_writes_is_quick() {
        for text in [
            r#"{"id":"usr_1"}"#,
            "\r\n\t { \"id\" : \"usr_1\" , \"count\" : 7 , \"rows\" : [ ] } \n",
            r#"{"id":"","name":null,"count":255,"offset":-1,"share":0.25,"is_on":true,"details":null}"#,
            r#"{"offset":999999999999999999,"id":"Zo\u00eb \"\\\/\b\f\n\r\t\ud83d\ude00 😀","share":1e-7}"#,
            r#"{"id":"a","details":[-0,18446744073709551615,-9223372036854775808,1e300,0.1e-2,1E+2]}"#,
            r#"{"id":"a","unknown":{"b":[1,-2,3.5,"c",{},[],true,false,null]},"is_on":false}"#,
            r#"{"id":"a","labels":{"":null,"b":true},"details":{"c":{"d":[[[]]]}}}"#,
            r#"{"id":"a","rows":[{"id":"b","count":1},{"id":"c","count":2},{"count":3,"id":"d"}]}"#,
            r#"{"id":"a","rows":[{"id":"b","x":1,"count":1},{"id":"c"},{"id":"d","x":1,"count":2}]}"#,
        ] {
            assert!(is_quick::<Row>(text), "{text}");
            assert!(is_quick::<Value>(text), "{text}");
        }
    }

    #[test]
    fn what_is_rare_or_wrong_is_left_to_serde_json() {
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_quick::<Value>(&deep(100)));
        for text in [
            &deep(101),
            &deep(100_000),
            "",
            " ",
            "nul",
            "nulll",
            "tru",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1",
            "{\"a\":1]",
            "1 2",
            "01",
            "-",
            "-01",
            "+1",
            ".5",
            "1.",
            "1e",
            "1e999",
            "--1",
            "1-",
            "1.5.5",
            "\"",
            "\"\\",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"line\nend\"",
            "\"\u{1f}\"",
            "\"seven..\u{0}\"",
        ] {
            assert!(!is_quick::<Value>(text), "{text:?}");
        }
        for text in [
            r#"{"id":"a","id":"b"}"#,
            r#"{"id":7}"#,
            r#"{"count":7}"#,
            r#"{"id":"a","count":256}"#,
            r#"{"id":"a","count":"7"}"#,
            r#"["a"]"#,
            r#"{"id":"a","rows":{}}"#,
            r#"{"id":"a"} x"#,
        ] {
            assert!(!is_quick::<Row>(text), "{text}");
        }
    }

    #[test]
    fn a_name_is_expected_only_as_it_was_read() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Quoted {
            #[serde(rename = "a\"b")]
            quote: u8,
            #[serde(rename = "c\\d")]
            backslash: u8,
        }
        let row = r#"{"a\"b":1,"c\\d":2}"#;
        assert!(is_quick::<Vec<Quoted>>(&format!("[{row},{row}]")));
        for other in [r#"{"a"b":1,"c\\d":2}"#, r#"{"a\"b":1,"c\d":2}"#] {
            assert!(!is_quick::<Vec<Quoted>>(&format!("[{row},{other}]")));
        }
    }

    #[test]
    fn a_failure_counts_also_where_somebody_makes_something_of_it() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Lenient {
            #[serde(default, deserialize_with = "or_default")]
            number: u8,
            #[serde(default, deserialize_with = "or_default")]
            list: Vec<u8>,
            #[serde(default, deserialize_with = "or_default")]
            letter: char,
        }
        fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
        where
            D: serde::Deserializer<'de>,
            T: Deserialize<'de> + Default,
        {
            Ok(T::deserialize(deserializer).unwrap_or_default())
        }
        for member in [
            r#""number":300"#,
            r#""number":"a""#,
            r#""number":"\x""#,
            r#""number":1e999"#,
            r#""number":"#,
            r#""list":[300]"#,
            r#""list":[[300],1]"#,
            r#""list":7"#,
            r#""letter":"a""#,
        ] {
            for rest in ["", r#","number":1"#, "]", "}"] {
                is_quick::<Lenient>(&format!("{{{member}{rest}}}"));
                is_quick::<Vec<Lenient>>(&format!("[{{{member}{rest}}},{{}}]"));
            }
        }
        assert!(is_quick::<Lenient>(r#"{"number":300,"list":[1]}"#));
        assert!(!is_quick::<Lenient>(r#"{"list":[300]}"#));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1000..1000_i64).prop_map(Value::from),
            any::<f64>().prop_map(|float| Number::from_f64(float).map_or(Value::Null, Value::from)),
            any_text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any_name(), inner, 0..6)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9@.]{0,20}",
            any::<String>(),
            "[ -~\\\\\"\n\u{7f}é😀]{0,20}"
        ]
    }

    fn any_name() -> impl Strategy<Value = String> {
        const KNOWN: [&str; 9] = [
            "id", "name", "count", "offset", "share", "is_on", "rows", "labels", "details",
        ];
        prop_oneof![
            4 => prop::sample::select(&KNOWN[..]).prop_map(String::from),
            1 => any_text(),
        ]
    }

    /// Text that is nearly JSON.
    fn nearly_json() -> impl Strategy<Value = String> {
        let part = prop::sample::select(
            &[
                "\"",
                "\\",
                ",",
                ":",
                "{",
                "}",
                "[",
                "]",
                "0",
                "-",
                ".",
                "e",
                " ",
                "\n",
                "\u{1}",
                "é",
                "null",
                "true",
                "\\u00e9",
                "\"id\":\"a\",",
            ][..],
        );
        let edit = (any::<prop::sample::Index>(), any::<bool>(), part);
        let edits = prop::collection::vec(edit, 0..4);
        (any_value(), any::<bool>(), edits).prop_map(|(value, pretty, edits)| {
            let text = if pretty {
                format!("{value:#}")
            } else {
                value.to_string()
            };
            let mut characters: Vec<_> = text.chars().map(String::from).collect();
            for (at, replaces, part) in edits {
                let at = at.index(characters.len() + 1);
                let end = (at + usize::from(replaces)).min(characters.len());
                characters.splice(at..end, [part.to_owned()]);
            }
            characters.concat()
        })
    }

    proptest! {
        #[test]
        fn it_comes_to_what_serde_json_comes_to(text in nearly_json()) {
            is_quick::<Value>(&text);
            is_quick::<Row>(&text);
            is_quick::<Vec<Row>>(&text);
            is_quick::<BTreeMap<String, Value>>(&text);
            let rows = format!(r#"[{{"id":"a","details":{text}}},{{"id":"b","details":{text}}}]"#);
            is_quick::<Vec<Row>>(&rows);
        }
    }
}
