//! Rows of CSV, each of which is one line whatever stands in the others.

use std::collections::BTreeMap;

use csv::{QuoteStyle, WriterBuilder};
use idpflare_management::CreateUser;
use idpflare_management::workflows::ImportRow;
use proptest::prelude::*;

use crate::csv_rows::CsvRows;
use crate::lines::Lines;

const HEADER: &[u8] = b"email,given_name\n";

/// What is read, by lines.
fn read(text: &[u8]) -> Vec<String> {
    let rows = CsvRows::new(Lines::new(text)).expect("the fields' names");
    rows.map(|row| format!("{row:?}")).collect()
}

fn refused(line: u64, reason: &str) -> String {
    format!("{:?}", ImportRow::invalid(reason).line(line))
}

fn user(line: u64, user: CreateUser) -> String {
    format!("{:?}", ImportRow::from((line, user)))
}

#[test]
fn a_stray_quote_is_refused_in_its_own_line() {
    const OPEN: &str = "a quote is not closed, and a row is one line";
    const INSIDE: &str = "a quote is inside a value that does not begin with one";
    const AFTER: &str = "there is more of a value after its closing quote";
    for (line, reason) in [
        ("\"bob@example.com,Bob", OPEN),
        ("bob@example.com,\"Bob", OPEN),
        ("bob@example.com,\"", OPEN),
        ("bob@example.com,\"Bob \"\"", OPEN),
        ("bob@example.com,\"\"\"", OPEN),
        ("bob@example.com\",Bob", INSIDE),
        ("bob@example.com, \"Bob\"", INSIDE),
        ("bob@example.com,B\"o\"b", INSIDE),
        ("bob@example.com,\"Bob\" ", AFTER),
        ("\"bob\"@example.com,Bob", AFTER),
        (
            "bob@example.com,Bob\rrob@example.com,Rob",
            "there is a carriage return inside it",
        ),
    ] {
        for end in ["\n", "\r\n"] {
            let text = format!(
                "\u{feff}email,given_name{end}ada@example.com,Ada{end}{line}{end}alan@example.com,\"Al\"\"an\"{end}"
            );
            let expected = [
                user(2, CreateUser::new("ada@example.com").given_name("Ada")),
                refused(3, reason),
                user(4, CreateUser::new("alan@example.com").given_name("Al\"an")),
            ];
            assert_eq!(read(text.as_bytes()), expected, "{line}");
        }
    }
}

#[test]
fn a_file_without_names_is_refused_without_showing_what_is_in_it() {
    for text in [
        "s3cret,ada@example.com\n",
        "\"s3cret\n",
        "s3cret\rada@example.com\r",
    ] {
        let rows = CsvRows::new(Lines::new(text.as_bytes()));
        let error = rows.err().expect("it is refused");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

/// The number of the line that a row is in.
fn number(row: &str) -> usize {
    let number = row.split("line: Some(").nth(1).expect("a number");
    let number = number.split(')').next().expect("it ends");
    number.parse().expect("a number")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each line is read as if it were the only one.
    #[test]
    fn a_line_is_read_the_same_whatever_the_others_are(
        lines in proptest::collection::vec(
            proptest::collection::vec(proptest::sample::select(b"aa\"\",, \r\t\xff".to_vec()), 0..9),
            0..9,
        ),
    ) {
        let rows = read(&[HEADER, &lines.join(&b'\n')].concat());
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (number(&row), row)).collect();
        for (index, line) in lines.iter().enumerate() {
            let alone = [HEADER, &b"\n".repeat(index), line].concat();
            let alone = read(&alone);
            prop_assert!(alone.len() <= 1);
            prop_assert_eq!(alone.first(), rows.get(&(index + 2)));
        }
    }

    /// What another program writes, without ends of lines in it, is read.
    #[test]
    fn what_is_written_is_read(
        values in proptest::collection::vec(("[^\n]{1,8}", "[^\n]{0,8}"), 0..9),
        always in any::<bool>(),
    ) {
        let style = if always { QuoteStyle::Always } else { QuoteStyle::Necessary };
        let mut writer = WriterBuilder::new().quote_style(style).from_writer(Vec::new());
        writer.write_record(["email", "given_name"]).expect("written");
        let mut expected = Vec::new();
        for (line, (email, given_name)) in (2..).zip(values) {
            writer.write_record([&email, &given_name]).expect("written");
            let mut row = CreateUser::new(email);
            row.given_name = Some(given_name).filter(|name| !name.is_empty());
            expected.push(user(line, row));
        }
        prop_assert_eq!(read(&writer.into_inner().expect("written")), expected);
    }
}
