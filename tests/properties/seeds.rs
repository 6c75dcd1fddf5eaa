//! What fuzzing starts from: the recorded exchanges, and a few of what was not recorded.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::recorded;
use crate::text::SECRET;

/// For each target what it starts from.
pub(crate) fn all() -> [(&'static str, Vec<Vec<u8>>); 4] {
    [
        ("replies", replies()),
        ("errors", errors()),
        ("headers", headers()),
        ("ids", ids()),
    ]
}

/// Writes a file for each seed into a folder for each target, as libFuzzer reads them.
pub(crate) fn write(folder: &Path) -> std::io::Result<()> {
    for (target, seeds) in all() {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), seed)?;
        }
    }
    Ok(())
}

pub(crate) fn replies() -> Vec<Vec<u8>> {
    recorded("responses.jsonl")
        .into_iter()
        .map(written)
        .collect()
}

fn written(mut vector: Value) -> Vec<u8> {
    for name in ["raw_key", "client_secret"] {
        if let Some(secret) = vector["reply"]["body"].get_mut(name) {
            *secret = SECRET.into();
        }
    }
    let reply = &vector["reply"];
    let body = match (reply.get("body"), reply["raw"].as_str()) {
        (_, Some(raw)) => raw.to_owned(),
        (Some(Value::Null) | None, None) => String::new(),
        (Some(body), None) => body.to_string(),
    };
    let headers = reply["headers"].as_object().into_iter().flatten();
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.as_str().expect("text")))
        .collect();
    let operation = vector["operation"].as_str().expect("an operation");
    let status = reply["status"].as_u64().expect("a status");
    exchange(operation, status, &headers, &body)
}

/// What [`Exchange`](crate::exchange::Exchange) reads.
fn exchange(operation: &str, status: u64, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{operation} {status}\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    format!("{text}\n{body}").into_bytes()
}

pub(crate) fn errors() -> Vec<Vec<u8>> {
    let mut seeds = replies();
    let long = "x".repeat(4000);
    let (host, ray) = (format!("https://{long}.example"), format!("{long}-LHR"));
    for (operation, status, headers, body) in [
        (
            "getUser",
            301,
            &[("location", host.as_str()), ("cf-ray", &ray)][..],
            "",
        ),
        (
            "getUser",
            302,
            &[("location", "https://evil.example/a?token=x")][..],
            "",
        ),
        ("getUser", 307, &[("location", "//evil.example\\@b")], ""),
        (
            "createUser",
            503,
            &[("retry-after", "120"), ("cf-ray", "8c1f-LHR")],
            "{}",
        ),
        (
            "blockUser",
            520,
            &[("content-type", "text/html; charset=utf-8")],
            "<html>",
        ),
        (
            "deleteUser",
            403,
            &[],
            r#"{"error":"a\n\u2028\u202eb","status":403}"#,
        ),
        (
            "createApiKey",
            200,
            &[("content-encoding", "gzip")],
            "\u{1f}",
        ),
        (
            "rotateClientSecret",
            200,
            &[],
            r#"{"client_secret":["s3cr3tN33dl3"]}"#,
        ),
        (
            "createClient",
            201,
            &[],
            r#"{"client":{"metadata":{"s3cr3tN33dl3":1e999}}}"#,
        ),
        (
            "listUsers",
            200,
            &[],
            r#"{"users":[{"email":5}],"total":1}"#,
        ),
    ] {
        seeds.push(exchange(operation, status, headers, body));
    }
    seeds
}

pub(crate) fn headers() -> Vec<Vec<u8>> {
    let date = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
    let mut seeds: Vec<_> = replies()
        .into_iter()
        .filter(|seed| contains(seed, b"retry-after"))
        .collect();
    for (status, headers) in [
        (429, &[("retry-after", "30"), ("retry-after", "7")][..]),
        (
            503,
            &[("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT"), date],
        ),
        (429, &[("retry-after", "1000000000000000000000000000000")]),
        (429, &[("retry-after", "-5")]),
        (200, &[("ratelimit", r#""a";r=9;t=90, "b;\"c";r=0;t=7"#)]),
        (200, &[("ratelimit", "limit=100, remaining=0, reset=30")]),
        (
            404,
            &[("ratelimit-remaining", "0"), ("ratelimit-reset", "30")],
        ),
        (
            200,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1700000030"),
                date,
            ],
        ),
        (
            200,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "18446744073709551616"),
            ],
        ),
        (429, &[("x-ratelimit-reset", "5, 9")]),
    ] {
        seeds.push(exchange("listUsers", status, headers, ""));
    }
    seeds
}

fn contains(seed: &[u8], part: &[u8]) -> bool {
    seed.windows(part.len()).any(|window| window == part)
}

pub(crate) fn ids() -> Vec<Vec<u8>> {
    let vectors = recorded("requests.jsonl");
    let inputs = vectors
        .iter()
        .filter_map(|vector| vector["input"].as_object());
    let names = [
        "user_id",
        "session_id",
        "identity_id",
        "key_id",
        "client_id",
    ];
    let values = inputs.map(|input| {
        let ids = names.iter().filter_map(|name| input.get(*name)?.as_str());
        ids.collect::<Vec<_>>().join("\n")
    });
    let others = [
        "",
        ".",
        "..\n%2e",
        "%2E%2e\n.%2e",
        "a/b\na%2fb",
        "..%2f..%2fclients",
        "a%252fb\na%%32fb",
        "..;a\n%2e%3b\n;",
        "a\\b\n%c0%af\n%e0%80%ae",
        "100%\nauth0|123\nuser@host",
        "?\n#\n;\n ",
    ];
    let all: BTreeSet<_> = values.chain(others.map(str::to_owned)).collect();
    all.into_iter().map(String::into_bytes).collect()
}
