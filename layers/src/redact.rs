use std::fmt;

use http::Uri;

const REDACTED: &str = "REDACTED";

/// A URL as it may be shown: without credentials, and only with those values of its query that
/// can't identify a person.
pub(crate) struct RedactedUrl<'a> {
    pub(crate) uri: &'a Uri,
    /// The names of the parameters whose values are shown.
    pub(crate) shown: &'a [Box<str>],
}

impl fmt::Display for RedactedUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.uri.scheme_str() {
            write!(f, "{scheme}://")?;
        }
        if let Some(authority) = self.uri.authority() {
            let authority = authority.as_str();
            match authority.rsplit_once('@') {
                // As the conventions spell it.
                Some((_, host)) => write!(f, "{REDACTED}:{REDACTED}@{host}")?,
                None => f.write_str(authority)?,
            }
        }
        f.write_str(self.uri.path())?;
        let Some(query) = self.uri.query() else {
            return Ok(());
        };
        for (index, parameter) in query.split('&').enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            self.parameter(f, parameter)?;
        }
        Ok(())
    }
}

impl RedactedUrl<'_> {
    fn parameter(&self, f: &mut fmt::Formatter<'_>, parameter: &str) -> fmt::Result {
        match parameter.split_once('=') {
            Some((name, value)) if self.is_shown(name, value) => f.write_str(parameter),
            Some((name, _)) => write!(f, "{name}={REDACTED}"),
            None if parameter.is_empty() => Ok(()),
            // It may as well be a value.
            None => f.write_str(REDACTED),
        }
    }

    fn is_shown(&self, name: &str, value: &str) -> bool {
        // Some servers take a `;` for an `&`: then there is more in this value than it seems.
        matches!(value, "" | "true" | "false")
            || !value.contains(';') && self.shown.iter().any(|shown| **shown == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_identify_a_person_is_not_shown() {
        let shown = ["limit", "offset"].map(Box::from);
        for (url, redacted) in [
            ("https://a.example", "https://a.example/"),
            (
                "https://a.example:8443/v1/users?",
                "https://a.example:8443/v1/users?",
            ),
            (
                "http://user@a.example/",
                "http://REDACTED:REDACTED@a.example/",
            ),
            (
                "http://user:p%40ss@[::1]:80/x",
                "http://REDACTED:REDACTED@[::1]:80/x",
            ),
            (
                "http://a.example/?limit=10&offset=20",
                "http://a.example/?limit=10&offset=20",
            ),
            (
                "http://a.example/?is_active=true&x=false&y=",
                "http://a.example/?is_active=true&x=false&y=",
            ),
            (
                "http://a.example/?search=alice&limit=1",
                "http://a.example/?search=REDACTED&limit=1",
            ),
            (
                "http://a.example/?user_id=7",
                "http://a.example/?user_id=REDACTED",
            ),
            (
                "http://a.example/?email=a%40b.example",
                "http://a.example/?email=REDACTED",
            ),
            (
                "http://a.example/?search=a=b",
                "http://a.example/?search=REDACTED",
            ),
            (
                "http://a.example/?alice@b.example",
                "http://a.example/?REDACTED",
            ),
            (
                "http://a.example/?Limit=alice",
                "http://a.example/?Limit=REDACTED",
            ),
            (
                "http://a.example/?%6cimit=alice",
                "http://a.example/?%6cimit=REDACTED",
            ),
            (
                "http://a.example/?a=1&&b=2&",
                "http://a.example/?a=REDACTED&&b=REDACTED&",
            ),
            (
                "http://a.example/?limit=1;search=alice",
                "http://a.example/?limit=REDACTED",
            ),
            ("http://a.example/p#search=alice", "http://a.example/p"),
            ("/relative?search=alice", "/relative?search=REDACTED"),
        ] {
            let uri = url.parse::<Uri>().expect(url);
            let url = RedactedUrl {
                uri: &uri,
                shown: &shown,
            };
            assert_eq!(url.to_string(), redacted);
        }
    }
}
