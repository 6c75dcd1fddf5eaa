use http::HeaderValue;

use super::*;

/// `name: value` lines.
fn of(status: u16, lines: &[&str]) -> Ask {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a line");
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    ask(StatusCode::from_u16(status).expect("a status"), &headers)
}

const fn secs(secs: u64) -> Ask {
    Ask::Pause(Duration::from_secs(secs))
}

const DATE: &str = "Date: Tue, 14 Nov 2023 22:13:20 GMT"; // 1700000000
const ABSURD: &str = "1000000000000000000000000000000";

#[test]
fn nothing_left_asks_for_a_pause_until_there_is_more() {
    for (lines, expected) in [
        (&[][..], Ask::Nothing),
        (&["RateLimit: \"default\";r=50;t=30"], Ask::Nothing),
        (&["RateLimit: \"default\";r=0;t=30"], secs(30)),
        (&["RateLimit: default;r=0;t=30"], secs(30)),
        (&["RateLimit: \"a\" ; r=0 ; t=30"], secs(30)),
        (&["RateLimit: \"a\";r=9;t=90, \"b\";r=0;t=7"], secs(7)),
        (&["RateLimit: \"a\";r=0;t=9,\"b\";r=0;t=7"], secs(9)),
        (
            &["RateLimit: \"a\";r=0;t=9", "RateLimit: \"b\";r=0;t=7"],
            secs(9),
        ),
        (&["RateLimit: \"a,b;r=0;\\\"t=5\";r=1;t=30"], Ask::Nothing),
        (&["RateLimit: \"a\";pk=:cHA=:;r=0;t=4"], secs(4)),
        (
            &["RateLimit: limit=100, remaining=50, reset=30"],
            Ask::Nothing,
        ),
        (&["RateLimit: limit=100, remaining=0, reset=30"], secs(30)),
        (
            &["RateLimit: limit=9;w=1", "RateLimit: remaining=0,reset=3"],
            secs(3),
        ),
        (&["RateLimit-Remaining: 0", "RateLimit-Reset: 30"], secs(30)),
        (
            &["RateLimit-Remaining: 1", "RateLimit-Reset: 30"],
            Ask::Nothing,
        ),
        (
            &["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 30"],
            secs(30),
        ),
        (
            &[
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 1700000030",
                DATE,
            ],
            secs(30),
        ),
        (
            &[
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 1600000000",
                DATE,
            ],
            secs(0),
        ),
        (
            &["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1600000000"],
            secs(0),
        ),
        (
            &[
                "RateLimit-Remaining: 0",
                "RateLimit-Reset: 1700000030",
                DATE,
            ],
            secs(30),
        ),
        // In milliseconds.
        (
            &[
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 1700000030000",
                DATE,
            ],
            secs(30),
        ),
        (
            &[
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 1600000000000",
                DATE,
            ],
            secs(0),
        ),
        // One family does not speak for another.
        (
            &[
                "RateLimit: \"a\";r=5;t=90",
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 2",
            ],
            secs(2),
        ),
        // Without a reset.
        (&["RateLimit: \"default\";r=0"], Ask::Nothing),
        (&["X-RateLimit-Remaining: 0"], Ask::Nothing),
        // Retry-After wins.
        (
            &["RateLimit: \"default\";r=0;t=30", "Retry-After: 5"],
            secs(5),
        ),
        (
            &["RateLimit: \"default\";r=1;t=30", "Retry-After: 5"],
            Ask::Nothing,
        ),
    ] {
        assert_eq!(of(200, lines), expected, "{lines:?}");
    }
}

#[test]
fn a_status_asks_for_a_pause() {
    for (status, lines, expected) in [
        (429, &[][..], Ask::LowerRate),
        (429, &["Retry-After: 7"], secs(7)),
        (429, &["Retry-After: 0"], secs(0)),
        (429, &["Retry-After: soon"], Ask::LowerRate),
        (
            429,
            &["X-RateLimit-Reset: 1600000000", DATE],
            Ask::LowerRate,
        ),
        (
            429,
            &["Retry-After: 7", "RateLimit: \"a\";r=0;t=30"],
            secs(7),
        ),
        (
            429,
            &["Retry-After: soon", "RateLimit: \"a\";r=0;t=30"],
            secs(30),
        ),
        (
            429,
            &["RateLimit: \"a\";r=0;t=30, \"b\";r=1;t=90"],
            secs(30),
        ),
        (429, &["RateLimit: \"a\";t=30"], secs(30)),
        (429, &["X-RateLimit-Reset: 30"], secs(30)),
        (
            429,
            &["X-RateLimit-Remaining: 2", "X-RateLimit-Reset: 30"],
            Ask::LowerRate,
        ),
        (503, &[], Ask::Nothing),
        // It speaks of its own resource.
        (503, &["Retry-After: 7"], Ask::Nothing),
        (503, &["RateLimit: \"a\";r=0;t=30"], Ask::Nothing),
        (500, &["Retry-After: 7"], Ask::Nothing),
        (404, &["RateLimit: \"a\";r=0;t=30"], secs(30)),
    ] {
        assert_eq!(of(status, lines), expected, "{status} {lines:?}");
    }
}

#[test]
fn absurd_values_have_an_outcome() {
    for (remaining, reset, expected) in [
        ("-1", "30", Ask::Nothing),
        ("", "30", Ask::Nothing),
        ("none", "30", Ask::Nothing),
        ("0.0", "30", Ask::Nothing),
        ("+0", "30", Ask::Nothing),
        (ABSURD, "30", Ask::Nothing),
        ("000", "30", secs(30)),
        ("0", "-30", Ask::Nothing),
        ("0", "soon", Ask::Nothing),
        ("0", "", Ask::Nothing),
        ("0", "1e3", Ask::Nothing),
        ("0", ABSURD, secs(u64::MAX)),
        ("5, 0", "10, x, 30", secs(30)),
        ("0, 5", "-1, 4", secs(4)),
        (",,0,", ",", Ask::Nothing),
    ] {
        for prefix in ["", "X-"] {
            let remaining = format!("{prefix}RateLimit-Remaining: {remaining}");
            let reset = format!("{prefix}RateLimit-Reset: {reset}");
            let lines = [&*remaining, &*reset];
            assert_eq!(of(200, &lines), expected, "{lines:?}");
        }
    }
    for nonsense in [
        "",
        ";",
        ",",
        "=",
        "\"",
        "\"\\",
        ";;r=0",
        "\"a\";r",
        "\"a\";r=;t=",
        "\"a\";r=-1;t=30",
        "\"a;r=0;t=30",
        "r=0;t",
        "remaining=x, reset=30",
        "\"a\";R=1",
        "a\\\";t=9",
    ] {
        let ask = of(200, &[&format!("RateLimit: {nonsense}")]);
        assert_eq!(ask, Ask::Nothing, "{nonsense}");
    }
    let far = of(429, &["X-RateLimit-Reset: 18446744073709551614"]);
    assert!(matches!(far, Ask::Pause(wait) if wait > Duration::from_secs(3600)));
    assert_eq!(
        of(200, &[&format!("RateLimit: a;r=0;t={ABSURD}")]),
        secs(u64::MAX)
    );
    assert_eq!(
        of(429, &[&format!("Retry-After: {ABSURD}")]),
        Ask::Pause(Duration::MAX)
    );
}
