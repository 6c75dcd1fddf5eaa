//! Scripts as JSON. [`FaultScript`] documents the format.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::fault::Fault;
use super::kind::{FaultKind, RetryAfter};
use super::rule::FaultRule;
use super::script::FaultScript;
use crate::OPERATIONS;

/// A text is no [`FaultScript`]; says where, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFaultScript(String);

impl fmt::Display for InvalidFaultScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for InvalidFaultScript {}

pub(super) fn parse(json: &str) -> Result<FaultScript, InvalidFaultScript> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let script: Script = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // The path is `.` where there is none.
        let path = error.path().to_string();
        let inner = error.inner();
        InvalidFaultScript(match path.trim_matches('.') {
            "" => inner.to_string(),
            path => format!("{path}: {inner}"),
        })
    })?;
    deserializer
        .end()
        .map_err(|error| InvalidFaultScript(error.to_string()))?;
    let mut built = FaultScript::new().seed(script.seed);
    for (index, rule) in script.rules.into_iter().enumerate() {
        built = built.rule(
            rule.build()
                .map_err(|what| InvalidFaultScript(format!("rules[{index}]{what}")))?,
        );
    }
    Ok(built)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default)]
    seed: u64,
    rules: Vec<RuleMembers>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleMembers {
    operation: Option<String>,
    #[serde(default)]
    after: u64,
    times: Option<u64>,
    probability: Option<f64>,
    fault: Option<FaultMembers>,
    any_of: Option<Vec<FaultMembers>>,
}

impl RuleMembers {
    /// The rule; what is wrong begins with the rest of its path.
    fn build(self) -> Result<FaultRule, String> {
        let mut rule = match (self.fault, self.any_of) {
            (Some(fault), None) => {
                FaultRule::new(fault.build().map_err(|what| format!(".fault: {what}"))?)
            }
            (None, Some(any_of)) if !any_of.is_empty() => {
                let faults = any_of.into_iter().enumerate().map(|(index, fault)| {
                    fault
                        .build()
                        .map_err(|what| format!(".any_of[{index}]: {what}"))
                });
                FaultRule::any_of(faults.collect::<Result<Vec<_>, _>>()?)
            }
            (None, Some(_)) => return Err(String::from(".any_of: it is empty")),
            _ => return Err(String::from(": it needs either `fault` or `any_of`")),
        };
        if let Some(id) = self.operation {
            let operation = OPERATIONS
                .iter()
                .find(|operation| operation.id == id)
                .ok_or_else(|| format!(".operation: there is no operation {id:?}"))?;
            rule = rule.operation(operation);
        }
        if let Some(times) = self.times {
            rule = rule.times(times);
        }
        if let Some(probability) = self.probability {
            if !(0.0..=1.0).contains(&probability) {
                return Err(format!(
                    ".probability: {probability} is not between 0 and 1"
                ));
            }
            rule = rule.probability(probability);
        }
        Ok(rule.after(self.after))
    }
}

/// The members of all kinds, each of which has only some of them. One type for each kind would be
/// clearer, but serde does not refuse unknown members of those, nor tell where they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultMembers {
    kind: FaultKind,
    delay_ms: Option<u64>,
    #[serde(default)]
    after_performing: bool,
    status: Option<u16>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<Value>,
    retry_after: Option<u64>,
    form: Option<Form>,
    pieces: Option<u32>,
    interval_ms: Option<u64>,
    bytes: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    Seconds,
    HttpDate,
    RateLimit,
}

impl FaultMembers {
    fn build(mut self) -> Result<Fault, String> {
        let kind = self.kind;
        let needed = |member: &str| format!("the kind `{kind}` needs `{member}`");
        let mut fault = match kind {
            FaultKind::Delay if self.delay_ms.is_none() => return Err(needed("delay_ms")),
            FaultKind::Delay => Fault::delay(Duration::ZERO),
            FaultKind::Status => {
                let status = self.status.take().ok_or_else(|| needed("status"))?;
                self.reply(final_status(status)?)?
            }
            FaultKind::EdgePage => {
                let status = self.status.take().map(final_status).transpose()?;
                Fault::edge_page(status.unwrap_or(StatusCode::BAD_GATEWAY))
            }
            FaultKind::TooManyRequests => Fault::too_many_requests(self.retry_after()?),
            FaultKind::ResetBeforeReply => Fault::reset_before_reply(),
            FaultKind::ReplyLost => Fault::reply_lost(),
            FaultKind::ResetDuringReply => Fault::reset_during_reply(),
            FaultKind::TruncatedBody => Fault::truncated_body(),
            FaultKind::SlowBody => {
                let pieces = self.pieces.take().ok_or_else(|| needed("pieces"))?;
                let interval = self.interval_ms.take();
                let interval = interval.ok_or_else(|| needed("interval_ms"))?;
                Fault::slow_body(pieces, Duration::from_millis(interval))
            }
            FaultKind::OversizedBody => {
                Fault::oversized_body(self.bytes.take().unwrap_or(u64::MAX))
            }
            FaultKind::WrongContentType => Fault::wrong_content_type(),
            FaultKind::UnknownFields => Fault::unknown_fields(),
            FaultKind::UnknownValues => Fault::unknown_values(),
        };
        if let Some(member) = self.left_over() {
            return Err(format!("the kind `{kind}` has no `{member}`"));
        }
        if let Some(delay) = self.delay_ms {
            fault = fault.delayed(Duration::from_millis(delay));
        }
        if self.after_performing {
            fault = fault.after_performing();
        }
        Ok(fault)
    }

    fn reply(&mut self, status: StatusCode) -> Result<Fault, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.take().into_iter().flatten() {
            let wrong = || format!("{name:?} with the value {value:?} is no header");
            let value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
            headers.append(HeaderName::try_from(&name).map_err(|_| wrong())?, value);
        }
        let body = match self.body.take() {
            // As the protocol has it, where nothing else is wanted.
            None if headers.is_empty() => return Ok(Fault::status(status)),
            None => Bytes::new(),
            Some(Value::String(text)) => text.into(),
            Some(json) => {
                let value = HeaderValue::from_static("application/json");
                headers.entry(CONTENT_TYPE).or_insert(value);
                json.to_string().into()
            }
        };
        let mut reply = Response::new(body);
        *reply.status_mut() = status;
        *reply.headers_mut() = headers;
        Ok(Fault::reply(reply))
    }

    fn retry_after(&mut self) -> Result<RetryAfter, String> {
        Ok(match (self.retry_after.take(), self.form.take()) {
            (None, None) => RetryAfter::Absent,
            (None, Some(_)) => return Err(String::from("`form` is that of `retry_after`")),
            (Some(seconds), None | Some(Form::Seconds)) => RetryAfter::Seconds(seconds),
            (Some(seconds), Some(Form::HttpDate)) => RetryAfter::HttpDate(seconds),
            (Some(seconds), Some(Form::RateLimit)) => RetryAfter::RateLimit(seconds),
        })
    }

    /// A member that the kind had no use for.
    fn left_over(&self) -> Option<&'static str> {
        [
            ("status", self.status.is_some()),
            ("headers", self.headers.is_some()),
            ("body", self.body.is_some()),
            ("retry_after", self.retry_after.is_some()),
            ("form", self.form.is_some()),
            ("pieces", self.pieces.is_some()),
            ("interval_ms", self.interval_ms.is_some()),
            ("bytes", self.bytes.is_some()),
        ]
        .into_iter()
        .find_map(|(member, is_there)| is_there.then_some(member))
    }
}

fn final_status(status: u16) -> Result<StatusCode, String> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| format!("{status} is no status of a reply: those are from 200 to 999"))
}
