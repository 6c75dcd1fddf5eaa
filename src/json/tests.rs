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
    if let Some(value) = &read {
        assert_eq!(Some(value), plain.as_ref().ok(), "{text:?}");
    }
    read.is_some()
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
    #[serde(default)]
    struct Lenient {
        #[serde(deserialize_with = "or_error")]
        number: Result<u8, String>,
        #[serde(deserialize_with = "or_error")]
        list: Result<Vec<u8>, String>,
        #[serde(deserialize_with = "or_error")]
        letter: Result<char, String>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        inner: Lenient,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u8),
        Lenient(Lenient),
    }
    impl Default for Lenient {
        fn default() -> Self {
            Self {
                number: Ok(0),
                list: Ok(Vec::new()),
                letter: Ok('a'),
            }
        }
    }
    fn or_error<'de, D, T>(deserializer: D) -> Result<Result<T, String>, D::Error>
    where
        D: serde::Deserializer<'de>,
        T: Deserialize<'de>,
    {
        Ok(T::deserialize(deserializer).map_err(|error| error.to_string()))
    }
    for member in [
        r#""number":300"#,
        r#""number":"a""#,
        r#""number":"\x""#,
        r#""number":1e999"#,
        r#""number":1.5.5"#,
        r#""number":"#,
        r#""list":[300]"#,
        r#""list":[1,]"#,
        r#""list":[[300],1]"#,
        r#""list":7"#,
        r#""letter":"ab""#,
    ] {
        for rest in ["", r#","number":1"#, "]", "}"] {
            let text = format!("{{{member}{rest}}}");
            assert!(!is_quick::<Lenient>(&text), "{text}");
            assert!(!is_quick::<Flat>(&text), "{text}");
            assert!(!is_quick::<Either>(&text), "{text}");
            assert!(
                !is_quick::<Vec<Lenient>>(&format!("[{text},{{}}]")),
                "{text}"
            );
        }
    }
    let good = r#"{"number":1,"list":[1,2]}"#;
    assert!(is_quick::<Lenient>(good));
    assert!(is_quick::<Flat>(good));
    assert!(is_quick::<Either>("7"));
}

#[test]
fn one_text_is_read_in_the_middle_of_another() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Nesting {
        #[serde(deserialize_with = "inner")]
        text: Option<u8>,
    }
    fn inner<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(from_str(&text).ok())
    }
    assert!(is_quick::<Nesting>(r#"{"text":"7"}"#));
    assert!(is_quick::<Nesting>(r#"{"text":"no number"}"#));
    assert!(!is_quick::<Vec<Nesting>>(r#"[{"text":7},{"text":"7"}]"#));
}

#[test]
fn what_a_visitor_leaves_or_ignores_is_as_with_serde_json() {
    /// It takes nothing of its deserializer.
    #[derive(Debug, PartialEq)]
    struct Nothing;
    impl<'de> Deserialize<'de> for Nothing {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }
    for text in ["[,]", "[]", "[1]", "[1,2]", "{}", ","] {
        is_quick::<Vec<Nothing>>(text);
        is_quick::<Nothing>(text);
    }
    assert!(!is_quick::<Vec<Nothing>>("[,]"));

    /// It tells what it was given.
    #[derive(Debug, PartialEq)]
    struct Ignored(&'static str);
    impl<'de> Deserialize<'de> for Ignored {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Given;
            impl serde::de::Visitor<'_> for Given {
                type Value = Ignored;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("anything")
                }
                fn visit_unit<E>(self) -> Result<Ignored, E> {
                    Ok(Ignored("unit"))
                }
                fn visit_str<E>(self, _: &str) -> Result<Ignored, E> {
                    Ok(Ignored("text"))
                }
            }
            deserializer.deserialize_ignored_any(Given)
        }
    }
    assert!(is_quick::<Vec<Ignored>>(r#"["a",null,[{}]]"#));
}

#[cfg(feature = "testing")]
#[test]
fn what_the_protocol_has_is_quick() {
    use crate::testing::Fixture;
    use crate::{
        ApiKey, AuditLogPage, MfaEnrollment, OAuthClientPage, RefreshToken, SocialIdentity,
        UserAuditLogPage, UserPage, UserSession, UserStats,
    };

    fn check<T>()
    where
        T: Fixture + serde::Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let text = serde_json::to_string(&T::fixture()).expect("JSON");
        assert!(is_quick::<T>(&text), "{text}");
        let other_order = serde_json::to_value(T::fixture()).expect("JSON");
        assert!(is_quick::<T>(&other_order.to_string()), "{other_order}");
    }
    check::<ApiKey>();
    check::<AuditLogPage>();
    check::<MfaEnrollment>();
    check::<OAuthClientPage>();
    check::<RefreshToken>();
    check::<SocialIdentity>();
    check::<UserAuditLogPage>();
    check::<UserPage>();
    check::<UserSession>();
    check::<UserStats>();
}

#[test]
fn what_is_no_text_as_a_key_is_left_to_serde_json() {
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
    struct Id(String);

    assert!(is_quick::<BTreeMap<String, u8>>(r#"{"7":1,"a\nb":2}"#));
    assert!(is_quick::<BTreeMap<Id, u8>>(r#"{"7":1,"a\nb":2}"#));
    assert!(is_quick::<BTreeMap<char, u8>>(r#"{"a":1}"#));
    assert!(is_quick::<BTreeMap<Option<String>, u8>>(r#"{"null":1}"#));
    assert!(!is_quick::<BTreeMap<u64, u8>>(r#"{"7":1}"#));
    assert!(!is_quick::<BTreeMap<bool, u8>>(r#"{"true":1}"#));
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
