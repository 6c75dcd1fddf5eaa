use std::sync::{Arc, Mutex};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Uri};
use idpflare_layers::{
    ApiKey, ApiKeyAuth, ApiKeyLayer, BoxError, KeyHandle, Origin, OriginMismatch,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{request, transport, typed};

const HERE: &str = "https://api.example.com/v1/users";

fn key(key: &str) -> ApiKey {
    ApiKey::new(key).expect("a key")
}

fn origin(uri: &str) -> Origin {
    Origin::of(&uri.parse().expect("a URI")).expect("an origin")
}

fn get(uri: &str) -> http::Request<()> {
    http::Request::get(uri).body(()).expect("a request")
}

/// The headers of all requests that came through.
type Seen = Arc<Mutex<Vec<HeaderMap>>>;

/// A service that replies to everything and records the headers.
fn recorder(
    seen: &Seen,
) -> impl Service<http::Request<()>, Response = http::Response<()>, Error = BoxError, Future: Send>
+ Clone
+ use<> {
    let seen = Arc::clone(seen);
    service_fn(move |request: http::Request<()>| {
        let headers = request.headers().clone();
        seen.lock().expect("no panic").push(headers);
        std::future::ready(Ok(http::Response::new(())))
    })
}

fn authorizations(seen: &Seen) -> Vec<Vec<HeaderValue>> {
    let seen = seen.lock().expect("no panic");
    seen.iter()
        .map(|headers| headers.get_all(AUTHORIZATION).iter().cloned().collect())
        .collect()
}

#[tokio::test]
async fn the_header_is_set_and_sensitive_and_the_rest_is_left_alone() {
    let seen = Seen::default();
    let layer = ApiKeyLayer::new(key("idk_one"), origin(HERE));
    let mut request = get(HERE);
    let headers = request.headers_mut();
    headers.insert("x-other", HeaderValue::from_static("kept"));
    let reply = layer.layer(recorder(&seen)).oneshot(request).await;
    assert!(reply.is_ok());

    assert_eq!(authorizations(&seen), [["Bearer idk_one"]]);
    assert!(authorizations(&seen)[0][0].is_sensitive());
    assert_eq!(seen.lock().expect("no panic")[0]["x-other"], "kept");
}

#[tokio::test]
async fn every_authorization_that_was_there_is_replaced() {
    let seen = Seen::default();
    let layer = ApiKeyLayer::new(key("idk_one"), origin(HERE));
    let mut request = get(HERE);
    for other in ["Basic b3RoZXI=", "Bearer other"] {
        let other = HeaderValue::from_static(other);
        request.headers_mut().append(AUTHORIZATION, other);
    }
    let reply = layer.layer(recorder(&seen)).oneshot(request).await;
    assert!(reply.is_ok());
    assert_eq!(authorizations(&seen), [["Bearer idk_one"]]);
}

#[tokio::test]
async fn only_one_origin_gets_the_key() {
    let ours: &[(&str, &[&str])] = &[
        (
            "https://api.example.com",
            &[
                "https://api.example.com",
                "https://api.example.com/",
                "https://api.example.com/any/path?and=query",
                "https://API.Example.COM/",
                "HTTPS://api.example.com/",
                "https://api.example.com:443/",
                "https://api.example.com:/",
                "https://user:password@api.example.com/",
                "https://evil.example.net@api.example.com/",
            ],
        ),
        (
            "https://API.example.com:443/base/",
            &["https://api.example.com/other"],
        ),
        (
            "http://api.example.com",
            &["http://api.example.com:80/", "http://api.example.com/"],
        ),
        (
            "https://api.example.com:8443",
            &["https://api.example.com:8443/"],
        ),
        ("https://[::1]", &["https://[::1]/", "https://[::1]:443/"]),
        (
            "http://[2001:DB8::1]:8080",
            &["http://[2001:db8::1]:8080/path"],
        ),
    ];
    let theirs: &[(&str, &[&str])] = &[
        (
            "https://api.example.com",
            &[
                // Another scheme.
                "http://api.example.com/",
                "http://api.example.com:443/",
                "ftp://api.example.com/",
                "wss://api.example.com/",
                // Another port, and what is no port.
                "https://api.example.com:8443/",
                "https://api.example.com:80/",
                "https://api.example.com:0/",
                "https://api.example.com:99999/",
                "https://api.example.com:65979/",
                "https://api.example.com:x/",
                // Another host.
                "https://evil.example.net/",
                "https://example.com/",
                "https://sub.api.example.com/",
                "https://api.example.com.evil.net/",
                "https://api.example.com./",
                "https://evilapi.example.com/",
                "https://xn--pi-nia.example.com/",
                // A host that looks like ours.
                "https://api.example.com@evil.net/",
                "https://api.example.com:443@evil.net/",
                "https://api.example.com%40evil.net/",
                "https://user@api.example.com@evil.net/",
                "https://evil.net\\@api.example.com/",
                "https://evil.net/@api.example.com",
                "https://evil.net?@api.example.com",
                "https://evil.net#@api.example.com",
                "https://[api.example.com]/",
                "https://api.example.com[::1]/",
                "https:///api.example.com/",
                // None at all.
                "/v1/users",
                "*",
                "api.example.com",
                "api.example.com:443",
                "//api.example.com/v1/users",
            ],
        ),
        (
            "http://api.example.com",
            &["https://api.example.com/", "http://api.example.com:443/"],
        ),
        (
            "https://api.example.com:8443",
            &["https://api.example.com/", "https://api.example.com:443/"],
        ),
        (
            "https://[::1]",
            &[
                "https://[::2]/",
                "https://[::1]:8443/",
                "https://[::1]evil.net/",
                "https://[::1]evil.net:443/",
                "https://127.0.0.1/",
                "https://localhost/",
            ],
        ),
    ];
    for (pinned, uris, is_ours) in ours
        .iter()
        .map(|(pinned, uris)| (pinned, uris, true))
        .chain(theirs.iter().map(|(pinned, uris)| (pinned, uris, false)))
    {
        for uri in *uris {
            let context = format!("pinned to {pinned}, sent to {uri}");
            // What is no URI can't be sent at all.
            let Ok(parsed) = uri.parse::<Uri>() else {
                assert!(!is_ours, "{context}");
                continue;
            };
            let seen = Seen::default();
            let layer = ApiKeyLayer::new(key("idk_one"), origin(pinned));
            let mut request = http::Request::new(());
            *request.uri_mut() = parsed;
            let reply = layer.layer(recorder(&seen)).oneshot(request).await;
            match reply {
                Ok(_) => {
                    assert!(is_ours, "{context}");
                    assert_eq!(authorizations(&seen), [["Bearer idk_one"]], "{context}");
                }
                Err(error) => {
                    assert!(!is_ours, "{context}: {error}");
                    assert!(error.is::<OriginMismatch>(), "{context}: {error}");
                    assert_eq!(seen.lock().expect("no panic").len(), 0, "{context}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_mismatch_names_both_origins_and_nothing_more() {
    let here = "the API key is for https://api.example.com, the request for";
    for (uri, found) in [
        (
            "http://user:pw@Evil.net:81/path?query",
            "http://evil.net:81",
        ),
        ("https://[::1]/", "https://[::1]"),
        ("/v1/users", "a URL without an http or https origin"),
        (
            "ftp://api.example.com/",
            "a URL without an http or https origin",
        ),
    ] {
        let layer = ApiKeyLayer::new(key("idk_one"), origin(HERE));
        let reply = layer.layer(recorder(&Seen::default())).oneshot(get(uri));
        let error = reply.await.expect_err("another origin");
        assert_eq!(error.to_string(), format!("not sent: {here} {found}"));
    }
}

#[tokio::test]
async fn nothing_is_sent_on_a_mismatch_and_the_service_still_works() {
    let (transport, mut server) = transport();
    let mut service = ApiKeyLayer::new(key("idk_one"), origin(HERE)).layer(transport);
    let elsewhere = get("https://evil.example.net/");
    let refused = service.ready().await.expect("ready").call(elsewhere).await;
    assert!(refused.expect_err("refused").is::<OriginMismatch>());
    assert!(server.poll_request().is_pending());

    let _reply = service.ready().await.expect("ready").call(get(HERE));
    let (sent, _) = server.next_request().await.expect("a request");
    assert_eq!(sent.uri(), HERE);
}

#[tokio::test]
async fn rotation_takes_effect_with_the_next_request() {
    let (transport, mut server) = transport();
    let handle = KeyHandle::new(key("idk_one"));
    let layer = ApiKeyLayer::new(handle.clone(), origin(HERE));
    let mut service = layer.layer(transport);
    let mut clone = service.clone();

    let _first = service.ready().await.expect("ready").call(get(HERE));
    // Ready before the rotation, called after it: the key is that of the call.
    clone.ready().await.expect("ready");
    handle.clone().rotate(key("idk_two"));
    let _second = clone.call(get(HERE));
    let _third = service.ready().await.expect("ready").call(get(HERE));

    for bearer in ["Bearer idk_one", "Bearer idk_two", "Bearer idk_two"] {
        let (sent, _) = server.next_request().await.expect("a request");
        assert_eq!(sent.headers()[AUTHORIZATION], bearer);
        assert!(sent.headers()[AUTHORIZATION].is_sensitive());
    }
}

/// A service that keeps the last request, to be looked at.
#[derive(Clone, Debug, Default)]
struct Keep(Arc<Mutex<Option<http::Request<()>>>>);

impl Service<http::Request<()>> for Keep {
    type Response = http::Response<()>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<http::Response<()>, BoxError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<()>) -> Self::Future {
        *self.0.lock().expect("no panic") = Some(request);
        std::future::ready(Ok(http::Response::new(())))
    }
}

#[tokio::test]
async fn no_debug_and_no_error_shows_the_key() {
    let handle = KeyHandle::new(key("idk_hidden"));
    let layer = ApiKeyLayer::new(handle.clone(), origin(HERE));
    let kept = Keep::default();
    let mut service: ApiKeyAuth<Keep> = layer.layer(kept.clone());

    let (mut here, call) = request();
    *here.uri_mut() = Uri::from_static(HERE);
    let sending = service.ready().await.expect("ready").call(here);
    let mut shown = format!("{layer:?} {layer:#?} {handle:?} {service:?} {sending:?} {call:?}");
    assert!(sending.await.is_ok());
    shown += &format!("{service:?} {service:#?}");

    let sent = kept.0.lock().expect("no panic").take().expect("a request");
    shown += &format!("{sent:?} {:?} {:?}", sent.headers(), sent.extensions());
    // The only place is the header.
    let (parts, ()) = sent.into_parts();
    assert_eq!(parts.headers[AUTHORIZATION], "Bearer idk_hidden");
    assert!(parts.extensions.get::<ApiKey>().is_none());
    assert!(parts.extensions.get::<KeyHandle>().is_none());
    assert!(parts.extensions.get::<HeaderValue>().is_none());

    let refusing = service
        .ready()
        .await
        .expect("ready")
        .call(get("https://evil.net"));
    shown += &format!("{refusing:?}");
    let error = refusing.await.expect_err("another origin");
    let mismatch = typed::<OriginMismatch>(&error);
    shown += &format!("{error} {error:?} {mismatch:#?}");
    for bad in ["idk_hidden\n", "idk hidden", "idk_hiddenä"] {
        let error = ApiKey::new(bad).expect_err("no key");
        shown += &format!("{error} {error:?}");
    }
    assert!(!shown.contains("hidden"), "{shown}");
}

#[tokio::test]
async fn the_layer_adds_nothing_to_the_extensions() {
    let kept = Keep::default();
    let layer = ApiKeyLayer::new(key("idk_one"), origin(HERE));
    assert!(layer.layer(kept.clone()).oneshot(get(HERE)).await.is_ok());
    let sent = kept.0.lock().expect("no panic").take().expect("a request");
    assert!(sent.extensions().is_empty());
}
